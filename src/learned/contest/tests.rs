//! The contest over recorded and made-up costs.

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
    turns: Vec<RouteChange>,
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
fn what_is_left_for_later_says_nothing_of_what_is_written_meanwhile() {
    let routes = vec![Route::Ring, Route::Deferred, Route::Kernel];
    let mut contest = Contest::new(routes, Route::Kernel, Contest::TRIAL);
    (0..2).for_each(|_| assert!(contest.observe(&stretch(10, false), PLENTY).is_some()));
    assert_eq!(contest.current(), Route::Kernel, "it is still to be tried");
    assert!(contest.costs().all(|(route, _)| route != Route::Kernel));
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
