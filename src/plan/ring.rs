//! Which large files go through a ring.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Pair, jobs::Storage};
use crate::{
    method::Method,
    options::{Backend, DataOptions, Sparse, ZeroCopy},
};

/// Which way a large file goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) by_ring: bool,
    /// Whether how long it takes decides about other files.
    is_trial: bool,
}

impl Route {
    const RING: Route = Route { by_ring: true, is_trial: false };
    const BLOCKING: Route = Route { by_ring: false, is_trial: false };
}

/// Which way a file of `size` bytes goes, all of which are data.
///
/// What begins a trial must be followed by [`RingTrial::learn`] or [`RingTrial::withdraw`].
pub(crate) fn route(data: &DataOptions, pair: &Pair, size: u64) -> Route {
    if size < Backend::RING_MIN || data.sparse == Sparse::Always || pair.refuses(Method::IoUring) {
        return Route::BLOCKING;
    }
    let may_try =
        size >= Backend::TRIAL_MIN && data.zero_copy != ZeroCopy::Force && pair.storage != Storage::Remote;
    match data.backend {
        Backend::Uring => Route::RING,
        Backend::Auto if may_try => pair.trial.choose(),
        Backend::Auto | Backend::Blocking => Route::BLOCKING,
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
    /// Which way the next file goes.
    fn choose(&self) -> Route {
        let mut ways = self.ways();
        match (ways.blocking, ways.ring) {
            (Tried::Never, _) => {
                ways.blocking = Tried::UnderWay;
                Route { by_ring: false, is_trial: true }
            }
            // Not at the same time: they would share the device.
            (Tried::Rate(_), Tried::Never) => {
                ways.ring = Tried::UnderWay;
                Route { by_ring: true, is_trial: true }
            }
            (Tried::Rate(blocking), Tried::Rate(ring)) if ring >= blocking => Route::RING,
            _ => Route::BLOCKING,
        }
    }

    /// How fast both ways were, in bytes a second: by blocking calls, and by a ring.
    pub(crate) fn rates(&self) -> Option<(f64, f64)> {
        match *self.ways() {
            Ways { blocking: Tried::Rate(blocking), ring: Tried::Rate(ring) } => Some((blocking, ring)),
            _ => None,
        }
    }

    /// Learn how long a file took that went such a way.
    pub(crate) fn learn(&self, route: Route, bytes: u64, took: Duration) {
        self.conclude(route, Tried::Rate(bytes as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE)));
    }

    /// A file that went such a way shows nothing: another one has to.
    pub(crate) fn withdraw(&self, route: Route) {
        self.conclude(route, Tried::Never);
    }

    fn conclude(&self, route: Route, tried: Tried) {
        if route.is_trial {
            let mut ways = self.ways();
            *(if route.by_ring { &mut ways.ring } else { &mut ways.blocking }) = tried;
        }
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn local() -> Pair {
        Pair::new(true, Storage::Solid)
    }

    fn by_ring(data: &DataOptions, pair: &Pair, size: u64) -> bool {
        route(data, pair, size).by_ring
    }

    /// Which of five files go through a ring, where one takes so many milliseconds either way.
    fn chosen(blocking: u64, ring: u64) -> Vec<bool> {
        let pair = local();
        let one = |_| {
            let route = route(&DataOptions::default(), &pair, GIB);
            let took = if route.by_ring { ring } else { blocking };
            pair.trial.learn(route, GIB, Duration::from_millis(took));
            route.by_ring
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
        let asked: Vec<_> = (0..3).map(|_| by_ring(&DataOptions::default(), &pair, GIB)).collect();
        assert_eq!(asked, [false; 3]);
        assert_eq!(pair.trial.rates(), None);
    }

    #[test]
    fn a_file_that_shows_nothing_is_followed_by_another_trial() {
        let (pair, data) = (local(), DataOptions::default());
        let second = Duration::from_secs(1);
        pair.trial.withdraw(route(&data, &pair, GIB));
        pair.trial.learn(route(&data, &pair, GIB), GIB, second);
        let by_ring = route(&data, &pair, GIB);
        assert!(by_ring.by_ring);
        pair.trial.withdraw(by_ring);
        let again = route(&data, &pair, GIB);
        assert!(again.by_ring);
        pair.trial.learn(again, GIB, second);
        assert_eq!(pair.trial.rates(), Some((GIB as f64, GIB as f64)));
        pair.trial.learn(Route::RING, 1, second);
        assert_eq!(pair.trial.rates(), Some((GIB as f64, GIB as f64)), "no trial");
    }

    #[test]
    fn options_size_and_storage_decide_before_any_trial() {
        let data = DataOptions::default();
        let asked = data.backend(Backend::Uring);
        let remote = Pair::new(true, Storage::Remote);
        assert!(by_ring(&asked, &local(), Backend::RING_MIN));
        assert!(by_ring(&asked, &remote, GIB));
        assert!(!by_ring(&asked, &local(), Backend::RING_MIN - 1));
        assert!(!by_ring(&asked.sparse(Sparse::Always), &local(), GIB));
        for (data, pair, size) in [
            (data.backend(Backend::Blocking), local(), GIB),
            (data, local(), Backend::TRIAL_MIN - 1),
            (data, remote, GIB),
            (data.zero_copy(ZeroCopy::Force), local(), GIB),
        ] {
            pair.trial.learn(Route { by_ring: false, is_trial: true }, 1, Duration::from_secs(1));
            pair.trial.learn(Route { by_ring: true, is_trial: true }, 2, Duration::from_secs(1));
            assert!(!by_ring(&data, &pair, size), "{data:?} {size}");
        }
        let refused = local();
        refused.refuse(Method::IoUring, Some(22));
        assert!(!by_ring(&asked, &refused, GIB));
    }
}
