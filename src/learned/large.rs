//! The way that large files go between two filesystems: what all workers share of it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    contest::{Ahead, Contest, Cost, RouteChange},
    meter::{Meter, Ticket},
    route::Route,
};

/// Asks how long the process has computed so far; nothing where a system does not tell.
pub(crate) type Computed = fn() -> Duration;

/// The way that large files go between two filesystems, found out while they are copied.
#[derive(Debug, Default)]
pub(crate) struct Large(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    meter: Meter,
    /// Once there was a large file.
    contest: Option<Contest>,
    turns: Vec<(Instant, RouteChange)>,
}

/// Bytes of a large file that went one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portion {
    pub(crate) route: Route,
    pub(crate) bytes: u64,
    /// Whether the file has several workers.
    pub(crate) is_shared: bool,
}

/// What was learned of large files: the ways that were gone in turn, and what each cost in the end.
#[derive(Debug)]
pub(crate) struct Learned {
    pub(crate) turns: Vec<(Instant, RouteChange)>,
    pub(crate) costs: Vec<(Route, Cost)>,
}

impl Large {
    /// The changes of which a report tells.
    const TURNS: usize = 100;
    /// A stretch that is shorter says little: a worker may have been put off for that long.
    const SHORTEST: Duration = Duration::from_millis(4);
    /// One that takes this long is long enough, however few bytes it moves.
    const LONG: Duration = Duration::from_millis(500);
    /// Part of the wanted bytes that a long one has at least.
    const LONG_PART: u64 = 8;

    /// Take these for the ways, unless they are settled already.
    /// A trial has so many bytes.
    pub(crate) fn begin(&self, trial: u64, routes: impl FnOnce() -> (Vec<Route>, Route)) {
        self.lock().contest.get_or_insert_with(|| {
            let (routes, fallback) = routes();
            Contest::new(routes, fallback, trial)
        });
    }

    /// The way for the bytes at hand, which a ring may take or not.
    pub(crate) fn route(&self, may_ring: bool) -> Route {
        match &self.lock().contest {
            Some(contest) if may_ring => contest.current(),
            Some(contest) => contest.without_ring(),
            None => Route::BufferRanges,
        }
    }

    /// A worker begins to move bytes.
    pub(crate) fn join(&self, now: Instant, computed: Computed) -> Ticket {
        self.lock().meter.join(now, computed)
    }

    /// A worker has moved these bytes.
    pub(crate) fn add(
        &self,
        ticket: &mut Ticket,
        portion: Portion,
        ahead: Ahead,
        now: Instant,
        computed: Computed,
    ) -> Option<RouteChange> {
        let Portion { route, bytes, is_shared } = portion;
        let mut state = self.lock();
        let State { meter, contest, turns } = &mut *state;
        // What cannot go the present way says nothing of it.
        let counts = contest.as_ref().is_some_and(|contest| contest.current() == route);
        meter.add(ticket, if counts { bytes } else { 0 }, is_shared, now, computed);
        let contest = contest.as_mut().filter(|contest| contest.is_open())?;
        if meter.bytes() < contest.wants() / Self::LONG_PART {
            return None;
        }
        let stretch = meter.stretch(now, computed);
        let is_done = stretch.bytes >= contest.wants() && stretch.wall >= Self::SHORTEST;
        if !is_done && stretch.wall < Self::LONG {
            return None;
        }
        let turn = contest.observe(&stretch, ahead);
        match &turn {
            Some(turn) => {
                meter.change();
                // A ring has much under way yet; everybody else comes over at once.
                if route != Route::Ring {
                    meter.add(ticket, 0, is_shared, now, computed);
                }
                if turns.len() < Self::TURNS {
                    turns.push((now, *turn));
                }
            }
            None => meter.begin(now, computed),
        }
        turn
    }

    /// A worker had to make ready, or to come to an end, before it could move bytes as it does from now on: that says
    /// nothing.
    pub(crate) fn skip(&self, ticket: &mut Ticket, now: Instant, computed: Computed) {
        let mut state = self.lock();
        state.meter.add(ticket, 0, false, now, computed);
        if state.meter.bytes() == 0 {
            state.meter.begin(now, computed);
        }
    }

    /// A worker stops moving bytes.
    pub(crate) fn leave(&self, ticket: &Ticket, now: Instant, computed: Computed) {
        self.lock().meter.leave(ticket, now, computed);
    }

    /// A way turned out not to be one here.
    pub(crate) fn refuse(&self, route: Route, now: Instant) {
        let mut state = self.lock();
        let State { meter, contest, turns } = &mut *state;
        if let Some(turn) = contest.as_mut().and_then(|contest| contest.refuse(route)) {
            meter.change();
            if turns.len() < Self::TURNS {
                turns.push((now, turn));
            }
        }
    }

    /// What was learned, if there was anything to learn.
    pub(crate) fn learned(&self) -> Learned {
        let state = self.lock();
        let open = state.contest.as_ref().filter(|contest| contest.is_open() || !state.turns.is_empty());
        let costs = open.map(|contest| contest.costs().collect()).unwrap_or_default();
        Learned { turns: state.turns.clone(), costs }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
