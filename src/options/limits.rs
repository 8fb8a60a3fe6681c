//! What a run may take, and when it gives up.

use std::num::NonZeroU64;

/// What a run may take, and when it gives up; by default there are no limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub(crate) bandwidth: Option<NonZeroU64>,
    pub(crate) operations: Option<NonZeroU64>,
    pub(crate) max_errors: Option<NonZeroU64>,
    pub(crate) idle_io: bool,
    pub(crate) preflight: bool,
}

impl Limits {
    /// The most bytes of content a second that are put in place, by all workers and methods together.
    ///
    /// Shared blocks do not count, nor what is read to verify. The rate is kept smooth: calls are cut to
    /// what it allows in a twentieth of a second, and large files do not go through a ring.
    #[must_use]
    pub fn bandwidth(self, bytes_per_second: NonZeroU64) -> Self {
        Limits { bandwidth: Some(bytes_per_second), ..self }
    }

    /// The most operations a second: each entry that is begun is one, and each call that moves content.
    #[must_use]
    pub fn operations(self, per_second: NonZeroU64) -> Self {
        Limits { operations: Some(per_second), ..self }
    }

    /// Stop the run after this many failures.
    #[must_use]
    pub fn max_errors(self, failures: NonZeroU64) -> Self {
        Limits { max_errors: Some(failures), ..self }
    }

    /// Whether to count first what the copies would take, and to write nothing where that is more than the
    /// destination has room for; not by default.
    ///
    /// That takes as long as a dry run. Files that may come to share their blocks, or are compressed, are not
    /// counted; nor is what an earlier run with [`CopyJob::resume`](crate::CopyJob::resume) has put in place.
    #[must_use]
    pub fn preflight(self, preflight: bool) -> Self {
        Limits { preflight, ..self }
    }

    /// Whether workers only use a disk that nobody else wants (`IOPRIO_CLASS_IDLE`, ioprio_set(2)), where
    /// the system and its I/O scheduler know of that.
    #[must_use]
    pub fn idle_io(self, idle_io: bool) -> Self {
        Limits { idle_io, ..self }
    }
}
