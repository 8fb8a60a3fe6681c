//! The loop of a worker, and the units it has at hand.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Permit, Permits, Queue,
    queue::{Patience, Taken},
};
use crate::cancel::Cancel;

/// A unit of work that may be divided between workers.
pub(crate) trait Divide: Sized {
    /// Give away half of it, where it can be divided.
    fn divide(&mut self) -> Option<Self>;
}

/// Whoever performs units of one kind.
pub(crate) trait Worker {
    /// The kind.
    type Unit: Divide;

    /// What it has at hand.
    fn hands(&mut self) -> &mut Hands<Self::Unit>;

    /// Perform a unit. What is left of it and what it discovers is added to what is at hand.
    fn perform(&mut self, unit: Self::Unit);

    /// Nothing is at hand any more.
    fn emptied(&mut self) {}

    /// It has waited for work.
    fn woke(&mut self) {}

    /// Whether to leave although there is work.
    fn should_leave(&self) -> bool;
}

/// Work until nothing is left, or until the worker should leave, which puts what it has at hand back.
pub(crate) fn work(worker: &mut impl Worker) {
    while let Some(unit) = next(worker) {
        worker.hands().take_permit_again();
        worker.perform(unit);
        if worker.hands().stack.is_empty() {
            worker.emptied();
        }
        if worker.should_leave() {
            return worker.hands().leave();
        }
    }
}

fn next<W: Worker>(worker: &mut W) -> Option<W::Unit> {
    let hands = worker.hands();
    if let Some(unit) = hands.stack.pop() {
        return Some(unit);
    }
    let taken = hands.take();
    worker.woke();
    taken
}

/// The units that a worker has at hand, the last one first, and its place among the others of its run.
///
/// What a worker discovers stays on its own stack; the queue is touched when a stack is empty, or when somebody
/// else has nothing to do.
#[derive(Debug)]
pub(crate) struct Hands<U> {
    stack: Vec<U>,
    queue: Arc<Queue<U>>,
    /// Shared with calls of this thread that wait.
    permit: Rc<RefCell<Permit>>,
    permits: Arc<Permits>,
    cancel: Cancel,
    began: Instant,
}

impl<U: Divide> Hands<U> {
    /// How long a run's only worker goes on while another run has none.
    const SLICE: Duration = Duration::from_millis(100);

    /// Those of a worker that begins; nothing where the queue has nothing to do, or workers enough.
    pub(crate) fn enter(
        queue: &Arc<Queue<U>>,
        permits: &Arc<Permits>,
        cancel: &Cancel,
        mut permit: Permit,
    ) -> Option<Hands<U>> {
        permit.begin();
        queue.enter().then(|| Hands {
            stack: Vec::new(),
            queue: queue.clone(),
            permit: Rc::new(RefCell::new(permit)),
            permits: permits.clone(),
            cancel: cancel.clone(),
            began: Instant::now(),
        })
    }

    /// The worker's permit.
    pub(crate) fn permit(&self) -> &Rc<RefCell<Permit>> {
        &self.permit
    }

    /// Have the permit again where it was given back; nothing that others wait for may be held.
    pub(crate) fn take_permit_again(&self) {
        self.permit.borrow_mut().take_again(&self.cancel);
    }

    /// Add a unit that was discovered; the last added is done first.
    pub(crate) fn push(&mut self, unit: U) {
        self.stack.push(unit);
    }

    /// How many units are at hand.
    pub(crate) fn count(&self) -> usize {
        self.stack.len()
    }

    /// Add a unit that is to be done after those that were added since there were `below`.
    pub(crate) fn push_below(&mut self, below: usize, unit: U) {
        self.stack.insert(below.min(self.stack.len()), unit);
    }

    /// Whether someone would take work; cheap enough to ask after every entry.
    pub(crate) fn is_hungry(&self) -> bool {
        self.queue.is_hungry()
    }

    /// The most workers there may be.
    pub(crate) fn limit(&self) -> usize {
        self.queue.limit()
    }

    /// Give units to whoever has none.
    pub(crate) fn give(&self, units: impl IntoIterator<Item = U>) {
        self.queue.give(units);
    }

    /// Give everything away.
    pub(crate) fn give_all(&mut self) {
        self.queue.give(std::mem::take(&mut self.stack));
    }

    /// Leave the queue, and put everything back.
    pub(crate) fn leave(&mut self) {
        self.queue.leave(std::mem::take(&mut self.stack));
    }

    /// Give away half of the oldest unit, which is the largest, or the unit itself where there is another: one at
    /// hand, or one that the worker is at. Whether there was any.
    pub(crate) fn share(&mut self, is_at_another: bool) -> bool {
        let Some(oldest) = self.stack.first_mut() else { return false };
        let given = oldest.divide().or_else(|| {
            let has_more = self.stack.len() > 1 || is_at_another;
            has_more.then(|| self.stack.remove(0))
        });
        let gives = given.is_some();
        self.queue.give(given);
        gives
    }

    /// Give work away if someone wants it, between units.
    pub(crate) fn share_if_wanted(&mut self) {
        if self.queue.is_hungry() {
            self.share(false);
        }
    }

    /// Whether there are more workers than there should be, or another run of the engine should have this place.
    pub(crate) fn are_too_many(&self) -> bool {
        self.queue.is_crowded()
            || self.permits.are_waited_for()
                && (self.began.elapsed() > Self::SLICE || self.queue.need().alive > 1)
    }

    fn take(&self) -> Option<U> {
        let mut taken = self.queue.take(Patience::Short);
        if let Taken::Later = taken {
            self.permit.borrow_mut().give_back();
            taken = self.queue.take(Patience::Long);
            self.take_permit_again();
        }
        match taken {
            Taken::Unit(unit) => Some(unit),
            Taken::Later | Taken::Nothing => None,
        }
    }
}
