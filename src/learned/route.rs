//! Which ways the bytes of a large file can go.

/// Which way the bytes of a large file go, and how many workers it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// Inside the kernel (`copy_file_range(2)`, `splice(2)`), one worker a file.
    Kernel,
    /// Inside the kernel, ranges of one file by several workers.
    KernelRanges,
    /// Read into a buffer and written from it, one worker a file.
    Buffer,
    /// Through buffers, ranges of one file by several workers.
    BufferRanges,
    /// Through a ring (`io_uring(7)`) with direct I/O.
    Ring,
    /// As [`Route::KernelRanges`], of a file that would otherwise be written to its device meanwhile: its bytes are
    /// left in memory, for the system to write when it sees fit.
    Deferred,
}

impl Route {
    /// Every way.
    pub const ALL: [Route; 6] = [
        Route::Kernel,
        Route::KernelRanges,
        Route::Buffer,
        Route::BufferRanges,
        Route::Ring,
        Route::Deferred,
    ];

    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// What it is called in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Route::Kernel => "kernel",
            Route::KernelRanges => "kernel-ranges",
            Route::Buffer => "buffer",
            Route::BufferRanges => "buffer-ranges",
            Route::Ring => "ring",
            Route::Deferred => "deferred",
        }
    }

    /// The same in words for the user.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Route::Kernel => "inside the kernel",
            Route::KernelRanges => "ranges inside the kernel",
            Route::Buffer => "through a buffer",
            Route::BufferRanges => "ranges through buffers",
            Route::Ring => "by a ring",
            Route::Deferred => "left in memory, ranges inside the kernel",
        }
    }

    /// Whether one file may have several workers.
    pub(crate) fn shares(self) -> bool {
        matches!(self, Route::KernelRanges | Route::BufferRanges | Route::Deferred)
    }

    /// The same with one worker a file.
    pub(crate) fn alone(self) -> Route {
        match self {
            Route::KernelRanges => Route::Kernel,
            Route::BufferRanges => Route::Buffer,
            Route::Deferred => Route::Kernel,
            route => route,
        }
    }

    /// Whether bytes go through buffers of workers.
    pub(crate) fn is_buffered(self) -> bool {
        matches!(self, Route::Buffer | Route::BufferRanges)
    }
}

/// When the bytes of a large file go to their device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// When the system sees fit.
    Later,
    /// While it is copied, unless leaving them proves much faster.
    Weighed,
    /// While it is copied.
    Meanwhile,
}

impl Writing {
    pub(crate) const ALL: [Writing; 3] = [Writing::Later, Writing::Weighed, Writing::Meanwhile];
}
