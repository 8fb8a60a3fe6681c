//! How many directories may be open at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::platform;

/// The file descriptors that an engine's runs may hold open for directories.
#[derive(Debug)]
pub(crate) struct Descriptors {
    pairs_max: usize,
    pairs_open: AtomicUsize,
    workers_max: usize,
}

impl Descriptors {
    /// What one worker may need at once beside directories that wait: a directory and its parent
    /// on both sides, a source, a copy and a pipe.
    const PER_WORKER: usize = 8;

    /// A budget within the process's present limit, which is not changed.
    pub(crate) fn within_limit(jobs: usize) -> Descriptors {
        Self::of(platform::free_descriptors(), jobs)
    }

    fn of(free: usize, jobs: usize) -> Descriptors {
        // A quarter stays for whoever else lives in this process.
        let ours = free - free / 4;
        let workers_max = (ours / (Self::PER_WORKER + 2)).clamp(1, jobs.max(1));
        let pairs_max = (ours.saturating_sub(workers_max * Self::PER_WORKER) / 2).max(1);
        Descriptors { pairs_max, pairs_open: AtomicUsize::new(0), workers_max }
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
    fn a_small_limit_leaves_fewer_workers_and_still_some_directories() {
        for (free, jobs, workers) in [(52, 16, 3), (20_000, 16, 16), (3, 4, 1), (usize::MAX, 64, 64)] {
            let budget = Descriptors::of(free, jobs);
            assert_eq!(budget.workers_max(), workers, "{free} {jobs}");
            assert!(budget.pairs_max >= 1);
        }
    }
}
