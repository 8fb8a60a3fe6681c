//! Copies directory trees, faithfully and fast.
//!
//! An [`Engine`] runs [`CopyJob`]s: each becomes a [`Run`], a stream of [`Event`]s that ends in a
//! [`Report`]. Blocking work is done by a bounded number of worker loops on Tokio's blocking pool;
//! no executor thread ever waits for a disk, and nothing of the process (umask, working directory,
//! signals, limits) is changed.
//!
//! What happens is told to [`tracing`]: a span for each run and, at debug level, for each directory
//! being copied, with its failures as events. Nothing listens by default.
//!
//! ```no_run
//! use futures::StreamExt;
//! use orbit::{CopyJob, Engine, Event};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::builder().jobs(8).build()?;
//! let mut run = engine.start(CopyJob::new("photos", "/backup/photos"));
//! while let Some(event) = run.next().await {
//!     if let Event::Failed(failure) = event {
//!         eprintln!("{failure}: {}", failure.cause());
//!     }
//! }
//! let report = run.finish().await?;
//! println!("{} files", report.totals.files_copied);
//! # Ok(())
//! # }
//! ```

mod backend;
mod bell;

mod cancel;
mod capabilities;
mod choice;
mod compare;
mod copy;
mod digest;
mod durability;
mod engine;
mod entry;
mod error;
mod event;
mod fidelity;
mod fill;
mod frames;
mod guard;
mod job;
mod large;
mod learned;
mod manifest;
mod method;
mod mirror;
mod naming;
mod options;
mod outcomes;
mod pair_report;
mod plan;
mod platform;
mod probe;
mod refusal;
mod report;
mod resume;
mod scheduler;
mod select;
mod setting;
mod space;
mod storage;
mod threads;
mod transfer;
mod tree;
mod verify;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use {frames::fuzz as fuzz_frames, resume::journal::fuzz as fuzz_journal, select::fuzz_ignores};

pub use capabilities::{
    Ability, Capabilities, Conveniences, Filesystem, Keeps, KernelCopies, LadderOfSize, ZeroCopyCapabilities,
};
pub use compare::{Comparison, ComparisonReport, Difference, Finding, What};
pub use digest::{Digest, DigestKind, NoDigest};
pub use engine::{Aborted, Canceller, Comparing, Engine, EngineBuilder, LimitsHandle, Run};
pub use entry::Kind;
pub use error::{Failure, Op, Side};
pub use event::{Cost, Counted, Differs, Done, Event, Progress, Retrying};
pub use job::{CopyJob, Target};
pub use learned::Route;
pub use manifest::{BadLine, ManifestLine, manifest_kind, read_manifest};
pub use method::{Declined, Method};
pub use options::{
    Attributes, Backend, Compare, Compression, DataOptions, Delete, Existing, FollowLinks, Fsync, Limits,
    MaxDelete, Mirror, Preserve, Reflink, Retry, Selection, Sparse, Verify, ZeroCopy,
};
pub use pair_report::{PairReport, RefusedMethod, RouteRate, RouteStep, ThresholdStep};
pub use plan::{ZeroCopyRequest, should_use_zero_copy};
pub use platform::DirectIo;
pub use refusal::Refusal;
pub use report::{Jobs, JobsStep, Moved, NotTried, Outcome, Report, Totals, Warning, WarningKind};

pub use select::{BadName, BadPattern, FileList, Rule};
pub use storage::Storage;
pub use tree::is_own_name;

/// The README's example, compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
