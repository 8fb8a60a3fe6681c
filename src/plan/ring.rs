//! Which large files go through a ring.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{Pair, jobs::Storage};
use crate::{
    method::Method,
    options::{Backend, DataOptions, Sparse, ZeroCopy},
};

/// Whether a file of `size` bytes, all of it data, goes through a ring.
///
/// Asking may begin a trial, so it is asked once for each file.
pub(crate) fn wants_ring(data: &DataOptions, pair: &Pair, size: u64) -> bool {
    if size < Backend::RING_MIN || data.sparse == Sparse::Always || pair.refuses(Method::IoUring) {
        return false;
    }
    match data.backend {
        Backend::Blocking => false,
        Backend::Uring => true,
        Backend::Auto => {
            size >= Backend::TRIAL_MIN
                && data.zero_copy != ZeroCopy::Force
                && pair.storage != Storage::Remote
                && pair.trial.choose()
        }
    }
}

/// Which way large files go faster between two filesystems, found out by the first two of them.
#[derive(Debug, Default)]
pub(crate) struct RingTrial(Mutex<Ways>);

#[derive(Debug, Default)]
struct Ways {
    blocking: Tried,
    ring: Tried,
}

#[derive(Clone, Copy, Debug, Default)]
enum Tried {
    #[default]
    Never,
    UnderWay,
    /// In bytes a second.
    Rate(f64),
}

impl RingTrial {
    /// Whether the next file goes through a ring.
    fn choose(&self) -> bool {
        let mut ways = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (ways.blocking, ways.ring) {
            (Tried::Never, _) => {
                ways.blocking = Tried::UnderWay;
                false
            }
            // Not at the same time: they would share the device.
            (Tried::Rate(_), Tried::Never) => {
                ways.ring = Tried::UnderWay;
                true
            }
            (Tried::Rate(blocking), Tried::Rate(ring)) => ring >= blocking,
            (Tried::UnderWay, _) | (_, Tried::UnderWay) => false,
        }
    }

    /// How fast both ways were, in bytes a second: by blocking calls, and by a ring.
    pub(crate) fn rates(&self) -> Option<(f64, f64)> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Ways { blocking: Tried::Rate(blocking), ring: Tried::Rate(ring) } => Some((blocking, ring)),
            _ => None,
        }
    }

    /// Learn how long a file took.
    pub(crate) fn learn(&self, by_ring: bool, bytes: u64, took: Duration) {
        let mut ways = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let way = if by_ring { &mut ways.ring } else { &mut ways.blocking };
        if !matches!(way, Tried::Rate(_)) {
            *way = Tried::Rate(bytes as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn local() -> Pair {
        Pair::new(true, Storage::Solid)
    }

    /// Which of five files go through a ring, where one takes so many milliseconds either way.
    fn chosen(blocking: u64, ring: u64) -> Vec<bool> {
        let pair = local();
        let one = |_| {
            let by_ring = wants_ring(&DataOptions::default(), &pair, GIB);
            let took = if by_ring { ring } else { blocking };
            pair.trial.learn(by_ring, GIB, Duration::from_millis(took));
            by_ring
        };
        (0..5).map(one).collect()
    }

    #[test]
    fn two_files_decide_about_the_rest() {
        assert_eq!(chosen(300, 200), [false, true, true, true, true]);
        assert_eq!(chosen(300, 400), [false, true, false, false, false]);
    }

    #[test]
    fn nothing_is_tried_beside_a_file_that_is_measured() {
        let pair = local();
        let asked: Vec<_> = (0..3).map(|_| wants_ring(&DataOptions::default(), &pair, GIB)).collect();
        assert_eq!(asked, [false; 3]);
        assert_eq!(pair.trial.rates(), None);
    }

    #[test]
    fn options_size_and_storage_decide_before_any_trial() {
        let data = DataOptions::default();
        let asked = data.backend(Backend::Uring);
        let remote = Pair::new(true, Storage::Remote);
        assert!(wants_ring(&asked, &local(), Backend::RING_MIN));
        assert!(wants_ring(&asked, &remote, GIB));
        assert!(!wants_ring(&asked, &local(), Backend::RING_MIN - 1));
        assert!(!wants_ring(&asked.sparse(Sparse::Always), &local(), GIB));
        for (data, pair, size) in [
            (data.backend(Backend::Blocking), local(), GIB),
            (data, local(), Backend::TRIAL_MIN - 1),
            (data, remote, GIB),
            (data.zero_copy(ZeroCopy::Force), local(), GIB),
        ] {
            pair.trial.learn(false, 1, Duration::from_secs(1));
            pair.trial.learn(true, 2, Duration::from_secs(1));
            assert!(!wants_ring(&data, &pair, size), "{data:?} {size}");
        }
        let refused = local();
        refused.refuse(Method::IoUring, None);
        assert!(!wants_ring(&asked, &refused, GIB));
    }
}
