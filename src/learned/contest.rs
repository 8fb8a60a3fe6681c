//! Which way the bytes of large files go between two filesystems, found out while they are copied.

use std::time::Duration;

use super::{meter::Stretch, route::Route};

/// What moving bytes one way costs, in nanoseconds a byte.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

impl Cost {
    fn of(stretch: &Stretch) -> Cost {
        let bytes = stretch.bytes.max(1) as f64;
        let per_byte = |time: Duration| time.as_nanos() as f64 / bytes;
        Cost { wall: per_byte(stretch.wall).max(f64::MIN_POSITIVE), cpu: per_byte(stretch.cpu) }
    }

    /// The same as it is compared: what is left for later is still to be done, and counts twice.
    fn weighed(self, route: Route) -> Cost {
        if route == Route::Deferred { Cost { wall: self.wall * 2.0, ..self } } else { self }
    }

    /// What it becomes with one more stretch, the latest of which count most.
    fn with(self, other: Cost) -> Cost {
        let mean = |old: f64, new: f64| old + (new - old) / 4.0;
        Cost { wall: mean(self.wall, other.wall), cpu: mean(self.cpu, other.cpu) }
    }
}

/// Why another way is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// To see what it costs.
    Trial,
    /// The way until then became slower, so all that was known is out of date.
    Slower,
    /// Of all that was tried it takes the least time.
    Fastest,
    /// It takes no more time than the fastest, and less of the processors.
    Cheapest,
    /// It was tried against the present way, which is not slower.
    NoBetter,
    /// The way until then was refused.
    Refused,
}

/// A change of the way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RouteChange {
    pub(crate) from: Route,
    pub(crate) to: Route,
    /// What the way until then cost.
    pub(crate) cost: Option<Cost>,
    pub(crate) why: Why,
}

/// What the next bytes allow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    /// Bytes that the file at hand still has.
    pub(crate) left: u64,
    /// Whether they may go through a ring.
    pub(crate) may_ring: bool,
}

/// The ways that large files may go between two filesystems, and what they turned out to cost.
///
/// All are tried over short stretches, as far as that costs little against the bytes that are to come; then the
/// fastest is gone, or of several that are as fast the one that computes least. Where it becomes slower, because
/// the kernel begins to write back or a neighbour comes, all are tried again. Now and then the second best is.
#[derive(Debug)]
pub(crate) struct Contest {
    routes: Vec<Route>,
    /// For what cannot go through a ring, where that is the only way.
    fallback: Route,
    /// Bytes of a trial.
    trial: u64,
    costs: [Option<Cost>; Route::ALL.len()],
    current: Route,
    phase: Phase,
    /// What the very first stretch cost, in which everything else was done for the first time as well: its way is
    /// tried once more when all others were.
    first: Option<(Route, Cost)>,
    /// Bytes that went any way, and such as were trials.
    seen: u64,
    tried: u64,
    /// What had gone any way when trials were last forgotten.
    forgiven: u64,
    /// Stretches until the second best is tried again.
    patience: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Going through those that are not known.
    Trying { from_the_last: bool },
    /// Going the best of them for so many stretches, the last of which so many were slow.
    Settled { stretches: u32, slow: u32 },
    /// Trying another against this one.
    Challenge { champion: Route },
}

impl Contest {
    /// Bytes of a trial.
    pub(crate) const TRIAL: u64 = 16 << 20;
    /// The same of files that are written to their device meanwhile: what is under way there counts for less then.
    pub(crate) const TRIAL_WRITTEN: u64 = 32 << 20;
    /// Bytes of a stretch otherwise.
    const STRETCH: u64 = 32 << 20;
    /// One part in so many of all bytes may go into trials.
    const TRIED: u64 = 10;
    /// Costs that differ by less are level.
    const LEVEL: f64 = 1.06;
    /// A level way is gone for the processors' sake where it needs no more of them than this.
    const CHEAPER: f64 = 0.85;
    /// What a challenger must come down to.
    const BETTER: f64 = 0.92;
    /// A stretch is slow from so many times the usual cost on, and the way so from so many of them in a row.
    const SLOW: f64 = 1.33;
    const SLOW_STRETCHES: u32 = 2;
    /// From so many times the usual cost on, what was tried until then does not count.
    const MUCH_SLOWER: f64 = 2.0;
    /// Stretches between challenges, at first and at most.
    const PATIENCE: u32 = 16;
    const PATIENCE_MAX: u32 = 256;
    /// A way that costs so many times as much is not tried again.
    const HOPELESS: f64 = 1.25;

    /// Begin with the first of some ways; where that is a ring alone, what it leaves goes the way of `fallback`.
    pub(crate) fn new(routes: Vec<Route>, fallback: Route, trial: u64) -> Contest {
        let current = *routes.first().unwrap_or(&fallback);
        Contest {
            routes,
            fallback,
            trial,
            costs: Default::default(),
            current,
            phase: Phase::Trying { from_the_last: false },
            first: None,
            seen: 0,
            tried: 0,
            forgiven: 0,
            patience: Self::PATIENCE,
        }
    }

    /// The way that is gone now.
    pub(crate) fn current(&self) -> Route {
        self.current
    }

    /// The way for bytes that cannot go through a ring.
    pub(crate) fn without_ring(&self) -> Route {
        match self.current {
            Route::Ring => {
                let known = self.best(|route| route != Route::Ring).map(|(route, _)| route);
                let first = || self.routes.iter().copied().find(|route| *route != Route::Ring);
                known.or_else(first).unwrap_or(self.fallback)
            }
            route => route,
        }
    }

    /// Whether there is anything to find out.
    pub(crate) fn is_open(&self) -> bool {
        self.routes.len() > 1
    }

    /// Bytes after which a stretch is told.
    pub(crate) fn wants(&self) -> u64 {
        match self.phase {
            Phase::Trying { .. } | Phase::Challenge { .. } => self.trial,
            Phase::Settled { .. } => Self::STRETCH,
        }
    }

    /// What is known of a way, as it is compared.
    fn known(&self, route: Route) -> Option<Cost> {
        self.costs[route.index()].map(|cost| cost.weighed(route))
    }

    /// What is known of each way.
    pub(crate) fn costs(&self) -> impl Iterator<Item = (Route, Cost)> + '_ {
        self.routes.iter().filter_map(|route| Some((*route, self.costs[route.index()]?)))
    }

    /// Learn what a stretch cost that went the present way, and which way the next goes.
    pub(crate) fn observe(&mut self, stretch: &Stretch, ahead: Ahead) -> Option<RouteChange> {
        let cost = Cost::of(stretch);
        let is_first = self.seen == 0;
        self.seen += stretch.bytes;
        let from = self.current;
        let why = match self.phase {
            Phase::Trying { from_the_last } => {
                if self.routes.first() != Some(&from) {
                    self.tried += stretch.bytes;
                }
                if is_first {
                    self.first = Some((from, cost));
                } else {
                    self.learn(stretch, cost);
                }
                self.try_next(from_the_last, ahead)
            }
            Phase::Settled { stretches, slow } => self.watch(stretch, cost, stretches, slow, ahead),
            Phase::Challenge { champion } => {
                self.tried += stretch.bytes;
                self.learn(stretch, cost);
                self.judge(champion)
            }
        };
        let is_turn = self.current != from;
        is_turn.then(|| RouteChange {
            from,
            to: self.current,
            cost: self.costs[from.index()].or(Some(cost)),
            why,
        })
    }

    /// A way turned out not to be one.
    pub(crate) fn refuse(&mut self, refused: Route) -> Option<RouteChange> {
        self.routes.retain(|route| *route != refused);
        if self.routes.is_empty() {
            self.routes.push(self.fallback);
        }
        self.costs[refused.index()] = None;
        if self.current != refused {
            if self.phase == (Phase::Challenge { champion: refused }) {
                self.settle();
            }
            return None;
        }
        self.settle();
        Some(RouteChange { from: refused, to: self.current, cost: None, why: Why::Refused })
    }

    fn learn(&mut self, stretch: &Stretch, cost: Cost) {
        self.costs[self.current.index()] = Some(cost);
        // Where nobody was there to share a file with, both ways are one; what is deferred is not written, either way.
        let alone = self.current.alone();
        if !stretch.was_shared && self.current != Route::Deferred && self.routes.contains(&alone) {
            self.costs[alone.index()] = Some(cost);
        }
    }

    /// Go the next way that is not known, or else the best.
    fn try_next(&mut self, from_the_last: bool, ahead: Ahead) -> Why {
        match self.unknown(from_the_last, ahead) {
            Some(route) => {
                self.current = route;
                Why::Trial
            }
            None => self.settle(),
        }
    }

    /// A way that is not known, and may be tried; that of the first stretch comes last.
    fn unknown(&self, from_the_last: bool, ahead: Ahead) -> Option<Route> {
        let is_unknown = |route: &&Route| {
            self.costs[route.index()].is_none() && (ahead.may_ring || **route != Route::Ring)
        };
        let mut unknown: Vec<_> = self.routes.iter().filter(is_unknown).copied().collect();
        if let Some(first) =
            self.first.and_then(|(first, _)| unknown.iter().position(|route| *route == first))
        {
            unknown.rotate_left(first + 1);
        }
        let next = if from_the_last { unknown.last() } else { unknown.first() };
        let is_first = |route: &Route| self.first.is_some_and(|(first, _)| *route == first);
        next.copied().filter(|next| (is_first(next) || self.affords(ahead)) && !self.is_device_slow())
    }

    /// Whether the device is so much slower than memory that it decides about all ways but the one that leaves it
    /// for later, and these need not be tried.
    fn is_device_slow(&self) -> bool {
        let written = self.costs().chain(self.first).filter(|(route, _)| *route != Route::Deferred);
        let fastest = written.map(|(_, cost)| cost.wall).min_by(f64::total_cmp);
        let later = self.known(Route::Deferred);
        later.zip(fastest).is_some_and(|(later, written)| later.wall * 2.0 < written)
    }

    fn affords(&self, ahead: Ahead) -> bool {
        // Half as much is to come as there was, where nothing better is known.
        let all = self.seen.saturating_add(ahead.left.max(self.seen / 2));
        ahead.left >= self.trial / 2 && self.tried + self.trial <= all / Self::TRIED
    }

    fn watch(&mut self, stretch: &Stretch, cost: Cost, stretches: u32, slow: u32, ahead: Ahead) -> Why {
        let usual = self.costs[self.current.index()].unwrap_or(cost);
        if cost.wall > usual.wall * Self::SLOW {
            if slow + 1 < Self::SLOW_STRETCHES {
                self.phase = Phase::Settled { stretches, slow: slow + 1 };
                return Why::Slower;
            }
            (self.costs, self.first) = Default::default();
            self.learn(stretch, cost);
            // Against that, trials cost little; but not whenever a device changes its mind.
            if cost.wall > usual.wall * Self::MUCH_SLOWER && self.seen >= self.forgiven.saturating_mul(2) {
                (self.tried, self.forgiven) = (0, self.seen);
            }
            self.patience = Self::PATIENCE;
            self.phase = Phase::Trying { from_the_last: true };
            self.try_next(true, ahead);
            return Why::Slower;
        }
        self.learn(stretch, usual.with(cost));
        self.phase = Phase::Settled { stretches: stretches + 1, slow: 0 };
        if let Some(unknown) = self.unknown(false, ahead) {
            self.challenge(unknown);
        } else if stretches + 1 >= self.patience {
            self.patience = (self.patience * 2).min(Self::PATIENCE_MAX);
            let worth = usual.weighed(self.current).wall * Self::HOPELESS;
            let second = self.best(|route| {
                let is_hopeless = self.known(route).is_none_or(|cost| cost.wall > worth);
                route != self.current && !is_hopeless && (ahead.may_ring || route != Route::Ring)
            });
            match second {
                Some((second, _)) if self.affords(ahead) => self.challenge(second),
                _ => self.phase = Phase::Settled { stretches: 0, slow: 0 },
            }
        }
        Why::Trial
    }

    fn challenge(&mut self, challenger: Route) {
        self.phase = Phase::Challenge { champion: self.current };
        self.current = challenger;
    }

    /// Whether the challenger stays.
    fn judge(&mut self, champion: Route) -> Why {
        let (Some(old), Some(new)) = (self.known(champion), self.known(self.current)) else {
            return self.settle();
        };
        self.phase = Phase::Settled { stretches: 0, slow: 0 };
        if new.wall < old.wall * Self::BETTER {
            Why::Fastest
        } else if new.wall < old.wall * Self::LEVEL && new.cpu < old.cpu * Self::CHEAPER {
            Why::Cheapest
        } else {
            self.current = champion;
            Why::NoBetter
        }
    }

    /// Go the best way that is known.
    fn settle(&mut self) -> Why {
        if let Some((first, cost)) = self.first {
            self.costs[first.index()].get_or_insert(cost);
        }
        self.phase = Phase::Settled { stretches: 0, slow: 0 };
        let (best, why) = self.best(|_| true).unwrap_or((self.routes[0], Why::Fastest));
        self.current = best;
        why
    }

    /// The best of some ways, as far as they are known.
    fn best(&self, may: impl Fn(Route) -> bool) -> Option<(Route, Why)> {
        let known = || {
            let may = self.routes.iter().filter(|route| may(**route));
            may.filter_map(|route| Some((*route, self.known(*route)?)))
        };
        let fastest = known().min_by(|(_, a), (_, b)| a.wall.total_cmp(&b.wall))?;
        let level = known().filter(|(_, cost)| cost.wall <= fastest.1.wall * Self::LEVEL);
        let cheapest = level.min_by(|(_, a), (_, b)| a.cpu.total_cmp(&b.cpu)).unwrap_or(fastest);
        let is_cheaper = cheapest.1.cpu < fastest.1.cpu * Self::CHEAPER;
        Some(if is_cheaper { (cheapest.0, Why::Cheapest) } else { (fastest.0, Why::Fastest) })
    }
}

#[cfg(test)]
mod tests;
