//! The work that is free for the taking, and who is waiting for some.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// Work shared between the workers of one run; touched only when one of them has none left.
#[derive(Debug)]
pub(crate) struct Queue<U> {
    state: Mutex<QueueState<U>>,
    changed: Condvar,
    hungry: AtomicBool,
    crowded: AtomicBool,
    limit: AtomicUsize,
    /// Told when there is work and room for another worker, and when all is done.
    pub(crate) news: Notify,
}

/// How long a worker that has no work waits for some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// A moment.
    Short,
    /// Until what is delayed is due.
    Long,
}

/// What a worker that has no work gets.
#[derive(Debug)]
pub(super) enum Taken<U> {
    Unit(U),
    /// There will be work later: the worker is to wait with [`Patience::Long`], and needs no permit meanwhile.
    Later,
    /// It should leave, and has left.
    Nothing,
}

#[derive(Debug)]
struct QueueState<U> {
    units: Vec<U>,
    /// Workers inside their loops.
    alive: usize,
    /// Workers waiting for work, among those alive.
    idle: usize,
    limit: usize,
    peak: usize,
    closed: bool,
    /// What may be tried again, each from its moment on.
    delayed: Vec<(Instant, U)>,
    /// Whether a worker waits for what is delayed, so that no other has to.
    is_waited_for: bool,
    /// What is done when nothing else is left, the last added first.
    last: Vec<U>,
    /// Cancelled: every delayed unit is due now.
    hurries: bool,
}

impl<U> QueueState<U> {
    /// Make work of what was delayed until now; when the next will be.
    fn ripen(&mut self, now: Instant) -> Option<Instant> {
        let hurries = self.hurries;
        let ripe = self.delayed.extract_if(.., |(due, _)| hurries || *due <= now);
        self.units.extend(ripe.map(|(_, unit)| unit));
        self.delayed.iter().map(|(due, _)| *due).min()
    }

    fn is_hungry(&self) -> bool {
        !self.closed && self.units.len() < self.idle.max(usize::from(self.alive < self.limit))
    }
}

/// What the queue looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// Another worker would find work.
    pub(crate) wants_worker: bool,
    pub(crate) alive: usize,
    pub(crate) peak: usize,
    pub(crate) limit: usize,
    /// Nothing is left and nobody works.
    pub(crate) is_done: bool,
}

impl<U> Queue<U> {
    /// How long a worker without work waits before it leaves.
    const PATIENCE: Duration = Duration::from_millis(100);

    pub(crate) fn new(units: Vec<U>, limit: usize) -> Queue<U> {
        let state = QueueState {
            units,
            alive: 0,
            idle: 0,
            limit,
            peak: 0,
            closed: false,
            delayed: Vec::new(),
            is_waited_for: false,
            last: Vec::new(),
            hurries: false,
        };
        Queue {
            hungry: AtomicBool::new(state.is_hungry()),
            crowded: AtomicBool::new(false),
            state: Mutex::new(state),
            limit: AtomicUsize::new(limit),
            changed: Condvar::new(),
            news: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<U>> {
        // A panic never happens between two changes of the state, so poison says nothing here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, state: &QueueState<U>) {
        self.hungry.store(state.is_hungry(), Ordering::Relaxed);
        self.crowded.store(state.alive > state.limit, Ordering::Relaxed);
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        let mut state = self.lock();
        state.limit = limit.max(1);
        self.limit.store(state.limit, Ordering::Relaxed);
        self.settle(&state);
        self.news.notify_one(); // there may be room now for work that is there already
    }

    /// The most workers there may be.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Whether someone would take work; cheap enough to ask after every entry.
    pub(crate) fn is_hungry(&self) -> bool {
        self.hungry.load(Ordering::Relaxed)
    }

    /// Whether there are more workers than there should be.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    /// A worker begins.
    ///
    /// `false` when there is nothing to do, or there are enough workers already.
    pub(crate) fn enter(&self) -> bool {
        let mut state = self.lock();
        if state.closed || state.alive >= state.limit {
            return false;
        }
        state.alive += 1;
        state.peak = state.peak.max(state.alive);
        self.settle(&state);
        true
    }

    /// Give work away.
    pub(crate) fn give(&self, units: impl IntoIterator<Item = U>) {
        let mut state = self.lock();
        state.units.extend(units);
        self.settle(&state);
        self.wake_one(&state);
    }

    /// Give work away that is to be done from `due` on.
    pub(crate) fn delay(&self, unit: U, due: Instant) {
        self.lock().delayed.push((due, unit));
        // Whoever waits may be waiting for longer.
        self.changed.notify_all();
    }

    /// Give work that is to be done when nothing else is left, before what was given so earlier.
    pub(crate) fn at_last(&self, unit: U) {
        self.lock().last.push(unit);
    }

    /// Take work, waiting for some.
    pub(super) fn take(&self, patience: Patience) -> Taken<U> {
        let mut state = self.lock();
        // Who was told to wait longer is the one that does.
        let is_patient = patience == Patience::Long;
        loop {
            let now = Instant::now();
            let next_due = state.ripen(now);
            if let Some(unit) = state.units.pop() {
                state.is_waited_for &= !is_patient;
                self.settle(&state);
                if !state.units.is_empty() {
                    self.wake_one(&state);
                }
                return Taken::Unit(unit);
            }
            if state.closed || state.idle + 1 == state.alive && next_due.is_none() {
                let last = if state.closed { None } else { state.last.pop() };
                state.is_waited_for &= !is_patient;
                if let Some(last) = last {
                    return Taken::Unit(last);
                }
                state.closed = true; // nobody is left who could make work
                self.depart(&mut state);
                self.changed.notify_all();
                return Taken::Nothing;
            }
            state.idle += 1;
            self.settle(&state);
            let until_due = next_due.map(|due| due - now);
            let wait = match until_due {
                Some(until_due) if is_patient => until_due,
                Some(until_due) => until_due.min(Self::PATIENCE),
                None => Self::PATIENCE,
            };
            let (next, waited) =
                self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
            state = next;
            state.idle -= 1;
            if !waited.timed_out() || state.closed || !state.units.is_empty() {
                continue;
            }
            if state.delayed.is_empty() || state.is_waited_for && !is_patient {
                state.is_waited_for &= !is_patient;
                self.depart(&mut state);
                return Taken::Nothing;
            }
            if !is_patient && until_due.is_none_or(|until_due| until_due > Self::PATIENCE) {
                state.is_waited_for = true;
                return Taken::Later;
            }
        }
    }

    /// Somebody should look whether there is work: a worker that is there, or else one that is to come.
    fn wake_one(&self, state: &QueueState<U>) {
        if state.idle > 0 {
            self.changed.notify_one();
        } else {
            self.news.notify_one();
        }
    }

    /// End a run that no worker has begun; whether none has.
    pub(crate) fn close_unbegun(&self) -> bool {
        let mut state = self.lock();
        state.closed |= state.peak == 0;
        self.settle(&state);
        state.peak == 0
    }

    /// Leave although there may be work, and put back what is unfinished.
    pub(crate) fn leave(&self, units: Vec<U>) {
        let mut state = self.lock();
        state.units.extend(units);
        self.depart(&mut state);
        self.changed.notify_all();
    }

    fn depart(&self, state: &mut QueueState<U>) {
        state.alive -= 1;
        self.settle(state);
        self.news.notify_one();
    }

    pub(crate) fn need(&self) -> Need {
        let state = self.lock();
        // Those who are there wait for what is delayed; where nobody is, somebody has to.
        let waits = !(state.delayed.is_empty() && state.last.is_empty());
        let has_work = !state.units.is_empty() || state.alive == 0 && waits;
        Need {
            wants_worker: !state.closed && has_work && state.alive < state.limit,
            alive: state.alive,
            peak: state.peak,
            limit: state.limit,
            is_done: state.alive == 0 && (state.closed || !has_work),
        }
    }

    /// Wake everyone who waits, to look around: the run was cancelled.
    pub(crate) fn wake_all(&self) {
        self.lock().hurries = true;
        self.changed.notify_all();
        self.news.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_worker_without_work_ends_the_run() {
        let queue = Queue::new(vec![0], 2);
        assert!(queue.enter());
        assert!(matches!(queue.take(Patience::Short), Taken::Unit(0)));
        assert!(!queue.need().is_done, "a worker is busy");
        assert!(matches!(queue.take(Patience::Short), Taken::Nothing));
        assert!(queue.need().is_done);
        assert!(!queue.enter(), "a late starter finds nothing to do");
    }

    #[test]
    fn work_is_wanted_only_while_someone_could_take_it() {
        let queue = Queue::new(vec![0], 2);
        assert!(queue.enter());
        queue.take(Patience::Short);
        assert!(queue.is_hungry(), "a second worker may be started");
        queue.give([1]);
        assert!(!queue.is_hungry(), "there is work for it already");
        assert!(queue.need().wants_worker);
        assert!(queue.enter());
        assert!(!queue.need().wants_worker, "the limit is reached");
        assert!(!queue.enter());
    }

    #[test]
    fn a_worker_that_leaves_puts_its_work_back() {
        let queue = Queue::new(vec![], 1);
        assert!(queue.enter());
        queue.leave(vec![3]);
        let need = queue.need();
        assert!(need.wants_worker && !need.is_done);
    }
}
