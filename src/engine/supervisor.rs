//! Driving one run: workers are started while there is work for them, and their news gathered.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::{
    FutureExt,
    future::{Fuse, FusedFuture},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinSet,
};

use super::{Shared, gather::Gather};
use crate::{
    report::Report,
    scheduler::{Context, Outcomes, Worker},
};

/// Cancels the workers when the supervisor itself is dropped, with its runtime.
struct StopWorkers(Arc<Context>);

impl Drop for StopWorkers {
    fn drop(&mut self) {
        if !self.0.queue.need().is_done {
            self.0.cancel.cancel();
        }
        self.0.queue.wake_all();
    }
}

/// Counts a run as active.
struct Active(Arc<Shared>);

impl Active {
    fn new(shared: Arc<Shared>) -> Active {
        shared.active.send_modify(|runs| *runs += 1);
        Active(shared)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.send_modify(|runs| *runs -= 1);
    }
}

/// Counts a run as waiting for its first worker, so that other runs make room.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn new(runs: &Arc<AtomicUsize>) -> Waiting {
        runs.fetch_add(1, Ordering::Relaxed);
        Waiting(runs.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Drive a run until everything is done or, once cancelled, cleaned up.
pub(super) fn supervise(
    context: Arc<Context>,
    mut gathered: mpsc::Receiver<Outcomes>,
    mut gather: Gather,
    shared: Arc<Shared>,
) -> impl Future<Output = Report> {
    // From here on, not from the first poll: a run counts as active once it is started.
    let active = Active::new(shared.clone());
    async move {
        let _active = active;
        let _stop = StopWorkers(context.clone());
        let mut workers = JoinSet::new();
        let mut waiting: Option<Waiting> = None;
        let acquiring = Fuse::terminated();
        tokio::pin!(acquiring);
        loop {
            let need = context.queue.need();
            if need.is_done && workers.is_empty() {
                break;
            }
            if need.wants_worker && context.cancel.is_cancelled() && workers.is_empty() {
                // Somebody has to clean up; that is not worth waiting for a place.
                start_worker(&mut workers, &context, None);
            } else if need.wants_worker && workers.len() < need.limit && acquiring.is_terminated() {
                acquiring.set(shared.permits.clone().acquire_owned().fuse());
                if workers.is_empty() {
                    waiting = Some(Waiting::new(&shared.waiting_runs));
                }
            }
            tokio::select! {
                biased;
                Some(outcomes) = gathered.recv() => gather.absorb(outcomes, need.alive).await,
                permit = &mut acquiring => {
                    waiting = None;
                    if context.queue.need().wants_worker {
                        let permit = permit.expect("an engine never closes its semaphore");
                        start_worker(&mut workers, &context, Some(permit));
                    }
                }
                Some(ended) = workers.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a worker ended unexpectedly");
                    }
                }
                () = context.queue.news.notified() => {}
            }
        }
        drop(waiting);
        while let Ok(outcomes) = gathered.try_recv() {
            gather.absorb(outcomes, 0).await;
        }
        gather.finish().await
    }
}

fn start_worker(workers: &mut JoinSet<()>, context: &Arc<Context>, permit: Option<OwnedSemaphorePermit>) {
    let context = context.clone();
    let span = tracing::Span::current();
    workers.spawn_blocking(move || {
        let _permit = permit;
        span.in_scope(|| Worker::run(context));
    });
}
