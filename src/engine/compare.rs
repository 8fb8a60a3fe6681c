//! A comparison under way, as its starter sees it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    thread,
    time::Instant,
};

use futures::Stream;
use tokio::{sync::mpsc, task::JoinHandle};

use super::{Aborted, Engine};
use crate::{
    compare::{Comparison, ComparisonReport, Finding, Reader, Shared},
    scheduler::Cancel,
};

/// A comparison under way: a stream of [`Finding`]s, and in the end a [`ComparisonReport`].
///
/// Every finding is delivered, and a slow reader slows the comparison. Dropping it breaks it off.
#[derive(Debug)]
pub struct Comparing {
    findings: mpsc::Receiver<Finding>,
    cancel: Cancel,
    supervisor: JoinHandle<ComparisonReport>,
}

impl Engine {
    /// Start to compare, with as many workers as there are places for.
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
        let shared = Arc::new(Shared::new(comparison, sender, cancel.clone()));
        let engine = self.shared.clone();
        let supervisor = tokio::spawn(async move {
            let began = Instant::now();
            let mut workers = tokio::task::JoinSet::new();
            for index in 0..jobs {
                // One place is waited for; more are taken as far as they are free.
                let permit = match index {
                    0 => engine.permits.clone().acquire_owned().await.ok(),
                    _ => engine.permits.clone().try_acquire_owned().ok(),
                };
                let Some(permit) = permit else { break };
                let shared = shared.clone();
                workers.spawn_blocking(move || {
                    let _permit = permit;
                    Reader::run(shared);
                });
            }
            while workers.join_next().await.is_some() {}
            let mut report = shared.report();
            report.cancelled = shared.cancel.is_cancelled();
            report.elapsed = began.elapsed();
            report
        });
        Comparing { findings, cancel, supervisor }
    }
}

impl Comparing {
    /// Break it off.
    pub fn cancel(&self) {
        self.cancel.cancel();
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
        self.cancel.cancel();
    }
}
