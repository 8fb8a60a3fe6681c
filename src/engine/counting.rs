//! Counting what there is to be copied, before the copying or beside it.

use std::{future::pending, pin::pin, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{Engine, Run, Shared};
use crate::{
    backend::RingSlot,
    copy::Context,
    event::{Counted, Progress},
    job::CopyJob,
    options::{Compare, Limits, Mirror, Retry},
    report::WarningKind,
    scheduler::Permits,
};

/// Count first what there is to be copied, and stop the run if it does not fit.
pub(super) async fn preflight(context: &Context, shared: &Arc<Shared>) -> Option<Counted> {
    let job = context.setting.job.clone();
    let limits = Limits { preflight: false, max_errors: None, ..job.limits };
    // What files hold does not matter, and who deletes has his own run.
    let counting = job.dry_run(true).entry_events(false).limits(limits).compare(Compare::Times);
    // What may pass is waited for by the run itself.
    let counting = counting.retry(Retry::default());
    let counting = Engine { shared: shared.clone() }.start(counting.mirror(Mirror::default()));
    let canceller = counting.canceller();
    let mut finished = pin!(counting.finish());
    let report = loop {
        tokio::select! {
            biased;
            finished = &mut finished => break finished,
            () = context.queue.news.notified() => {
                if context.setting.cancel.is_cancelled() {
                    canceller.cancel();
                }
            }
        }
    };
    // What failed will fail again, and be told then.
    let report = report.ok()?;
    if let Some(warning) = report.warnings.iter().find(|warning| warning.kind == WarningKind::Room) {
        let why = format!("{}: {}", warning.kind.described(), warning.cause);
        let _ = context.ledger.stopped.set(why); // nobody else has a reason yet
        let _ = context.ledger.counted.set(report.totals.entries_found);
        context.setting.cancel.cancel();
    }
    let totals = &report.totals;
    (!report.cancelled).then_some(Counted {
        entries: totals.entries_found,
        bytes: totals.bytes_found,
        is_whole: true,
    })
}

/// Counts while the copying goes on, with a thread of its own.
pub(super) struct Ahead {
    counting: Run,
    progress: watch::Receiver<Progress>,
    /// It keeps as much open as a run.
    _seat: OwnedSemaphorePermit,
}

impl Ahead {
    /// Begin to count, where the limit of open files has room for it.
    pub(super) fn begin(job: &CopyJob, shared: &Shared) -> Option<Ahead> {
        let seat = shared.seats.clone().try_acquire_owned().ok()?;
        let beside = Shared {
            jobs: Some(1),
            permits: Arc::new(Permits::new(1)),
            seats: Arc::new(Semaphore::new(1)),
            limit: 1,
            descriptors: shared.descriptors.clone(),
            mounts: shared.mounts.clone(),
            ring: Arc::<RingSlot>::default(),
            active: watch::Sender::new(0),
        };
        let counting = Engine { shared: Arc::new(beside) }.start(job.clone().only_counting());
        Some(Ahead { progress: counting.progress(), counting, _seat: seat })
    }

    /// Wait until more is counted, for ever where nothing is; whenever that is broken off, nothing is lost.
    pub(super) async fn next(ahead: &mut Option<Ahead>) -> Counted {
        let Some(counting) = ahead else { return pending().await };
        let goes_on = counting.progress.changed().await.is_ok();
        let progress = counting.progress.borrow_and_update().clone();
        if !goes_on {
            *ahead = None;
        }
        let totals = &progress.totals;
        let is_whole = !goes_on && progress.walked;
        Counted { entries: totals.entries_found, bytes: totals.bytes_found, is_whole }
    }

    /// Break it off, and wait until it has ended.
    pub(super) async fn end(self) {
        self.counting.cancel();
        // What it has counted is of no more use.
        let _ = self.counting.finish().await;
    }
}
