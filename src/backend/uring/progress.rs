//! How far a request has come, for the worker that waits for it.

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::backend::Ringed;

/// How far a request has come; between one worker and the ring's thread.
#[derive(Debug, Default)]
pub(super) struct Progress {
    moved: AtomicU64,
    must_stop: AtomicBool,
    outcome: Mutex<Option<Ringed>>,
    finished: Condvar,
}

impl Progress {
    /// Bytes moved since this was last asked.
    pub(super) fn take_moved(&self) -> u64 {
        self.moved.swap(0, Ordering::Relaxed)
    }

    /// Begin no further chunk.
    pub(super) fn stop(&self) {
        self.must_stop.store(true, Ordering::Relaxed);
    }

    /// Wait for the end, but not for longer than `patience`.
    pub(super) fn wait(&self, patience: Duration) -> Option<Ringed> {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.finished.wait_timeout_while(outcome, patience, |outcome| outcome.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn must_stop(&self) -> bool {
        self.must_stop.load(Ordering::Relaxed)
    }

    pub(super) fn advanced(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn finish(&self, outcome: Ringed) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.finished.notify_one();
    }
}

/// Stops a request when whoever waits for it no longer does.
pub(super) struct StopOnDrop<'a>(pub(super) &'a Progress);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
