//! Which ways a large file may go.

use crate::{
    learned::{Pair, Route, Writing},
    method::Method,
    options::{Backend, DataOptions, Sparse, ZeroCopy},
    plan::Ladder,
    storage::Storage,
};

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
