//! Driving one run: workers are started while there is work for them, and their news gathered.

use std::sync::Arc;

use futures::{
    FutureExt,
    future::{Fuse, FusedFuture},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinSet,
};

use super::{
    Shared,
    collector::{Collector, Counts, Ended},
    counting::{Ahead, preflight},
};
use crate::{
    copy::{Context, Copier},
    outcomes::Outcomes,
    scheduler::{Permit, Waiting},
    threads,
};

/// Cancels the workers when the supervisor itself is dropped, with its runtime.
struct StopWorkers(Arc<Context>);

impl Drop for StopWorkers {
    fn drop(&mut self) {
        if !self.0.queue.need().is_done {
            self.0.setting.cancel.cancel();
        }
        self.0.queue.wake_all();
    }
}

/// Counts a run or a comparison as active.
pub(super) struct Active(Arc<Shared>);

impl Active {
    pub(super) fn new(shared: Arc<Shared>) -> Active {
        shared.active.send_modify(|runs| *runs += 1);
        Active(shared)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.send_modify(|runs| *runs -= 1);
    }
}

/// Drive a run until everything is done or, once cancelled, cleaned up; then say what was done.
pub(super) fn supervise(
    context: Arc<Context>,
    mut gathered: mpsc::Receiver<Outcomes>,
    mut gather: Collector,
    shared: Arc<Shared>,
) -> impl Future<Output = Ended> {
    // From here on, not from the first poll: a run counts as active once it is started.
    let active = Active::new(shared.clone());
    async move {
        let _active = active;
        let _stop = StopWorkers(context.clone());
        if context.setting.job.limits.preflight
            && !context.setting.job.only_tells()
            && let Some(counted) = preflight(&context, &shared).await
        {
            gather.count(counted, Counts::ToBeCopied);
        }
        let _seat = take_seat(&context, &shared).await;
        shared.descriptors.recover();
        let mut ahead =
            context.setting.job.counts_ahead().then(|| Ahead::begin(&context.setting.job, &shared)).flatten();
        drive(&context, &mut gathered, &mut gather, &shared, &mut ahead).await;
        if let Some(ahead) = ahead {
            ahead.end().await;
        }
        gather.finish()
    }
}

/// Wait until the run may begin; a cancelled one has nothing to begin.
async fn take_seat(context: &Context, shared: &Shared) -> Option<OwnedSemaphorePermit> {
    let seat = shared.seats.clone().acquire_owned();
    tokio::pin!(seat);
    while !context.setting.cancel.is_cancelled() {
        tokio::select! {
            biased;
            seat = &mut seat => return Some(seat.expect("an engine never closes its semaphore")),
            () = context.queue.news.notified() => {}
        }
    }
    None
}

/// Start workers while there is work for them, and gather their news, until nothing is left of either.
async fn drive(
    context: &Arc<Context>,
    gathered: &mut mpsc::Receiver<Outcomes>,
    gather: &mut Collector,
    shared: &Shared,
    ahead: &mut Option<Ahead>,
) {
    let mut workers = JoinSet::new();
    // What workers had not told when they left.
    let mut untold = Vec::new();
    let mut waiting: Option<Waiting> = None;
    let acquiring = Fuse::terminated();
    tokio::pin!(acquiring);
    loop {
        let need = context.queue.need();
        let has_heard_all = gathered.is_empty() && !gather.is_behind();
        if has_heard_all {
            // Only now: the same workers told what is older.
            untold.drain(..).for_each(|outcomes| gather.absorb(outcomes, need.alive));
        }
        if need.is_done && workers.is_empty() && has_heard_all {
            break;
        }
        if context.setting.cancel.is_cancelled() && context.queue.close_unbegun() {
            break; // those that have no thread yet will find nothing to do
        }
        if need.wants_worker && context.setting.cancel.is_cancelled() && workers.is_empty() {
            // Somebody has to clean up; that is not worth waiting for a place.
            match threads::try_one() {
                Ok(()) => start_worker(&mut workers, context, shared.permits.none()),
                // Here then: there is nothing to do but to let go of everything.
                Err(_) => untold.push(Copier::run(context.clone(), shared.permits.none())),
            }
        } else if need.wants_worker
            && has_room(context, &untold)
            && workers.len() < need.limit
            && acquiring.is_terminated()
        {
            acquiring.set(shared.permits.acquire().fuse());
        }
        waiting = (workers.is_empty() && !acquiring.is_terminated())
            .then(|| waiting.take().unwrap_or_else(|| shared.permits.wait()));
        // Asked once, since the answer changes as soon as somebody begins to read.
        let is_behind = gather.is_behind();
        // Nothing here may wait for the reader of events alone: he may never come back, and a place
        // that is assigned meanwhile has to be used or given back.
        tokio::select! {
            biased;
            () = gather.deliver(), if is_behind => {}
            Some(outcomes) = gathered.recv(), if !is_behind => gather.absorb(outcomes, need.alive),
            permit = &mut acquiring => {
                if context.queue.need().wants_worker && has_room(context, &untold) {
                    start_if_possible(&mut workers, context, permit);
                }
            }
            Some(ended) = workers.join_next() => match ended {
                Ok(outcomes) => untold.push(outcomes),
                Err(error) => tracing::error!(%error, "a worker ended unexpectedly"),
            },
            () = context.queue.news.notified() => {}
            counted = Ahead::next(ahead) => gather.count(counted, Counts::All),
        }
    }
}

/// Whether another worker could tell what it does; what is untold by those that left comes first, so
/// that it never is more than one of each.
fn has_room(context: &Context, untold: &[Outcomes]) -> bool {
    untold.is_empty() && context.ledger.outcomes.capacity() > 0
}

/// Start a worker; where the system has no thread for the first, the run stops. Others are waited for where there
/// is a first.
fn start_if_possible(workers: &mut JoinSet<Outcomes>, context: &Arc<Context>, permit: Permit) {
    match if workers.is_empty() { threads::try_one() } else { Ok(()) } {
        Ok(()) => start_worker(workers, context, permit),
        Err(error) => {
            let _ = context.ledger.stopped.set(threads::refused(&error));
            context.setting.cancel.cancel();
        }
    }
}

fn start_worker(workers: &mut JoinSet<Outcomes>, context: &Arc<Context>, permit: Permit) {
    let context = context.clone();
    let span = tracing::Span::current();
    workers.spawn_blocking(move || {
        let work = || span.in_scope(|| Copier::run(context.clone(), permit));
        // What it comes across the run itself will tell.
        if context.setting.job.only_counts {
            return tracing::dispatcher::with_default(&tracing::Dispatch::none(), work);
        }
        work()
    });
}
