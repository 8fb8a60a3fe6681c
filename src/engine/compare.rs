//! A comparison under way, as its starter sees it.

use std::{
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{self, Poll},
    thread,
    time::Instant,
};

use futures::{
    FutureExt, Stream,
    future::{Fuse, FusedFuture},
};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};

use super::{Aborted, Engine, Shared, supervisor::Active};
use crate::{
    cancel::Cancel,
    compare::{self, Comparison, ComparisonReport, Finding, Reader},
    scheduler::Waiting,
    threads,
};

/// A comparison under way: a stream of [`Finding`]s, and in the end a [`ComparisonReport`].
///
/// Every finding is delivered, unless it is broken off, and a slow reader slows the comparison. Dropping it
/// breaks it off.
#[derive(Debug)]
pub struct Comparing {
    findings: mpsc::Receiver<Finding>,
    canceller: Canceller,
    supervisor: JoinHandle<ComparisonReport>,
}

/// Breaks a comparison off.
#[derive(Debug)]
struct Canceller {
    cancel: Cancel,
    /// Weak, as in [`super::Canceller`].
    shared: Weak<compare::Shared>,
}

impl Canceller {
    fn cancel(&self) {
        self.cancel.cancel();
        if let Some(shared) = self.shared.upgrade() {
            shared.queue.wake_all();
        }
    }
}

impl Engine {
    /// Start to compare, with as many workers as there are places for beside those of runs.
    ///
    /// It waits for a place as a run does, and makes room for runs that wait for one.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, whose blocking pool does the work.
    #[must_use = "dropping a comparison breaks it off"]
    pub fn compare(&self, comparison: Comparison) -> Comparing {
        /// Findings that wait for their reader.
        const WAITING: usize = 256;
        let cores = || thread::available_parallelism().unwrap_or(std::num::NonZeroUsize::MIN);
        let jobs = comparison.jobs.unwrap_or_else(cores).get().min(self.shared.limit);
        let (sender, findings) = mpsc::channel(WAITING);
        let cancel = Cancel::default();
        let engine = self.shared.clone();
        let known = (engine.descriptors.clone(), engine.mounts.clone());
        let permits = engine.permits.clone();
        let shared = compare::Shared::new(comparison, sender, cancel.clone(), permits, known, jobs);
        let shared = Arc::new(shared);
        let canceller = Canceller { cancel, shared: Arc::downgrade(&shared) };
        // From here on, not from the first poll, as a run.
        let active = Active::new(engine.clone());
        let supervisor = tokio::spawn(async move {
            let _active = active;
            let began = Instant::now();
            drive(&shared, &engine).await;
            let mut report = shared.report();
            report.cancelled = shared.cancel.is_cancelled();
            report.elapsed = began.elapsed();
            report
        });
        Comparing { findings, canceller, supervisor }
    }
}

/// Start workers while there is something to compare, until nothing is left or it is broken off.
async fn drive(shared: &Arc<compare::Shared>, engine: &Shared) {
    let mut workers = JoinSet::new();
    let mut waiting: Option<Waiting> = None;
    let mut acquiring = pin!(Fuse::terminated());
    loop {
        let need = shared.queue.need();
        let is_over = need.is_done || shared.cancel.is_cancelled();
        if is_over && workers.is_empty() || shared.cancel.is_cancelled() && shared.queue.close_unbegun() {
            return;
        }
        if need.wants_worker && workers.len() < need.limit && acquiring.is_terminated() {
            acquiring.set(engine.permits.acquire().fuse());
        }
        waiting = (workers.is_empty() && !acquiring.is_terminated())
            .then(|| waiting.take().unwrap_or_else(|| engine.permits.wait()));
        tokio::select! {
            biased;
            permit = &mut acquiring => {
                if shared.queue.need().wants_worker {
                    if workers.is_empty()
                        && let Err(error) = threads::try_one()
                    {
                        return shared.refuse(threads::refused(&error)).await;
                    }
                    let shared = shared.clone();
                    workers.spawn_blocking(move || Reader::run(shared, permit));
                }
            }
            Some(ended) = workers.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a worker ended unexpectedly");
                }
            }
            () = shared.queue.news.notified() => {}
        }
    }
}

impl Comparing {
    /// Break it off: what is waited for is waited for no longer, and findings that nobody reads are let go.
    pub fn cancel(&self) {
        self.canceller.cancel();
    }

    /// Wait for the end, letting go of findings that nobody has read; they are counted all the same.
    ///
    /// # Errors
    /// When the Tokio runtime is shut down first. What could not be compared is in the report.
    pub async fn finish(mut self) -> Result<ComparisonReport, Aborted> {
        self.findings.close();
        while self.findings.recv().await.is_some() {}
        (&mut self.supervisor).await.map_err(Aborted)
    }
}

impl Stream for Comparing {
    type Item = Finding;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Option<Finding>> {
        self.findings.poll_recv(context)
    }
}

impl Drop for Comparing {
    fn drop(&mut self) {
        self.canceller.cancel();
    }
}
