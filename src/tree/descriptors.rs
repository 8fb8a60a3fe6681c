//! How many directories and files may be open at once.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::platform;

/// The file descriptors that an engine's runs may hold open for what waits.
#[derive(Debug)]
pub(crate) struct Descriptors {
    /// Directories, open on both sides.
    pairs: Budget,
    workers_max: usize,
    runs_max: usize,
    /// Finished files that wait to replace others.
    waiting: Budget,
    has_room_for_ring: bool,
    /// How long to wait where there is none.
    patience: Duration,
    shortage: Mutex<Option<Shortage>>,
}

/// How much of something may be open, and how much is.
#[derive(Debug)]
struct Budget {
    most: usize,
    /// Less than that after a shortage.
    now: AtomicUsize,
    used: AtomicUsize,
}

/// A time in which there was no descriptor left.
#[derive(Clone, Copy, Debug)]
struct Shortage {
    began: Instant,
    /// When somebody last found none.
    last: Instant,
}

impl Budget {
    fn new(most: usize) -> Budget {
        Budget { most, now: AtomicUsize::new(most), used: AtomicUsize::new(0) }
    }

    fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Make do with half of what is used.
    fn halve(&self) {
        self.now.fetch_min(self.used() / 2, Ordering::Relaxed);
    }

    /// Have twice as much again, up to what there was.
    fn double(&self) {
        let now = self.now();
        if now < self.most {
            self.now.store((now * 2 + 1).min(self.most), Ordering::Relaxed);
        }
    }
}

/// A place for a finished file that waits, open, to replace another.
#[derive(Debug)]
pub(crate) struct PlaceToWait(Arc<Descriptors>);

impl Drop for PlaceToWait {
    fn drop(&mut self) {
        self.0.waiting.used.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Descriptors {
    /// What one worker may need at once beside directories that wait: a directory and its parent
    /// on both sides, a source, a copy and a pipe.
    const PER_WORKER: usize = 8;
    /// What a run keeps open from its beginning to its end: the directories that hold its source and
    /// its copy, the latter once more for links, and its mark.
    const PER_RUN: usize = 4;
    /// What else it may keep open where its work stopped, while others have all the workers: a
    /// directory on both sides, a source and a copy.
    const PER_STOP: usize = 4;

    /// What the engine's ring has: itself, and what its thread waits with.
    const RING: usize = 8;
    /// What it has of each worker's: a source and a copy once more.
    const RING_PER_WORKER: usize = 2;
    /// With fewer there is no ring.
    const MANY: usize = 512;

    /// How long calls wait for a descriptor unless something else is asked for.
    pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
    /// The first wait, and the longest.
    const WAITS: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(500)];
    /// Where nobody found none for this long, there were some: everybody who waits asks more often.
    const GAP: Duration = Duration::from_secs(1);

    /// A budget within the process's present limit, which is not changed; calls that find no descriptor wait for one
    /// with this `patience`.
    pub(crate) fn within_limit(jobs: usize, patience: Duration) -> Descriptors {
        let free = platform::free_descriptors();
        let has_room_for_ring = free >= Self::MANY;
        let of_ring =
            if has_room_for_ring { Self::RING + Self::RING_PER_WORKER * jobs.min(Self::MANY / 4) } else { 0 };
        Descriptors { has_room_for_ring, patience, ..Self::of(free - of_ring, jobs) }
    }

    fn of(free: usize, jobs: usize) -> Descriptors {
        // A quarter stays for whoever else lives in this process.
        let ours = free - free / 4;
        // Each worker may be at a run of its own.
        let per_worker = Self::PER_WORKER + Self::PER_RUN;
        let workers_max = (ours / (per_worker + 2)).clamp(1, jobs.max(1));
        let left = ours.saturating_sub(workers_max * per_worker);
        // More runs at once are only fairer; open directories are faster.
        let stopped_runs = left / 3 / (Self::PER_RUN + Self::PER_STOP);
        let runs_max = workers_max + stopped_runs;
        let left = left - stopped_runs * (Self::PER_RUN + Self::PER_STOP);
        let waiting_max = left / 4;
        let pairs_max = ((left - waiting_max) / 2).max(1);
        Descriptors {
            pairs: Budget::new(pairs_max),
            workers_max,
            runs_max,
            waiting: Budget::new(waiting_max),
            has_room_for_ring: false,
            patience: Self::PATIENCE,
            shortage: Mutex::default(),
        }
    }

    /// Whether there may be a ring.
    pub(crate) fn has_room_for_ring(&self) -> bool {
        self.has_room_for_ring
    }

    /// How many runs the budget has room for, from the first entry of each to its last.
    pub(crate) fn runs_max(&self) -> usize {
        self.runs_max
    }

    /// A place for a finished file that waits, open, to replace another; none where too many do.
    pub(crate) fn place_to_wait(self: &Arc<Self>) -> Option<PlaceToWait> {
        let place = PlaceToWait(self.clone());
        (self.waiting.used.fetch_add(1, Ordering::Relaxed) < self.waiting.now()).then_some(place)
    }

    /// How many workers the budget has room for.
    pub(crate) fn workers_max(&self) -> usize {
        self.workers_max
    }

    /// Whether directories that wait should be closed.
    pub(crate) fn are_scarce(&self) -> bool {
        self.pairs.used() > self.pairs.now()
    }

    pub(crate) fn opened(&self) {
        self.pairs.used.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.pairs.used.fetch_sub(1, Ordering::Relaxed);
    }

    /// How long a call waits for a descriptor that has waited `waited` times, and found none again at `now`; nothing
    /// where that has been in vain for long enough.
    ///
    /// With a shortage begins a time in which runs make do with half of what they have open.
    pub(crate) fn wait_after(&self, waited: u32, now: Instant) -> Option<Duration> {
        let mut shortage = self.shortage.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = shortage.filter(|known| now.saturating_duration_since(known.last) <= Self::GAP);
        let began = goes_on.map_or(now, |known| known.began);
        *shortage = Some(Shortage { began, last: now.max(goes_on.map_or(now, |known| known.last)) });
        drop(shortage); // others listen to what is said
        if goes_on.is_none() {
            [&self.pairs, &self.waiting].into_iter().for_each(Budget::halve);
            tracing::info!(patience = ?self.patience, "no descriptor is left: waiting until one is given back");
        }
        let [first, longest] = Self::WAITS;
        let next = |waited: u32| first.saturating_mul(1 << waited.min(10)).min(longest);
        let since = now.saturating_duration_since(began).max((0..waited.min(100)).map(next).sum());
        let left = self.patience.checked_sub(since).filter(|left| !left.is_zero())?;
        Some(next(waited).min(left))
    }

    /// A run begins: what a shortage took may come back by and by.
    pub(crate) fn recover(&self) {
        [&self.pairs, &self.waiting].into_iter().for_each(Budget::double);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_leaves_fewer_workers_and_runs_and_still_some_directories() {
        for (free, jobs, workers, runs) in
            [(52, 16, 2, 2), (3, 4, 1, 1), (240, 2, 2, 8), (1_000, 64, 53, 57), (20_000, 16, 16, 633)]
        {
            let budget = Descriptors::of(free, jobs);
            assert_eq!((budget.workers_max(), budget.runs_max()), (workers, runs), "{free} {jobs}");
            assert!(budget.pairs.most >= 1);
        }
        assert_eq!(Descriptors::of(usize::MAX, 64).workers_max(), 64);
    }

    #[test]
    fn all_that_may_be_open_at_once_fits() {
        for free in 16..5_000 {
            for jobs in [1, 2, 8, 64] {
                let budget = Descriptors::of(free, jobs);
                let workers = budget.workers_max() * (Descriptors::PER_WORKER + Descriptors::PER_RUN);
                let stopped = budget.runs_max() - budget.workers_max();
                let stopped = stopped * (Descriptors::PER_STOP + Descriptors::PER_RUN);
                let waiting = budget.waiting.most;
                assert!(workers + stopped + waiting + budget.pairs.most * 2 <= free, "{free} {jobs}");
            }
        }
    }
    #[test]
    fn waits_double_until_there_was_no_descriptor_for_too_long() {
        let budget = Descriptors { patience: Duration::from_secs(3), ..Descriptors::of(1_000, 1) };
        let mut now = Instant::now();
        let mut waits = Vec::new();
        while let Some(wait) = budget.wait_after(waits.len() as u32, now) {
            now += wait;
            waits.push(wait.as_millis());
        }
        assert_eq!(waits[..7], [10, 20, 40, 80, 160, 320, 500]);
        assert_eq!(waits.iter().sum::<u128>(), 3_000);
        // Whatever else finds none now fails at once, and who finds none much later waits as long.
        assert_eq!(budget.wait_after(0, now), None);
        now += Duration::from_millis(900);
        assert_eq!(budget.wait_after(0, now), None);
        now += Duration::from_millis(1_100);
        assert_eq!(budget.wait_after(0, now), Some(Duration::from_millis(10)));
        assert_eq!(budget.wait_after(1_000, now), None, "not even where others find some");
    }

    #[test]
    fn whoever_has_no_patience_fails_at_once() {
        let budget = Descriptors { patience: Duration::ZERO, ..Descriptors::of(1_000, 1) };
        assert_eq!(budget.wait_after(0, Instant::now()), None);
    }

    #[test]
    fn each_shortage_halves_what_may_be_open_and_later_runs_have_it_back() {
        let budget = Descriptors::of(1_000, 1);
        let most = budget.pairs.most;
        (0..100).for_each(|_| budget.opened());
        let mut now = Instant::now();
        for _ in 0..10 {
            budget.wait_after(0, now); // all of one shortage
            assert_eq!(budget.pairs.now(), 50);
        }
        assert!(budget.are_scarce());
        (0..60).for_each(|_| budget.closed());
        assert!(!budget.are_scarce());
        now += Duration::from_secs(5);
        budget.wait_after(0, now);
        assert_eq!(budget.pairs.now(), 20);
        budget.recover();
        assert_eq!(budget.pairs.now(), 41);
        (0..20).for_each(|_| budget.recover());
        assert_eq!((budget.pairs.now(), budget.waiting.now()), (most, budget.waiting.most));
    }
}
