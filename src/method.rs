//! The ways of moving the bytes of a file.

/// A way of moving bytes from one file to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Sharing the blocks: `FICLONE`, `clonefile`.
    Reflink,
    /// `copy_file_range(2)`.
    CopyFileRange,
    /// The system's own file copy: `fcopyfile(3)`, `CopyFileExW`.
    System,
    /// `sendfile(2)`.
    Sendfile,
    /// `splice(2)` through a pipe.
    Splice,
    /// Many reads and writes in flight on a ring of `io_uring(7)`, with direct I/O where that works.
    IoUring,
    /// Reading into a buffer and writing it.
    Buffered,
}

impl Method {
    /// Every method, in the order of [`Method::index`].
    pub(crate) const ALL: [Method; 7] = [
        Method::Reflink,
        Method::CopyFileRange,
        Method::System,
        Method::Sendfile,
        Method::Splice,
        Method::IoUring,
        Method::Buffered,
    ];

    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// The method's name, as reports show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Method::Reflink => "reflink",
            Method::CopyFileRange => "copy_file_range",
            Method::System => "system",
            Method::Sendfile => "sendfile",
            Method::Splice => "splice",
            Method::IoUring => "io_uring",
            Method::Buffered => "buffered",
        }
    }
}
