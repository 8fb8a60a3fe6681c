//! Which methods move the bytes of a file, in which order.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU8, Ordering},
};

use super::{
    jobs::Storage,
    modes::CreatedModes,
    ring::RingTrial,
    zero_copy::{Declined, ZeroCopyRequest, should_use_zero_copy},
};
use crate::{
    capabilities::ZeroCopyCapabilities,
    entry::Granularity,
    method::Method,
    options::{DataOptions, Reflink, Sparse, ZeroCopy},
};

/// Two filesystems that files are copied between, and what they turned out to refuse.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) same_filesystem: bool,
    pub(crate) storage: Storage,
    refused: AtomicU8,
    /// Whether the source's filesystem turned out to have no extended attributes.
    pub(crate) source_lacks_xattrs: AtomicBool,
    /// What becomes of the modes that its files are created with.
    pub(crate) created_modes: CreatedModes,
    /// Whether large files go faster through a ring.
    pub(crate) trial: RingTrial,
    /// The step of the destination's modification times, once it mattered.
    pub(crate) granularity: OnceLock<Granularity>,
}

impl Pair {
    pub(crate) fn new(same_filesystem: bool, storage: Storage) -> Pair {
        Pair {
            same_filesystem,
            storage,
            refused: AtomicU8::new(0),
            source_lacks_xattrs: AtomicBool::new(false),
            created_modes: CreatedModes::default(),
            trial: RingTrial::default(),
            granularity: OnceLock::new(),
        }
    }

    /// Never try `method` between these two again.
    pub(crate) fn refuse(&self, method: Method) {
        self.refused.fetch_or(method.bit(), Ordering::Relaxed);
    }

    pub(crate) fn refuses(&self, method: Method) -> bool {
        self.refused.load(Ordering::Relaxed) & method.bit() != 0
    }
}

/// Methods to try in turn for one file; the last one always works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Ladder {
    steps: [Option<Method>; Method::ALL.len()],
    /// Why zero-copy is not among them.
    pub(crate) declined: Option<Declined>,
}

impl Ladder {
    fn push(&mut self, method: Method) {
        let free = self.steps.iter_mut().find(|step| step.is_none());
        *free.expect("no method is pushed twice") = Some(method);
    }

    pub(crate) fn methods(&self) -> impl Iterator<Item = Method> + '_ {
        self.steps.iter().map_while(|step| *step)
    }

    /// The same without `method`.
    pub(crate) fn without(&self, method: Method) -> Ladder {
        let mut ladder = Ladder { declined: self.declined, ..Ladder::default() };
        self.methods().filter(|kept| *kept != method).for_each(|kept| ladder.push(kept));
        ladder
    }

    /// Whether to try sharing the blocks first.
    pub(crate) fn reflinks(&self) -> bool {
        self.steps[0] == Some(Method::Reflink)
    }
}

/// From this size on, ranges of one file are copied by several workers where that is faster.
///
/// Measured: reading and writing in two threads beats one `copy_file_range` on local filesystems
/// that cannot share blocks, because the latter holds the inode's lock throughout. Systems without
/// that call copy whole files.
pub(crate) const PARALLEL_MIN: u64 = 8 << 20;

/// Choose the methods for one file of `size` bytes between the filesystems of `pair`.
pub(crate) fn ladder(
    data: &DataOptions,
    capabilities: &ZeroCopyCapabilities,
    pair: &Pair,
    size: u64,
    jobs: usize,
) -> Ladder {
    let mut ladder = Ladder::default();
    let may_share = data.reflink != Reflink::Never && data.sparse == Sparse::Auto;
    if may_share && size > 0 && !pair.refuses(Method::Reflink) {
        ladder.push(Method::Reflink);
    }
    let request = ZeroCopyRequest {
        size,
        threshold: data.threshold,
        same_filesystem: pair.same_filesystem,
        zero_copy: data.zero_copy,
        resume: false,
        compression: false,
        throttled: false,
    };
    let ranges_faster = data.zero_copy == ZeroCopy::Auto
        && capabilities.methods.contains(&Method::CopyFileRange)
        && size >= PARALLEL_MIN
        && jobs > 1
        && pair.storage != Storage::Remote;
    ladder.declined = should_use_zero_copy(capabilities, &request).err();
    if ladder.declined.is_none() && ranges_faster {
        ladder.declined = Some(Declined::RangesFaster);
    }
    if ladder.declined.is_none() && data.sparse != Sparse::Always {
        let allowed =
            |method: &&Method| !pair.refuses(**method) && (may_share || **method != Method::CopyFileRange);
        capabilities.methods.iter().filter(allowed).for_each(|method| ladder.push(*method));
    }
    ladder.push(Method::Buffered);
    ladder
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: [Method; 3] = [Method::CopyFileRange, Method::Sendfile, Method::Splice];

    fn chosen(data: DataOptions, pair: &Pair, size: u64, jobs: usize) -> Vec<Method> {
        let able = ZeroCopyCapabilities { available: true, cross_filesystem: true, methods: &KERNEL };
        ladder(&data, &able, pair, size, jobs).methods().collect()
    }

    #[test]
    fn the_ladder_follows_size_options_and_filesystems() {
        use Method::{Buffered, CopyFileRange, Reflink as Share, Sendfile, Splice};
        let auto = DataOptions::default();
        let local = Pair::new(true, Storage::Solid);
        let remote = Pair::new(true, Storage::Remote);
        let mid = 1 << 20;
        let big = 1 << 30;
        let all = [&[Share][..], &KERNEL, &[Buffered]].concat();
        assert_eq!(chosen(auto, &local, 100, 2), [Share, Buffered]);
        assert_eq!(chosen(auto, &local, mid, 2), all);
        assert_eq!(chosen(auto, &local, big, 2), [Share, Buffered]);
        assert_eq!(chosen(auto, &local, big, 1), all);
        assert_eq!(chosen(auto, &remote, big, 2), all);
        assert_eq!(chosen(auto.zero_copy(ZeroCopy::Force), &local, 100, 2), all);
        assert_eq!(chosen(auto.zero_copy(ZeroCopy::Forbid), &local, mid, 2), [Share, Buffered]);
        assert_eq!(chosen(auto.reflink(Reflink::Never), &local, mid, 2), [Sendfile, Splice, Buffered]);
        assert_eq!(chosen(auto.sparse(Sparse::Never), &local, mid, 2), [Sendfile, Splice, Buffered]);
        assert_eq!(chosen(auto.sparse(Sparse::Always), &local, mid, 2), [Buffered]);
        assert_eq!(chosen(auto, &local, 0, 2), [Buffered]);
        local.refuse(Share);
        local.refuse(CopyFileRange);
        assert_eq!(chosen(auto, &local, mid, 2), [Sendfile, Splice, Buffered]);
    }
}
