//! What is known of the entry that is being worked on, until it is recorded or given up.

use std::time::Instant;

use crate::{
    digest::Digest,
    event::{Cost, Differs},
    method::Method,
};

/// What is known of the entry that is being worked on.
#[derive(Debug)]
pub(crate) struct EntryNotes {
    /// Its digest.
    pub(crate) digest: Option<Digest>,
    /// What the copy that was there had otherwise than the source.
    pub(crate) differs: Differs,
    pub(crate) cost: CostSoFar,
    /// How many times it was tried again.
    pub(crate) tried: u32,
    /// Whether it is tried again later.
    pub(crate) is_put_aside: bool,
}

/// The cost of an entry, as far as it is known; nothing in runs that do not tell it.
#[derive(Debug, Default)]
pub(crate) struct CostSoFar {
    pub(crate) began: Option<Instant>,
    methods: Vec<(Method, u64)>,
}

impl Default for EntryNotes {
    fn default() -> EntryNotes {
        let differs = Differs::empty();
        EntryNotes { digest: None, differs, cost: CostSoFar::default(), tried: 0, is_put_aside: false }
    }
}

impl EntryNotes {
    /// What is known of an entry that is given up is not said of the next one.
    pub(crate) fn forget(&mut self) {
        (self.digest, self.differs) = (None, Differs::empty());
    }
}

impl CostSoFar {
    /// Note how its bytes were moved.
    pub(crate) fn note_methods(&mut self, moved: &[u64; Method::ALL.len()]) {
        let used = Method::ALL.into_iter().zip(*moved).filter(|(_, bytes)| *bytes > 0);
        self.methods = used.collect();
    }

    /// The cost of the entry that is recorded.
    pub(super) fn take(&mut self) -> Option<Cost> {
        let began = self.began.take()?;
        Some(Cost { elapsed: began.elapsed(), methods: std::mem::take(&mut self.methods) })
    }
}
