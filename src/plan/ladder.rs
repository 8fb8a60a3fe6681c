//! Which methods move the bytes of a file, in which order.

use super::zero_copy::{ZeroCopyRequest, should_use_zero_copy};
use crate::{
    capabilities::ZeroCopyCapabilities,
    learned::{Next, Pair, Way},
    method::{Declined, Method},
    options::{DataOptions, Reflink, Sparse, ZeroCopy},
};

/// Methods to try in turn for one file; the last one always works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Ladder {
    steps: [Option<Method>; Method::ALL.len()],
    /// Why zero-copy is not among them.
    pub(crate) declined: Option<Declined>,
    /// Whether to learn how long the bytes take.
    pub(crate) is_timed: bool,
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
        let mut ladder = Ladder { steps: Default::default(), ..*self };
        self.methods().filter(|kept| *kept != method).for_each(|kept| ladder.push(kept));
        ladder
    }

    /// The same through a buffer alone.
    pub(crate) fn buffered(&self) -> Ladder {
        let mut ladder = Ladder { steps: Default::default(), ..*self };
        ladder.push(Method::Buffered);
        ladder
    }

    /// Whether to try sharing the blocks first.
    pub(crate) fn reflinks(&self) -> bool {
        self.steps[0] == Some(Method::Reflink)
    }
}

/// From this size on, a file is large: which way its bytes go is found out as they do (`learned/contest.rs`), and
/// its ranges may have several workers.
pub(crate) const LARGE_MIN: u64 = 8 << 20;

/// Choose the methods for one file of `size` bytes between the filesystems of `pair`.
pub(crate) fn ladder(
    data: &DataOptions,
    capabilities: &ZeroCopyCapabilities,
    pair: &Pair,
    size: u64,
) -> Ladder {
    let threshold = data.threshold.unwrap_or_else(|| pair.threshold.bytes());
    ladder_from(threshold, data, capabilities, pair, size)
}

/// The same for a file that is about to be copied, which may have to show whether the threshold
/// between these filesystems is where it should be.
///
/// Nothing is to be found out where it was asked for, where size does not decide, where blocks are
/// shared at any size, and where the kernel would copy names ([`Method::System`]), whose time has
/// another file's making in it.
pub(crate) fn ladder_in_turn(
    data: &DataOptions,
    capabilities: &ZeroCopyCapabilities,
    pair: &Pair,
    size: u64,
) -> Ladder {
    let usual = ladder(data, capabilities, pair, size);
    let adapts = data.threshold.is_none()
        && data.zero_copy == ZeroCopy::Auto
        && matches!(usual.declined, None | Some(Declined::BelowThreshold))
        && !usual.reflinks()
        && !capabilities.methods.contains(&Method::System);
    let turn = if adapts { pair.threshold.turn(size) } else { Next::Usual };
    match turn {
        Next::Usual => usual,
        Next::Timed => Ladder { is_timed: true, ..usual },
        Next::Trial(Way::Kernel) => {
            Ladder { is_timed: true, ..ladder_from(0, data, capabilities, pair, size) }
        }
        Next::Trial(Way::Buffer) => {
            let mut trial = Ladder { declined: Some(Declined::Trial), is_timed: true, ..Ladder::default() };
            trial.push(Method::Buffered);
            trial
        }
    }
}

/// The same for a file that is compressed on its way, or brought back: it goes through a buffer.
pub(crate) fn ladder_of_coded(
    data: &DataOptions,
    capabilities: &ZeroCopyCapabilities,
    pair: &Pair,
) -> Ladder {
    let request = ZeroCopyRequest {
        size: 0,
        threshold: 0,
        same_filesystem: pair.same_filesystem,
        zero_copy: data.zero_copy,
        resume: false,
        compression: true,
        throttled: false,
    };
    let mut ladder =
        Ladder { declined: should_use_zero_copy(capabilities, &request).err(), ..Ladder::default() };
    ladder.push(Method::Buffered);
    ladder
}

/// Whether files may share their blocks, where the filesystem can.
pub(crate) fn may_reflink(data: &DataOptions) -> bool {
    data.reflink != Reflink::Never && data.sparse == Sparse::Auto
}

fn ladder_from(
    threshold: u64,
    data: &DataOptions,
    capabilities: &ZeroCopyCapabilities,
    pair: &Pair,
    size: u64,
) -> Ladder {
    let mut ladder = Ladder::default();
    let may_share = may_reflink(data);
    if may_share && size > 0 && !pair.refuses(Method::Reflink) {
        ladder.push(Method::Reflink);
    }
    let request = ZeroCopyRequest {
        size,
        threshold,
        same_filesystem: pair.same_filesystem,
        zero_copy: data.zero_copy,
        resume: false,
        compression: false,
        throttled: false,
    };
    // Which shares blocks where it can.
    let may_copy = may_share || pair.never_shares();
    let allowed =
        |method: &&Method| !pair.refuses(**method) && (may_copy || **method != Method::CopyFileRange);
    // The size comes last: it says nothing of files that are never copied so.
    ladder.declined = match should_use_zero_copy(capabilities, &request).err() {
        None | Some(Declined::BelowThreshold) if data.sparse == Sparse::Always => Some(Declined::Zeros),
        None | Some(Declined::BelowThreshold)
            if !capabilities.methods.iter().any(|method| allowed(&method)) =>
        {
            Some(Declined::Refused)
        }
        declined => declined,
    };
    if ladder.declined.is_none() {
        capabilities.methods.iter().filter(allowed).for_each(|method| ladder.push(*method));
    }
    ladder.push(Method::Buffered);
    ladder
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Storage;

    const KERNEL: [Method; 3] = [Method::CopyFileRange, Method::Sendfile, Method::Splice];

    fn chosen(data: DataOptions, pair: &Pair, size: u64) -> Vec<Method> {
        let able = ZeroCopyCapabilities { available: true, cross_filesystem: true, methods: &KERNEL };
        ladder(&data, &able, pair, size).methods().collect()
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
        assert_eq!(chosen(auto, &local, 100), [Share, Buffered]);
        assert_eq!(chosen(auto, &local, mid), all);
        assert_eq!(chosen(auto, &local, big), all);
        assert_eq!(chosen(auto, &remote, big), all);
        assert_eq!(chosen(auto.zero_copy(ZeroCopy::Force), &local, 100), all);
        assert_eq!(chosen(auto.zero_copy(ZeroCopy::Forbid), &local, mid), [Share, Buffered]);
        assert_eq!(chosen(auto.reflink(Reflink::Never), &local, mid), [Sendfile, Splice, Buffered]);
        assert_eq!(chosen(auto.sparse(Sparse::Never), &local, mid), [Sendfile, Splice, Buffered]);
        assert_eq!(chosen(auto.sparse(Sparse::Always), &local, mid), [Buffered]);
        assert_eq!(chosen(auto, &local, 0), [Buffered]);
        let ext4 = Pair::new(true, Storage::Solid).named(Some("ext4".to_owned()), Some("ext4".to_owned()));
        let all_but_share = [&KERNEL[..], &[Buffered]].concat();
        assert_eq!(chosen(auto.reflink(Reflink::Never), &ext4, mid), all_but_share, "it shares nothing");
        local.refuse(Share, Some(95));
        local.refuse(CopyFileRange, None);
        assert_eq!(chosen(auto, &local, mid), [Sendfile, Splice, Buffered]);
        // What splices would not see that a server reads short.
        for (same_filesystem, expected) in [(true, &[CopyFileRange, Buffered][..]), (false, &[Buffered])] {
            let short = Pair::new(same_filesystem, Storage::Remote);
            let short = short.named(Some("fuse.some".to_owned()), Some("ext4".to_owned()));
            short.refuse(Share, Some(95));
            assert_eq!(chosen(auto, &short, mid), expected);
        }
    }

    /// The ladders of so many files in turn, where blocks cannot be shared.
    fn in_turn(data: DataOptions, size: u64, files: usize) -> Vec<Ladder> {
        let able = ZeroCopyCapabilities { available: true, cross_filesystem: true, methods: &KERNEL };
        let pair = Pair::new(true, Storage::Solid);
        pair.refuse(Method::Reflink, Some(95));
        (0..files).map(|_| ladder_in_turn(&data, &able, &pair, size)).collect()
    }

    #[test]
    fn one_file_in_sixteen_beside_the_threshold_goes_the_other_way() {
        for (size, is_kernels) in [(40 << 10, false), (100 << 10, true)] {
            let ladders = in_turn(DataOptions::default(), size, 32);
            for (number, ladder) in (1..).zip(&ladders) {
                assert_eq!(ladder.is_timed, number % 16 == 15 || number % 16 == 0, "{number}");
                let copies = ladder.methods().any(|method| method == Method::CopyFileRange);
                assert_eq!(copies, is_kernels != (number % 16 == 0), "{number}");
            }
        }
        let trial = in_turn(DataOptions::default(), 100 << 10, 16)[15];
        assert_eq!(trial.declined, Some(Declined::Trial));
    }

    #[test]
    fn nothing_is_tried_where_there_is_nothing_to_find_out() {
        let auto = DataOptions::default();
        for data in [
            auto.threshold(64 << 10),
            auto.zero_copy(ZeroCopy::Force),
            auto.zero_copy(ZeroCopy::Forbid),
            auto.sparse(Sparse::Always),
        ] {
            for size in [40 << 10, 100 << 10] {
                let ladders = in_turn(data, size, 64);
                assert!(ladders.iter().all(|ladder| *ladder == ladders[0]), "{data:?} {size}");
                assert!(!ladders[0].is_timed);
            }
        }
        let able = ZeroCopyCapabilities { available: true, cross_filesystem: true, methods: &KERNEL };
        let sharing = Pair::new(true, Storage::Solid);
        assert!((0..64).all(|_| !ladder_in_turn(&auto, &able, &sharing, 100 << 10).is_timed));
        let refusing = Pair::new(true, Storage::Solid);
        KERNEL.into_iter().chain([Method::Reflink]).for_each(|method| refusing.refuse(method, None));
        assert!((0..64).all(|_| !ladder_in_turn(&auto, &able, &refusing, 100 << 10).is_timed));
        assert_eq!(ladder(&auto, &able, &refusing, 100 << 10).declined, Some(Declined::Refused));
    }
}
