//! What all workers of a run tell, and what is counted while it goes on.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::mpsc;

use super::{Found, Outcomes};
use crate::{cancel::Cancel, job::CopyJob, options::Delete, scheduler::Limiter};

/// What all workers of a run tell, and what is counted while it goes on.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Where workers tell what they did.
    pub(crate) outcomes: mpsc::Sender<Outcomes>,
    pub(crate) cancel: Cancel,
    pub(crate) limiter: Arc<Limiter>,
    /// Whether anybody wants a record of every entry.
    pub(crate) records_wanted: AtomicBool,
    pub(crate) found: Found,
    /// Failures so far.
    pub(crate) failed: AtomicU64,
    /// Why the run was stopped, if it was.
    pub(crate) stopped: OnceLock<String>,
    /// How many entries there are, where they were counted and the run was stopped for what that showed.
    pub(crate) counted: OnceLock<u64>,
    /// So many failures stop the run.
    errors_max: Option<u64>,
    pub(super) tells_costs: bool,
    /// Whether the run only deletes, and leaves everything else alone.
    pub(super) only_deletes: bool,
}

impl Ledger {
    pub(crate) fn new(
        job: &CopyJob,
        outcomes: mpsc::Sender<Outcomes>,
        cancel: Cancel,
        limiter: Arc<Limiter>,
    ) -> Ledger {
        Ledger {
            outcomes,
            cancel,
            limiter,
            records_wanted: AtomicBool::new(job.entry_events),
            found: Found::new(job.sources.len(), job.selection.follow),
            failed: AtomicU64::new(0),
            stopped: OnceLock::new(),
            counted: OnceLock::new(),
            errors_max: job.limits.max_errors.map(std::num::NonZeroU64::get),
            tells_costs: job.entry_costs,
            only_deletes: job.mirror.delete == Delete::Only,
        }
    }

    /// Stop the run, for this reason unless there was one.
    pub(crate) fn stop(&self, why: String) {
        let _ = self.stopped.set(why); // the first reason is as good as any
        self.cancel.cancel();
    }

    /// Count a failure; where they are too many, the run is stopped.
    pub(super) fn count_failure(&self) {
        let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(most) = self.errors_max.filter(|most| failed >= *most) {
            self.stop(format!("{most} failures are as many as --max-errors allows"));
        }
    }
}
