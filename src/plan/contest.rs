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
pub(crate) struct Turn {
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
    /// Stretches between challenges, at first and at most.
    const PATIENCE: u32 = 8;
    const PATIENCE_MAX: u32 = 256;
    /// A way that costs so many times as much is not tried again.
    const HOPELESS: f64 = 1.5;

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
    pub(crate) fn observe(&mut self, stretch: &Stretch, ahead: Ahead) -> Option<Turn> {
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
        is_turn.then(|| Turn { from, to: self.current, cost: self.costs[from.index()].or(Some(cost)), why })
    }

    /// A way turned out not to be one.
    pub(crate) fn refuse(&mut self, refused: Route) -> Option<Turn> {
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
        Some(Turn { from: refused, to: self.current, cost: None, why: Why::Refused })
    }

    fn learn(&mut self, stretch: &Stretch, cost: Cost) {
        self.costs[self.current.index()] = Some(cost);
        // Where nobody was there to share a file with, both ways are one.
        let alone = self.current.alone();
        if !stretch.was_shared && self.routes.contains(&alone) {
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
        let first = self.first.map(|(first, cost)| (first, cost.weighed(first)));
        let written = self.costs().chain(first).filter(|(route, _)| *route != Route::Deferred);
        let fastest = written.map(|(_, cost)| cost.wall).min_by(f64::total_cmp);
        let later = self.known(Route::Deferred);
        later.zip(fastest).is_some_and(|(later, written)| later.wall * 2.0 < written)
    }

    fn affords(&self, ahead: Ahead) -> bool {
        // As much is to come as there was, where nothing better is known.
        let all = self.seen.saturating_add(ahead.left.max(self.seen));
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
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    /// Seconds for a whole file, and of CPU, each way: without writeback, and with it from some byte on.
    #[derive(Clone, Copy)]
    struct Machine {
        /// In the order of [`Route::ALL`].
        before: [(f64, f64); 6],
        after: [(f64, f64); 6],
        /// The file they were measured with.
        bytes: u64,
        /// How many bytes are written before the kernel begins to write back.
        background: u64,
        /// How much each stretch differs, at most.
        noise: f64,
    }

    struct Ran {
        seconds: f64,
        turns: Vec<Turn>,
    }

    impl Machine {
        fn costs(&self, route: Route, at: u64) -> Cost {
            let costs = if at < self.background { self.before } else { self.after };
            let (wall, cpu) = costs[route.index()];
            Cost { wall: wall * 1e9 / self.bytes as f64, cpu: cpu * 1e9 / self.bytes as f64 }
        }

        fn fixed(&self, route: Route, size: u64) -> f64 {
            (0..size / MIB).map(|at| self.costs(route, at * MIB).wall * MIB as f64 / 1e9).sum()
        }

        fn best_fixed(&self, size: u64) -> f64 {
            Route::ALL.iter().map(|route| self.fixed(*route, size)).fold(f64::MAX, f64::min)
        }

        /// So many files of `size` go as the contest says.
        fn run(&self, routes: &[Route], size: u64, files: u64) -> Ran {
            let mut contest = Contest::new(routes.to_vec(), Route::KernelRanges, Contest::TRIAL);
            let mut turns = Vec::new();
            let (mut seconds, mut seed, mut at) = (0.0, 88_172_645_463_325_252_u64, 0);
            let all = size * files;
            while at < all {
                let bytes = contest.wants().min(all - at);
                let cost = self.costs(contest.current(), at);
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let factor = 1.0 + self.noise * ((seed % 2001) as f64 / 1000.0 - 1.0);
                let took = cost.wall * factor * bytes as f64 / 1e9;
                seconds += took;
                at += bytes;
                let left = size - at % size;
                let stretch = Stretch {
                    bytes,
                    wall: Duration::from_secs_f64(took),
                    cpu: Duration::from_secs_f64(cost.cpu * bytes as f64 / 1e9),
                    was_shared: true,
                };
                turns.extend(contest.observe(&stretch, Ahead { left, may_ring: true }));
            }
            Ran { seconds, turns }
        }
    }

    /// As measured on two cores with kernel 6.18: ext4 and xfs, one file of 1.5 GiB.
    fn recorded() -> [(&'static str, Machine); 4] {
        let ext4 = [(0.68, 0.68), (0.54, 1.04), (0.75, 0.75), (0.44, 0.84), (0.55, 0.46), (0.54, 1.0)];
        let ext4_back = [(0.73, 0.69), (0.80, 0.93), (0.85, 0.85), (1.40, 1.79), (0.48, 0.44), (0.80, 1.0)];
        let xfs = [(0.60, 0.60), (0.45, 0.89), (0.66, 0.66), (0.61, 1.15), (0.52, 0.46), (0.45, 1.0)];
        let xfs_back = [(0.49, 0.49), (0.50, 0.55), (0.60, 0.60), (0.80, 1.11), (0.46, 0.41), (0.50, 1.0)];
        let bytes = 3 * GIB / 2;
        let one = |before, after, background| Machine { before, after, bytes, background, noise: 0.05 };
        [
            ("ext4", one(ext4, ext4, u64::MAX)),
            ("ext4, written back", one(ext4, ext4_back, 256 * MIB)),
            ("xfs", one(xfs, xfs, u64::MAX)),
            ("xfs, written back", one(xfs, xfs_back, 256 * MIB)),
        ]
    }

    const ALL: [Route; 4] = [Route::KernelRanges, Route::BufferRanges, Route::Kernel, Route::Ring];

    #[test]
    fn one_large_file_takes_hardly_longer_than_the_best_way_known_beforehand() {
        for (name, machine) in recorded() {
            for size in [3 * GIB / 2, 2 * GIB, 6 * GIB] {
                let ran = machine.run(&ALL, size, 1);
                let best = machine.best_fixed(size);
                assert!(
                    ran.seconds <= 1.08 * best,
                    "{name}, {size}: {} of {best}: {:#?}",
                    ran.seconds,
                    ran.turns
                );
            }
        }
    }
    #[test]
    fn files_of_one_step_show_together_what_one_alone_cannot() {
        for (name, machine) in recorded() {
            let ran = machine.run(&ALL, 20 * MIB, 400);
            let best = machine.best_fixed(400 * 20 * MIB);
            assert!(ran.seconds <= 1.08 * best, "{name}: {} of {best}: {:#?}", ran.seconds, ran.turns);
            assert_eq!(machine.run(&ALL, 20 * MIB, 3).turns, [], "too few bytes to try anything with");
        }
    }

    fn stretch(millis: u64, was_shared: bool) -> Stretch {
        let took = Duration::from_millis(millis);
        Stretch { bytes: 32 * MIB, wall: took, cpu: took, was_shared }
    }

    const PLENTY: Ahead = Ahead { left: 100 * GIB, may_ring: true };

    #[test]
    fn a_way_that_becomes_slower_makes_all_of_them_unknown() {
        let mut contest = Contest::new(ALL.to_vec(), Route::Kernel, Contest::TRIAL);
        for millis in [20, 10, 30, 40, 20] {
            contest.observe(&stretch(millis, true), PLENTY);
        }
        assert_eq!(contest.current(), Route::BufferRanges);
        assert_eq!(contest.observe(&stretch(14, true), PLENTY), None, "once may be chance");
        let turn = contest.observe(&stretch(14, true), PLENTY).unwrap();
        assert_eq!((turn.from, turn.to, turn.why), (Route::BufferRanges, Route::Ring, Why::Slower));
        assert_eq!(contest.costs().count(), 1);
        for millis in [12, 13, 13] {
            contest.observe(&stretch(millis, true), PLENTY);
        }
        assert_eq!(contest.current(), Route::Ring);
    }

    #[test]
    fn a_file_that_nobody_shared_shows_both_ways_of_a_method() {
        let routes = vec![Route::BufferRanges, Route::KernelRanges, Route::Kernel];
        let mut contest = Contest::new(routes, Route::Kernel, Contest::TRIAL);
        let turns: Vec<_> = (0..3).filter_map(|_| contest.observe(&stretch(10, false), PLENTY)).collect();
        let gone: Vec<_> = turns.iter().map(|turn| turn.to).collect();
        assert_eq!(gone, [Route::KernelRanges, Route::BufferRanges], "the first is tried once more");
    }

    #[test]
    fn of_ways_that_are_level_the_one_that_computes_less_is_gone() {
        let mut contest = Contest::new(vec![Route::KernelRanges, Route::Ring], Route::Kernel, Contest::TRIAL);
        contest.observe(&stretch(10, true), PLENTY);
        contest.observe(&Stretch { cpu: Duration::from_millis(3), ..stretch(10, true) }, PLENTY);
        contest.observe(&stretch(10, true), PLENTY);
        assert_eq!(contest.current(), Route::Ring);
    }

    #[test]
    fn what_cannot_go_through_a_ring_goes_the_best_of_the_others() {
        let asked = Contest::new(vec![Route::Ring], Route::BufferRanges, Contest::TRIAL);
        assert_eq!((asked.current(), asked.without_ring()), (Route::Ring, Route::BufferRanges));
        assert!(!asked.is_open());
        let mut contest = Contest::new(ALL.to_vec(), Route::Kernel, Contest::TRIAL);
        for millis in [20, 15, 30, 10, 20] {
            contest.observe(&stretch(millis, true), PLENTY);
        }
        assert_eq!((contest.current(), contest.without_ring()), (Route::Ring, Route::BufferRanges));
        let ahead = Ahead { may_ring: false, ..PLENTY };
        let mut without = Contest::new(ALL.to_vec(), Route::Kernel, Contest::TRIAL);
        for _ in 0..4 {
            without.observe(&stretch(10, true), ahead);
        }
        assert!(without.costs().all(|(route, _)| route != Route::Ring));
    }

    #[test]
    fn a_way_that_is_refused_is_not_gone_again() {
        let mut contest = Contest::new(ALL.to_vec(), Route::Kernel, Contest::TRIAL);
        for millis in [20, 15, 30] {
            contest.observe(&stretch(millis, true), PLENTY);
        }
        assert_eq!(contest.current(), Route::Ring);
        let turn = contest.refuse(Route::Ring).unwrap();
        assert_eq!((turn.to, turn.why), (Route::BufferRanges, Why::Refused));
        assert_eq!(contest.refuse(Route::Ring), None);
        let mut asked = Contest::new(vec![Route::Ring], Route::BufferRanges, Contest::TRIAL);
        assert_eq!(asked.refuse(Route::Ring).unwrap().to, Route::BufferRanges);
    }
    #[test]
    fn what_is_left_for_later_is_gone_where_the_device_is_slow_and_only_there() {
        let routes = [Route::Ring, Route::Deferred, Route::KernelRanges, Route::Kernel];
        for (written, expected, tried) in [(200, Route::Deferred, 2), (15, Route::Ring, 4)] {
            let mut contest = Contest::new(routes.to_vec(), Route::Kernel, Contest::TRIAL);
            let mut gone = BTreeSet::from([contest.current().index()]);
            for _ in 0..5 {
                let millis = if contest.current() == Route::Deferred { 10 } else { written };
                contest.observe(&stretch(millis, true), PLENTY);
                gone.insert(contest.current().index());
            }
            assert_eq!((contest.current(), gone.len()), (expected, tried));
        }
    }
}
