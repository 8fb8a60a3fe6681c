//! Saying that a run should stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::bell::Bell;

/// Says that a run should stop; shared by whoever may say so and everyone who must hear it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancel(Arc<Cancelling>);

#[derive(Debug, Default)]
struct Cancelling {
    is_cancelled: AtomicBool,
    bell: Arc<Bell>,
}

impl Cancel {
    pub(crate) fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::Relaxed);
        self.0.bell.ring();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Relaxed)
    }

    /// What wakes whoever sleeps when the run is cancelled.
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.0.bell
    }
}
