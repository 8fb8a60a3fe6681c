//! How the bytes of regular files are moved.

/// Whether copies may share blocks with their source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reflink {
    /// Share blocks where the filesystem can, copy otherwise. The default.
    #[default]
    Auto,
    /// Share blocks or fail the file.
    Always,
    /// Never share: neither `FICLONE` nor `copy_file_range`, which may share on its own.
    Never,
}

/// Whether the kernel moves the bytes (`copy_file_range`, `sendfile`, `splice`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZeroCopy {
    /// For files of at least the threshold, where it is expected to win. The default.
    #[default]
    Auto,
    /// For every file; what the kernel refuses is still copied through a buffer.
    Force,
    /// Never.
    Forbid,
}

/// What to do about holes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sparse {
    /// Holes where the source has holes. The default.
    #[default]
    Auto,
    /// Also turn runs of zeros into holes.
    Always,
    /// Write every byte; nothing is shared and no hole is kept.
    Never,
}

/// Whether large files go through a ring of `io_uring(7)`.
///
/// A ring has many requests in flight from one thread, and with direct I/O the bytes go past the page
/// cache: a sixth to two fifths of the CPU time of `cp` (docs/benchmarks.md), and nobody's cached files
/// are pushed out. It takes files of at least [`Backend::RING_MIN`] bytes whose blocks are not shared and
/// that have no holes to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// Where it proves faster: between local filesystems stretches of large files are tried each way, through a
    /// ring in files of at least [`Backend::TRIAL_MIN`] bytes, and what follows goes the best way. The default.
    #[default]
    Auto,
    /// Calls that block their worker, never a ring.
    Blocking,
    /// A ring for every file that it can take; where the kernel refuses one, as [`Backend::Blocking`],
    /// and the report says why.
    Uring,
}

impl Backend {
    /// The smallest file that goes through a ring, in bytes: 8 MiB.
    pub const RING_MIN: u64 = 8 << 20;
    /// The smallest file that [`Backend::Auto`] tries a ring with, in bytes: 64 MiB.
    pub const TRIAL_MIN: u64 = 64 << 20;
}

/// How the bytes of regular files are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataOptions {
    pub(crate) reflink: Reflink,
    pub(crate) zero_copy: ZeroCopy,
    pub(crate) sparse: Sparse,
    pub(crate) backend: Backend,
    /// Where it was asked for.
    pub(crate) threshold: Option<u64>,
}

impl Default for DataOptions {
    fn default() -> Self {
        DataOptions {
            reflink: Reflink::Auto,
            zero_copy: ZeroCopy::Auto,
            sparse: Sparse::Auto,
            backend: Backend::Auto,
            threshold: None,
        }
    }
}

impl DataOptions {
    /// The smallest file for zero-copy, in bytes, where a run begins that is not given any.
    pub const DEFAULT_THRESHOLD: u64 = 64 * 1024;

    /// Whether copies may share blocks with the source; [`Reflink::Auto`] by default.
    #[must_use]
    pub fn reflink(self, reflink: Reflink) -> Self {
        DataOptions { reflink, ..self }
    }

    /// Whether the kernel moves the bytes; [`ZeroCopy::Auto`] by default.
    #[must_use]
    pub fn zero_copy(self, zero_copy: ZeroCopy) -> Self {
        DataOptions { zero_copy, ..self }
    }

    /// What to do about holes; [`Sparse::Auto`] by default.
    #[must_use]
    pub fn sparse(self, sparse: Sparse) -> Self {
        DataOptions { sparse, ..self }
    }

    /// Whether large files go through a ring; [`Backend::Auto`] by default.
    #[must_use]
    pub fn backend(self, backend: Backend) -> Self {
        DataOptions { backend, ..self }
    }

    /// The smallest file for zero-copy, in bytes.
    ///
    /// By default a run begins with [`Self::DEFAULT_THRESHOLD`] and adapts it, between 16 KiB and
    /// 8 MiB, to what turns out to be faster; this pins it.
    #[must_use]
    pub fn threshold(self, bytes: u64) -> Self {
        DataOptions { threshold: Some(bytes), ..self }
    }
}
