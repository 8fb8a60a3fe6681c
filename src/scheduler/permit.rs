//! Permits to work: as many as an engine may have workers at once.

use crate::cancel::Cancel;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The permits of an engine, for the workers of all its runs and comparisons.
#[derive(Debug)]
pub(crate) struct Permits {
    free: Arc<Semaphore>,
    /// Who waits for one and has no other; whoever has several makes room.
    waiting: AtomicUsize,
    /// Those given to workers whose thread has not begun.
    starting: AtomicUsize,
}

/// Counts as waiting for a permit.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Permits>);

/// Counts as a worker whose thread has not begun.
#[derive(Debug)]
struct Starting(Arc<Permits>);

/// A worker's permit, which it gives back while it waits for anything but a device.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
    held: Option<OwnedSemaphorePermit>,
    starting: Option<Starting>,
    /// Whether it was given back.
    is_lent: bool,
    /// How long its worker slept in calls since that was last asked.
    pub(crate) slept: Duration,
}

impl Permits {
    pub(crate) fn new(count: usize) -> Permits {
        let free = Arc::new(Semaphore::new(count));
        Permits { free, waiting: AtomicUsize::new(0), starting: AtomicUsize::new(0) }
    }

    /// Wait for a permit, for a worker that is started then.
    pub(crate) fn acquire(self: &Arc<Self>) -> impl Future<Output = Permit> + use<> {
        let permits = self.clone();
        let acquiring = self.free.clone().acquire_owned();
        async move {
            let held = acquiring.await.expect("an engine never closes its semaphore");
            permits.starting.fetch_add(1, Ordering::Relaxed);
            let starting = Some(Starting(permits.clone()));
            Permit { permits, held: Some(held), starting, is_lent: false, slept: Duration::ZERO }
        }
    }

    /// None, for a worker that cleans up: that is not worth waiting for one.
    pub(crate) fn none(self: &Arc<Self>) -> Permit {
        Permit { permits: self.clone(), held: None, starting: None, is_lent: false, slept: Duration::ZERO }
    }

    /// Count as waiting until what is returned is dropped.
    pub(crate) fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self.clone())
    }

    /// Whether somebody waits for a permit and has no other.
    pub(crate) fn are_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.starting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Permit {
    /// How long a worker waits for a permit before it looks whether those that have one can run at all.
    const PATIENCE: Duration = Duration::from_millis(100);

    /// The thread of the worker has begun.
    pub(crate) fn begin(&mut self) {
        self.starting = None;
    }

    /// Let others have it for a while.
    pub(crate) fn give_back(&mut self) {
        self.is_lent |= self.held.take().is_some();
    }

    /// Have it again if nobody else has it; otherwise that is asked again later.
    pub(super) fn take_if_free(&mut self) {
        if self.is_lent {
            self.held = self.permits.free.clone().try_acquire_owned().ok();
            self.is_lent = self.held.is_none();
        }
    }

    /// Have it again, unless it was not given back; who is cancelled goes on without.
    pub(crate) fn take_again(&mut self, cancel: &Cancel) {
        if !std::mem::take(&mut self.is_lent) {
            return;
        }
        let permits = &self.permits;
        self.held = permits.free.clone().try_acquire_owned().ok();
        if self.held.is_some() || cancel.is_cancelled() {
            return;
        }
        let _waiting = permits.wait();
        let mut asked = 0;
        let acquiring = permits.free.clone().acquire_owned();
        let held = cancel.bell().wait_for(Self::PATIENCE, acquiring, || {
            asked += 1;
            // Whoever has a permit and no thread may be waiting for this one: one of the two has to work.
            let is_stuck = asked > 1 && permits.starting.load(Ordering::Relaxed) > 0;
            !cancel.is_cancelled() && !is_stuck
        });
        self.held = held.and_then(Result::ok);
        self.is_lent = self.held.is_none(); // asked for again after the next wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit(permits: &Arc<Permits>) -> Permit {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut permit = runtime.block_on(permits.acquire());
        permit.begin();
        permit
    }

    #[test]
    fn what_is_given_back_is_free_for_others_until_it_is_taken_again() {
        let permits = Arc::new(Permits::new(1));
        let mut one = permit(&permits);
        one.give_back();
        let mut other = permit(&permits);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !permits.are_waited_for() {
                    std::thread::yield_now();
                }
                other.give_back();
            });
            one.take_again(&Cancel::default());
        });
        assert!(one.held.is_some() && !permits.are_waited_for());
    }

    #[test]
    fn neither_a_cancelled_run_waits_nor_one_whose_permit_has_a_worker_without_a_thread() {
        let permits = Arc::new(Permits::new(1));
        let mut one = permit(&permits);
        one.give_back();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let without_thread = runtime.block_on(permits.acquire());
        one.take_again(&Cancel::default());
        assert!(one.held.is_none());
        drop(without_thread);
        one.take_again(&Cancel::default());
        assert!(one.held.is_some());
        one.give_back();
        let _other = permit(&permits);
        let cancel = Cancel::default();
        cancel.cancel();
        one.take_again(&cancel);
        assert!(one.held.is_none());
    }
}
