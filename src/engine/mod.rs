//! Engines and the runs they drive: the asynchronous side, which does no I/O itself.

mod adapt;
mod collector;
mod compare;
mod counting;
mod run;
mod supervisor;

use std::{io, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, mpsc, watch};

pub use compare::Comparing;
pub use run::{Aborted, Canceller, LimitsHandle, Run};

use crate::{
    backend::RingSlot,
    cancel::Cancel,
    copy::{Context, EngineHandles, JobsLimit},
    job::CopyJob,
    platform::Mounts,
    scheduler::Permits,
    tree::Descriptors,
};

/// Runs copies, as many as are started, within one limit of workers.
///
/// Cheap to clone; an engine without runs holds no thread.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use orbit::{CopyJob, Engine};
///
/// let engine = Engine::new()?;
/// let report = engine.start(CopyJob::new("photos", "/backup/photos")).finish().await?;
/// for failure in &report.failures {
///     eprintln!("{failure}: {}", failure.cause());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What all runs of an engine share.
#[derive(Debug)]
struct Shared {
    jobs: Option<usize>,
    /// Places of workers.
    permits: Arc<Permits>,
    /// Places of runs that have begun: each keeps directories open until it ends.
    seats: Arc<Semaphore>,
    limit: usize,
    descriptors: Arc<Descriptors>,
    mounts: Arc<Mounts>,
    ring: Arc<RingSlot>,
    active: watch::Sender<usize>,
}

/// Settings of an [`Engine`].
#[derive(Clone, Debug, Default)]
pub struct EngineBuilder {
    jobs: Option<usize>,
    patience: Option<Duration>,
}

impl EngineBuilder {
    /// At most this many workers for all runs together.
    ///
    /// By default each run has as many as suit its storage and this machine's cores, and all runs
    /// together at most 64.
    #[must_use]
    pub fn jobs(self, jobs: usize) -> Self {
        EngineBuilder { jobs: Some(jobs), ..self }
    }

    /// How long to wait for a descriptor where the process, or the system, has none left; 10 seconds by default.
    ///
    /// Whoever else lives in the process may give some back: until then the engine's runs and comparisons open as little
    /// as they can. After that time an entry fails as it does at once with [`Duration::ZERO`], and so do others for as
    /// long as no descriptor is given back; such a failure can be tried again ([`Retry`](crate::Retry)).
    #[must_use]
    pub fn wait_for_descriptors(self, patience: Duration) -> Self {
        EngineBuilder { patience: Some(patience), ..self }
    }

    /// Build the engine.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for no workers at all.
    pub fn build(self) -> io::Result<Engine> {
        if self.jobs == Some(0) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an engine needs at least one worker"));
        }
        let limit = self.jobs.unwrap_or(Engine::JOBS_MAX).min(Semaphore::MAX_PERMITS);
        let descriptors =
            Arc::new(Descriptors::within_limit(limit, self.patience.unwrap_or(Descriptors::PATIENCE)));
        let permits = limit.min(descriptors.workers_max());
        let seats = descriptors.runs_max().min(Semaphore::MAX_PERMITS);
        let shared = Shared {
            jobs: self.jobs,
            permits: Arc::new(Permits::new(permits)),
            seats: Arc::new(Semaphore::new(seats)),
            limit,
            descriptors,
            mounts: Arc::default(),
            ring: Arc::default(),
            active: watch::Sender::new(0),
        };
        Ok(Engine { shared: Arc::new(shared) })
    }
}

impl Engine {
    /// The most workers of all runs together, where no limit is given.
    pub const JOBS_MAX: usize = 64;
    /// Batches of outcomes that wait for the supervisor before workers wait for it.
    const OUTCOMES: usize = 64;

    /// An engine with default settings.
    ///
    /// # Errors
    /// As [`EngineBuilder::build`]; none today.
    pub fn new() -> io::Result<Engine> {
        Engine::builder().build()
    }

    /// Settings for an engine.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Start a copy, which goes on whether or not the [`Run`] is polled, until it is dropped.
    ///
    /// It begins when a worker is free for it, and while the limit of open files has room: runs that
    /// are more than that wait until others have ended.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, whose blocking pool does the work.
    #[must_use = "dropping a run cancels it"]
    pub fn start(&self, job: CopyJob) -> Run {
        let shared = &self.shared;
        let cancel = Cancel::default();
        let (outcomes, gathered) = mpsc::channel(Self::OUTCOMES);
        let shares = EngineHandles {
            descriptors: shared.descriptors.clone(),
            mounts: shared.mounts.clone(),
            permits: shared.permits.clone(),
            ring: shared.ring.clone(),
            jobs_limit: JobsLimit { engine: shared.limit, asked: job.jobs.or(shared.jobs) },
        };
        let context = Arc::new(Context::new(job, outcomes, cancel, shares));
        run::start(context, gathered, shared.clone())
    }

    /// Wait until no run and no comparison is active, those included that were dropped and are cleaning up.
    pub async fn quiesce(&self) {
        let mut active = self.shared.active.subscribe();
        // The sender lives in this engine, so waiting cannot fail.
        let _ = active.wait_for(|runs| *runs == 0).await;
    }
}
