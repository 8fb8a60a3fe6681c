//! Which ways the bytes of a large file can go.

use super::{Pair, jobs::Storage, ladder::Ladder};
use crate::{
    method::Method,
    options::{Backend, DataOptions, Sparse, ZeroCopy},
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
}

impl Route {
    /// Every way.
    pub const ALL: [Route; 5] =
        [Route::Kernel, Route::KernelRanges, Route::Buffer, Route::BufferRanges, Route::Ring];

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
        }
    }

    /// Whether one file may have several workers.
    pub(crate) fn shares(self) -> bool {
        matches!(self, Route::KernelRanges | Route::BufferRanges)
    }

    /// The same with one worker a file.
    pub(crate) fn alone(self) -> Route {
        match self {
            Route::KernelRanges => Route::Kernel,
            Route::BufferRanges => Route::Buffer,
            route => route,
        }
    }

    /// Whether bytes go through buffers of workers.
    pub(crate) fn is_buffered(self) -> bool {
        matches!(self, Route::Buffer | Route::BufferRanges)
    }
}

/// The ways that large files may go between two filesystems, the one to begin with first, and the way of those that
/// a ring leaves where it is the only one.
///
/// `ladder` is that of a large file, `jobs` how many workers there may be, and `is_written` says that files are written
/// to their device meanwhile, which the ring does by itself. One way alone is nothing to find out.
pub(crate) fn routes(
    data: &DataOptions,
    pair: &Pair,
    ladder: &Ladder,
    jobs: usize,
    is_written: bool,
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
    if data.sparse == Sparse::Always || pair.refuses(Method::IoUring) {
        return (routes, fallback);
    }
    match data.backend {
        Backend::Uring => routes = vec![Route::Ring],
        Backend::Auto if !is_settled && data.zero_copy != ZeroCopy::Force => {
            routes.insert(if is_written { 0 } else { routes.len() }, Route::Ring);
        }
        Backend::Auto | Backend::Blocking => {}
    }
    (routes, fallback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{capabilities::ZeroCopyCapabilities, plan};

    fn chosen(data: DataOptions, pair: &Pair, jobs: usize, is_written: bool) -> Vec<Route> {
        let able = ZeroCopyCapabilities {
            available: true,
            cross_filesystem: true,
            methods: &[Method::CopyFileRange, Method::Sendfile, Method::Splice],
        };
        routes(&data, pair, &plan::ladder(&data, &able, pair, 1 << 30), jobs, is_written).0
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
            assert_eq!(chosen(data, pair, jobs, false), expected, "{data:?} {jobs}");
        }
        assert_eq!(chosen(auto, &local, 2, true), [Ring, KernelRanges, BufferRanges, Kernel]);
        local.refuse(Method::IoUring, Some(22));
        assert!(!chosen(auto.backend(Backend::Uring), &local, 2, false).contains(&Ring));
    }
}
