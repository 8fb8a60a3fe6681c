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

/// Why zero-copy is not used for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Declined {
    /// This system has no zero-copy calls.
    Platform,
    /// The caller forbade it.
    Configuration,
    /// The file is smaller than the threshold.
    BelowThreshold,
    /// The filesystems differ and no call crosses them.
    Filesystems,
    /// The bytes are compressed.
    Compression,
    /// A buffer was faster, as was tried on the bytes of large files.
    Slower,
    /// Blocks of zeros are searched for in every file.
    Zeros,
    /// The filesystems refused every call.
    Refused,
    /// The file went through a buffer to see whether that is faster.
    Trial,
}

impl Declined {
    /// Every reason, in the order of [`Declined::index`].
    pub(crate) const ALL: [Declined; 9] = [
        Declined::Platform,
        Declined::Configuration,
        Declined::BelowThreshold,
        Declined::Filesystems,
        Declined::Compression,
        Declined::Slower,
        Declined::Zeros,
        Declined::Refused,
        Declined::Trial,
    ];

    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// The reason in a few words.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Declined::Platform => "no zero-copy on this system",
            Declined::Configuration => "forbidden by option",
            Declined::BelowThreshold => "smaller than the threshold",
            Declined::Filesystems => "different filesystems",
            Declined::Compression => "compressed on the way",
            Declined::Slower => "slower here, as was tried",
            Declined::Zeros => "zeros are searched for in every file",
            Declined::Refused => "refused by the filesystems",
            Declined::Trial => "tried through a buffer for comparison",
        }
    }
}
