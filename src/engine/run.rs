//! A copy under way, as its starter sees it.

use std::{
    collections::VecDeque,
    future::poll_fn,
    num::NonZeroU64,
    pin::Pin,
    sync::{Arc, Weak},
    task::{self, Poll, ready},
};

use futures::{FutureExt, Stream};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tracing::{
    Dispatch,
    instrument::{Instrument, WithSubscriber},
};

use super::{
    Shared,
    collector::{Collector, Ended, Listening},
    supervisor::supervise,
};
use crate::{
    copy::Context,
    event::{Event, Progress},
    outcomes::Outcomes,
    report::Report,
    scheduler::Limiter,
};

/// A copy under way: a stream of [`Event`]s, and in the end a [`Report`].
///
/// Every event is delivered once the stream is polled, and a slow reader then slows the copy. Before that, only
/// failures and warnings are all kept, in memory; of entries and retries no more than a thousand, whose place
/// [`Event::Missed`] takes. Dropping a run cancels it.
#[derive(Debug)]
pub struct Run {
    events: mpsc::Receiver<Event>,
    progress: watch::Receiver<Progress>,
    listening: Listening,
    canceller: Canceller,
    limits: LimitsHandle,
    supervisor: Option<JoinHandle<Ended>>,
    /// How it ended, once that is known.
    ended: Option<Result<Report, Aborted>>,
    /// Events that came last, once it has ended.
    unread: VecDeque<Event>,
}

/// Cancels a [`Run`] from elsewhere.
#[derive(Clone, Debug)]
pub struct Canceller(
    /// Weak: what a run keeps open it lets go of at its end, whoever still has one of these.
    Weak<Context>,
);

/// Changes the rates of a [`Run`] while it goes on.
#[derive(Clone, Debug)]
pub struct LimitsHandle(Arc<Limiter>);

impl LimitsHandle {
    /// The most bytes of content a second from now on, or no limit.
    pub fn set_bandwidth(&self, bytes_per_second: Option<NonZeroU64>) {
        self.0.set_bandwidth(bytes_per_second);
    }

    /// The most operations a second from now on, or no limit.
    pub fn set_operations(&self, per_second: Option<NonZeroU64>) {
        self.0.set_operations(per_second);
    }
}

/// The Tokio runtime was shut down before the run ended.
#[derive(Debug, thiserror::Error)]
#[error("the copy was abandoned because its Tokio runtime was shut down")]
pub struct Aborted(#[source] pub(super) tokio::task::JoinError);

impl Canceller {
    /// Stop the copy: calls under way end, no new ones begin, unfinished files are removed.
    pub fn cancel(&self) {
        if let Some(context) = self.0.upgrade() {
            context.setting.cancel.cancel();
            context.queue.wake_all();
        }
    }
}

/// Start the supervisor of a run.
pub(super) fn start(context: Arc<Context>, gathered: mpsc::Receiver<Outcomes>, shared: Arc<Shared>) -> Run {
    let (events_sender, events) = mpsc::channel(Collector::BACKLOG);
    let (progress_sender, progress) = watch::channel(Progress::default());
    let listening = Listening::default();
    let gather = Collector::new(context.clone(), events_sender, progress_sender, listening.clone());
    let span = tracing::info_span!("run", sources = ?context.setting.job.sources, target = ?context.setting.job.target);
    let canceller = Canceller(Arc::downgrade(&context));
    let limits = LimitsHandle(context.setting.limiter.clone());
    let only_counts = context.setting.job.only_counts;
    let supervising = supervise(context, gathered, gather, shared);
    let supervisor = match only_counts {
        false => tokio::spawn(supervising.instrument(span)),
        true => tokio::spawn(supervising.with_subscriber(Dispatch::none())),
    };
    Run {
        events,
        progress,
        listening,
        canceller,
        limits,
        supervisor: Some(supervisor),
        ended: None,
        unread: VecDeque::new(),
    }
}

impl Run {
    /// How far the copy has come; always the newest value, however seldom one looks.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// A handle that can change the rates of this run from elsewhere.
    #[must_use]
    pub fn limits(&self) -> LimitsHandle {
        self.limits.clone()
    }

    /// Stop the copy: calls under way end, no new ones begin, unfinished files are removed.
    ///
    /// [`Run::finish`] then says what was done until then.
    pub fn cancel(&self) {
        self.canceller.cancel();
    }

    /// A handle that can cancel this run from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Wait for the end, letting go of events nobody has read.
    ///
    /// # Errors
    /// When the Tokio runtime is shut down first. Entries that failed are in the report.
    pub async fn finish(mut self) -> Result<Report, Aborted> {
        self.events.close();
        while self.events.recv().await.is_some() {}
        poll_fn(|context| self.poll_end(context)).await;
        self.ended.take().expect("it has ended")
    }

    /// Wait until how it ended is known.
    fn poll_end(&mut self, context: &mut task::Context<'_>) -> Poll<()> {
        if let Some(supervisor) = &mut self.supervisor {
            let ended = ready!(supervisor.poll_unpin(context)).map_err(Aborted);
            self.supervisor = None;
            self.ended = Some(ended.map(|Ended { report, unread }| {
                self.unread = unread;
                report
            }));
        }
        Poll::Ready(())
    }
}

impl Stream for Run {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Option<Event>> {
        self.listening.begin();
        if let Some(event) = ready!(self.events.poll_recv(context)) {
            return Poll::Ready(Some(event));
        }
        ready!(self.poll_end(context));
        Poll::Ready(self.unread.pop_front())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.supervisor.is_some() {
            self.cancel();
        }
    }
}
