//! How many directories may be open at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::platform;

/// The file descriptors that an engine's runs may hold open for directories.
#[derive(Debug)]
pub(crate) struct Descriptors {
    pairs_max: usize,
    pairs_open: AtomicUsize,
    workers_max: usize,
    runs_max: usize,
    waiting_max: usize,
    waiting: AtomicUsize,
    has_room_for_ring: bool,
}

/// A place for a finished file that waits, open, to replace another.
#[derive(Debug)]
pub(super) struct PlaceToWait(Arc<Descriptors>);

impl Drop for PlaceToWait {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
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

    /// A budget within the process's present limit, which is not changed.
    pub(crate) fn within_limit(jobs: usize) -> Descriptors {
        let free = platform::free_descriptors();
        let has_room_for_ring = free >= Self::MANY;
        let of_ring =
            if has_room_for_ring { Self::RING + Self::RING_PER_WORKER * jobs.min(Self::MANY / 4) } else { 0 };
        Descriptors { has_room_for_ring, ..Self::of(free - of_ring, jobs) }
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
        let pairs_open = AtomicUsize::new(0);
        Descriptors {
            pairs_max,
            pairs_open,
            workers_max,
            runs_max,
            waiting_max,
            waiting: AtomicUsize::new(0),
            has_room_for_ring: false,
        }
    }

    /// Whether there may be a ring.
    pub(super) fn has_room_for_ring(&self) -> bool {
        self.has_room_for_ring
    }

    /// How many runs the budget has room for, from the first entry of each to its last.
    pub(crate) fn runs_max(&self) -> usize {
        self.runs_max
    }

    /// A place for a finished file that waits, open, to replace another; none where too many do.
    pub(super) fn place_to_wait(self: &Arc<Self>) -> Option<PlaceToWait> {
        let place = PlaceToWait(self.clone());
        (self.waiting.fetch_add(1, Ordering::Relaxed) < self.waiting_max).then_some(place)
    }

    /// How many workers the budget has room for.
    pub(crate) fn workers_max(&self) -> usize {
        self.workers_max
    }

    /// Whether directories that wait should be closed.
    pub(crate) fn are_scarce(&self) -> bool {
        self.pairs_open.load(Ordering::Relaxed) > self.pairs_max
    }

    pub(super) fn opened(&self) {
        self.pairs_open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.pairs_open.fetch_sub(1, Ordering::Relaxed);
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
            assert!(budget.pairs_max >= 1);
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
                let waiting = budget.waiting_max;
                assert!(workers + stopped + waiting + budget.pairs_max * 2 <= free, "{free} {jobs}");
            }
        }
    }
}
