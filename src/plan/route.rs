//! Which ways the bytes of a large file can go.

use super::{Pair, ladder::Ladder};
use crate::{
    method::Method,
    options::{Backend, DataOptions, Sparse, ZeroCopy},
    storage::Storage,
};

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

/// The ways that large files may go between two filesystems, the one to begin with first, and the way of those that
/// a ring leaves where it is the only one.
///
/// `ladder` is that of a large file, and `jobs` how many workers there may be. One way alone is nothing to find out.
pub(crate) fn routes(
    data: &DataOptions,
    pair: &Pair,
    ladder: &Ladder,
    jobs: usize,
    writing: Writing,
) -> (Vec<Route>, Route) {
    let kernel = ladder.methods().any(|method| matches!(method, Method::CopyFileRange | Method::Splice));
    // Servers copy by themselves, or wait for each request; and systems that copy whole files do it all at once.
    let is_settled =
        pair.storage == Storage::Remote || ladder.methods().any(|method| method == Method::System);
    let mut routes = match (kernel, jobs > 1) {
        _ if is_settled => vec![Route::KernelRanges],
        (true, true) if data.zero_copy == ZeroCopy::Force => vec![Route::KernelRanges, Route::Kernel],
        (true, false) if data.zero_copy == ZeroCopy::Force => vec![Route::Kernel],
        (true, true) => vec![Route::KernelRanges, Route::BufferRanges, Route::Kernel],
        (true, false) => vec![Route::Kernel, Route::Buffer],
        (false, true) => vec![Route::BufferRanges, Route::Buffer],
        (false, false) => vec![Route::Buffer],
    };
    let fallback = routes[0];
    if writing == Writing::Weighed && !is_settled {
        // The device decides: buffers in place of the kernel's copy are not worth a trial. One worker is, since
        // several may wait for the file's lock.
        if kernel {
            routes.retain(|route| !route.is_buffered());
        }
        routes.insert(0, Route::Deferred);
    }
    if data.sparse == Sparse::Always || pair.refuses(Method::IoUring) {
        return (routes, fallback);
    }
    match data.backend {
        Backend::Uring => routes = vec![Route::Ring],
        Backend::Auto if !is_settled && data.zero_copy != ZeroCopy::Force => {
            // It writes meanwhile by itself.
            routes.insert(if writing == Writing::Later { routes.len() } else { 0 }, Route::Ring);
        }
        Backend::Auto | Backend::Blocking => {}
    }
    (routes, fallback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{capabilities::ZeroCopyCapabilities, plan};

    fn chosen(data: DataOptions, pair: &Pair, jobs: usize, writing: Writing) -> Vec<Route> {
        let able = ZeroCopyCapabilities {
            available: true,
            cross_filesystem: true,
            methods: &[Method::CopyFileRange, Method::Sendfile, Method::Splice],
        };
        routes(&data, pair, &plan::ladder(&data, &able, pair, 1 << 30), jobs, writing).0
    }

    #[test]
    fn what_is_tried_follows_from_options_workers_and_storage() {
        use Route::*;
        let auto = DataOptions::default();
        let local = Pair::new(true, Storage::Solid);
        let remote = Pair::new(true, Storage::Remote);
        for (data, pair, jobs, expected) in [
            (auto, &local, 2, &[KernelRanges, BufferRanges, Kernel, Ring][..]),
            (auto, &local, 1, &[Kernel, Buffer, Ring]),
            (auto, &remote, 8, &[KernelRanges]),
            (auto.backend(Backend::Uring), &remote, 8, &[Ring]),
            (auto.backend(Backend::Blocking), &local, 2, &[KernelRanges, BufferRanges, Kernel]),
            (auto.zero_copy(ZeroCopy::Force), &local, 2, &[KernelRanges, Kernel]),
            (auto.zero_copy(ZeroCopy::Forbid), &local, 2, &[BufferRanges, Buffer, Ring]),
            (auto.sparse(Sparse::Always), &local, 1, &[Buffer]),
        ] {
            assert_eq!(chosen(data, pair, jobs, Writing::Later), expected, "{data:?} {jobs}");
        }
        assert_eq!(chosen(auto, &local, 2, Writing::Meanwhile), [Ring, KernelRanges, BufferRanges, Kernel]);
        let weighed = chosen(auto, &local, 2, Writing::Weighed);
        assert_eq!(weighed, [Ring, Deferred, KernelRanges, Kernel]);
        let blocking = auto.backend(Backend::Blocking);
        assert_eq!(chosen(blocking, &local, 1, Writing::Weighed), [Deferred, Kernel]);
        local.refuse(Method::IoUring, Some(22));
        assert!(!chosen(auto.backend(Backend::Uring), &local, 2, Writing::Later).contains(&Ring));
    }
}
