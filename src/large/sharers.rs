//! Who works on one large file, and which of its ranges wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A range of a large file that waits for one of its workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) at: u64,
    pub(crate) end: u64,
    pub(crate) tried: u32,
}

/// Who works on one large file.
///
/// Where one worker is to copy it alone, others put their ranges aside here; whoever ends a range takes the next. So
/// a range waits only while there is another that will be ended.
#[derive(Debug, Default)]
pub(crate) struct Sharers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    workers: usize,
    waiting: Vec<Waiting>,
    /// Whether a ring has the file, beside which nobody reads or writes it.
    has_ring: bool,
}

impl Sharers {
    /// Begin to work on it, which others may be doing only where it is shared; otherwise `range` waits. Whether to.
    pub(crate) fn begin(&self, is_shared: bool, range: Waiting) -> bool {
        let mut state = self.lock();
        let may = state.workers == 0 || is_shared && !state.has_ring;
        if may {
            state.workers += 1;
        } else {
            state.waiting.push(range);
        }
        may
    }

    /// Stop, because others work on it; `range` waits. Whether to.
    pub(crate) fn rest(&self, range: Waiting) -> bool {
        let mut state = self.lock();
        let may = state.workers > 1;
        if may {
            state.workers -= 1;
            state.waiting.push(range);
        }
        may
    }

    /// Stop.
    pub(crate) fn leave(&self) {
        self.lock().workers -= 1;
    }

    /// A range that waits, for who has ended one or has nothing to do.
    pub(crate) fn next(&self) -> Option<Waiting> {
        self.lock().waiting.pop()
    }

    /// How many work on it.
    pub(crate) fn workers(&self) -> usize {
        self.lock().workers
    }

    /// Whether nobody works on it, and no range waits.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.workers == 0 && state.waiting.is_empty()
    }

    /// Give it to a ring, if nobody else works on it.
    pub(crate) fn take_for_ring(&self) -> bool {
        let mut state = self.lock();
        state.has_ring = state.workers == 1;
        state.has_ring
    }

    /// The ring is done with it.
    pub(crate) fn take_back(&self) {
        self.lock().has_ring = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(at: u64) -> Waiting {
        Waiting { at, end: at + 1, tried: 0 }
    }

    #[test]
    fn of_a_file_that_one_worker_copies_the_other_ranges_wait_for_it() {
        let sharers = Sharers::default();
        assert!(sharers.begin(false, range(0)));
        assert!(!sharers.begin(false, range(1)), "somebody is at it");
        assert!(sharers.begin(true, range(2)), "which is fine now");
        assert!(sharers.rest(range(2)) && !sharers.rest(range(0)), "one goes on");
        sharers.leave();
        assert_eq!([sharers.next(), sharers.next(), sharers.next()], [Some(range(2)), Some(range(1)), None]);
    }

    #[test]
    fn beside_a_ring_nobody_works() {
        let sharers = Sharers::default();
        assert!(sharers.begin(true, range(0)) && sharers.begin(true, range(1)));
        assert!(!sharers.take_for_ring());
        sharers.leave();
        assert!(sharers.take_for_ring());
        assert!(!sharers.begin(true, range(2)));
        sharers.take_back();
        assert!(sharers.begin(true, range(3)));
    }
}
