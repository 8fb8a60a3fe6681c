//! What one entry took, for runs that tell it.

use std::time::Instant;

use super::Worker;
use crate::{event::Cost, method::Method};

/// The cost of the entry that is being worked on, as far as it is known; nothing in runs that do not tell it.
#[derive(Debug, Default)]
pub(crate) struct CostSoFar {
    began: Option<Instant>,
    methods: Vec<(Method, u64)>,
}

impl Worker {
    /// Do something about an entry, whose cost counts from now on.
    pub(crate) fn measured<T>(&mut self, work: impl FnOnce(&mut Worker) -> T) -> T {
        let began = self.context.job.entry_costs.then(Instant::now);
        self.measured_since(began, work)
    }

    /// The same of an entry that was begun before.
    pub(crate) fn measured_since<T>(
        &mut self,
        began: Option<Instant>,
        work: impl FnOnce(&mut Worker) -> T,
    ) -> T {
        // Replacing what waits may be a part of another entry, which looks for room.
        let outer = std::mem::replace(&mut self.cost.began, began);
        let done = work(self);
        self.cost.began = outer;
        done
    }

    /// When the entry that is being worked on was begun, where its cost is wanted.
    pub(crate) fn entry_began(&self) -> Option<Instant> {
        self.cost.began
    }

    /// Note how the bytes of the entry that is recorded next were moved.
    pub(crate) fn note_methods(&mut self, moved: &[u64; Method::ALL.len()]) {
        if self.context.job.entry_costs {
            let used = Method::ALL.into_iter().zip(*moved).filter(|(_, bytes)| *bytes > 0);
            self.cost.methods = used.collect();
        }
    }

    /// The cost of the entry that is recorded.
    pub(super) fn take_cost(&mut self) -> Option<Cost> {
        let began = self.cost.began.take()?;
        Some(Cost { elapsed: began.elapsed(), methods: std::mem::take(&mut self.cost.methods) })
    }
}
