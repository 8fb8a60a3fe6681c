//! From which size on the kernel moves the bytes of files, found out while they are copied.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use super::size_class::{SizeClass, Way};
use crate::options::DataOptions;

/// How a file should be copied, beside its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The way of its size.
    Usual,
    /// The way of its size; how long that takes is compared with trials.
    Timed,
    /// This way, which is not that of its size, to learn how long it takes.
    Trial(Way),
}

/// A change of the threshold, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// The way that is faster for files of sizes between the two.
    pub(crate) faster: Way,
    /// How much less time it takes.
    pub(crate) percent: u64,
}

impl Step {
    /// What it was made for, in words for the user.
    pub(crate) fn reason(&self) -> String {
        let way = match self.faster {
            Way::Kernel => "by the kernel",
            Way::Buffer => "through a buffer",
        };
        format!("files of sizes in between take {} % less time {way}", self.percent)
    }
}

/// The threshold between two filesystems, which moves by powers of two to where both ways are
/// equally fast.
///
/// Sizes from one power of two to the next are a class. Of the two classes beside the threshold one
/// file in 16 goes the other way, and the one before it is timed; of all others, nothing is. After
/// 16 such pairs the class is judged: where the other way is clearly faster, the threshold passes
/// over the class. Each judgement of a class halves how often it is tried.
#[derive(Debug)]
pub(crate) struct Threshold {
    /// Its binary logarithm.
    log: AtomicU32,
    /// Files of each class that came since it was last judged.
    seen: [AtomicU32; Threshold::CLASSES],
    /// Never waited for: what finds it locked is not learned.
    trials: Mutex<Trials>,
}

#[derive(Debug)]
struct Trials {
    classes: [SizeClass; Threshold::CLASSES],
    steps: Vec<(Instant, Step)>,
}

impl Threshold {
    /// The smallest files of which anything is learned have 16 KiB, as a power of two.
    const LEAST: u32 = 14;
    /// From 8 MiB on there are ranges.
    const MOST: u32 = 23;
    const CLASSES: usize = (Self::MOST - Self::LEAST) as usize;
    /// The steps of which a report tells.
    const STEPS: usize = 100;

    pub(crate) fn new() -> Threshold {
        Threshold {
            log: AtomicU32::new(DataOptions::DEFAULT_THRESHOLD.ilog2()),
            seen: Default::default(),
            trials: Mutex::new(Trials { classes: Default::default(), steps: Vec::new() }),
        }
    }

    /// The size from which on the kernel moves the bytes.
    pub(crate) fn bytes(&self) -> u64 {
        1 << self.log.load(Ordering::Relaxed)
    }

    /// The class of a size beside the threshold, and its usual way.
    fn beside(&self, size: u64) -> Option<(usize, Way)> {
        let log = size.checked_ilog2().filter(|log| (Self::LEAST..Self::MOST).contains(log))?;
        let way = match self.log.load(Ordering::Relaxed) {
            threshold if threshold == log => Way::Kernel,
            threshold if threshold == log + 1 => Way::Buffer,
            _ => return None,
        };
        Some(((log - Self::LEAST) as usize, way))
    }

    /// How the next file, of `size` bytes, should be copied.
    pub(crate) fn turn(&self, size: u64) -> Next {
        let Some((class, usual)) = self.beside(size) else { return Next::Usual };
        let seen = self.seen[class].fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if seen.wrapping_add(1) % SizeClass::EVERY > 1 {
            return Next::Usual; // of every sixteen the last two matter at the most
        }
        let Some(trials) = self.try_lock() else { return Next::Usual };
        let class = &trials.classes[class];
        match seen % class.every {
            0 if class.affords(usual, seen) => Next::Trial(usual.other()),
            rest if rest + 1 == class.every => Next::Timed,
            _ => Next::Usual,
        }
    }

    /// Learn that a file of `size` bytes, whose turn was not the usual, took so long until `now`.
    pub(crate) fn learn(&self, size: u64, way: Way, took: Duration, now: Instant) -> Option<Step> {
        let mut trials = self.try_lock()?;
        // Only now: nobody else moves the threshold meanwhile.
        let (index, usual) = self.beside(size)?;
        let class = &mut trials.classes[index];
        class.add(way, took, size);
        if !class.is_known() {
            return None;
        }
        self.seen[index].store(0, Ordering::Relaxed);
        let percent = class.judge(usual)?;
        let from = self.log.load(Ordering::Relaxed);
        // Of the class above, the lower end is the threshold; of the one below, the upper.
        let (faster, to) = match usual {
            Way::Kernel => (Way::Buffer, from + 1),
            Way::Buffer => (Way::Kernel, from - 1),
        };
        self.log.store(to, Ordering::Relaxed);
        let step = Step { from: 1 << from, to: 1 << to, faster, percent };
        if trials.steps.len() < Self::STEPS {
            trials.steps.push((now, step));
        }
        Some(step)
    }

    /// Every step there was, up to a hundred, and when.
    pub(crate) fn steps(&self) -> Vec<(Instant, Step)> {
        self.trials.lock().unwrap_or_else(PoisonError::into_inner).steps.clone()
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Trials>> {
        self.trials.try_lock().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    /// Numbers that look like chance and are the same every time.
    struct Chance(u64);

    impl Chance {
        /// One of the numbers from 0 to 1.
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    /// Copy files of the sizes in turn, which take so many nanoseconds: how many in all, and how many
    /// if none had ever been tried.
    fn copy(
        threshold: &Threshold,
        files: u32,
        sizes: &[u64],
        mut nanos: impl FnMut(u64, Way) -> f64,
    ) -> (f64, f64) {
        let now = Instant::now();
        let (mut took, mut fixed) = (0.0, 0.0);
        for size in sizes.iter().cycle().take(files as usize) {
            let by_size = |threshold| if *size < threshold { Way::Buffer } else { Way::Kernel };
            let usual = by_size(threshold.bytes());
            let turn = threshold.turn(*size);
            let way = if let Next::Trial(way) = turn { way } else { usual };
            let this = nanos(*size, way);
            took += this;
            fixed += nanos(*size, by_size(64 * KIB));
            if turn != Next::Usual {
                threshold.learn(*size, way, Duration::from_nanos(this as u64), now);
            }
        }
        (took, fixed)
    }

    /// Every class, and sizes below and above all.
    fn all_sizes() -> Vec<u64> {
        (10..26).map(|log| (1 << log) + 1000).collect()
    }

    /// The kernel's calls cost so many nanoseconds each and no more, bytes of a buffer a tenth each.
    fn fair(call: f64) -> impl Fn(u64, Way) -> f64 {
        move |size, way| match way {
            Way::Kernel => call + size as f64 * 0.07,
            Way::Buffer => size as f64 * 0.1,
        }
    }

    #[test]
    fn it_comes_to_where_both_ways_are_equal() {
        for (call, expected) in
            [(0.0, 16 * KIB), (600.0, 32 * KIB), (6_000.0, 256 * KIB), (50_000.0, 2 * MIB), (1e9, 8 * MIB)]
        {
            let threshold = Threshold::new();
            copy(&threshold, 200_000, &all_sizes(), fair(call));
            assert_eq!(threshold.bytes(), expected, "{call} ns a call: {:?}", threshold.steps());
        }
    }

    #[test]
    fn steps_say_what_they_were_made_for() {
        let threshold = Threshold::new();
        copy(&threshold, 300, &[100 * KIB], |_, way| if way == Way::Kernel { 100.0 } else { 50.0 } * 1e3);
        let steps: Vec<_> = threshold.steps().into_iter().map(|(_, step)| step).collect();
        let up = Step { from: 64 * KIB, to: 128 * KIB, faster: Way::Buffer, percent: 50 };
        assert_eq!(steps, [up]);
        assert_eq!(up.reason(), "files of sizes in between take 50 % less time through a buffer");
        let threshold = Threshold::new();
        copy(&threshold, 300, &[40 * KIB], |_, way| if way == Way::Kernel { 75.0 } else { 100.0 } * 1e3);
        let steps: Vec<_> = threshold.steps().into_iter().map(|(_, step)| step).collect();
        let down = Step { from: 64 * KIB, to: 32 * KIB, faster: Way::Kernel, percent: 25 };
        assert_eq!(steps, [down]);
        assert_eq!(down.reason(), "files of sizes in between take 25 % less time by the kernel");
    }

    #[test]
    fn a_tie_stays_and_so_does_a_small_difference() {
        for kernel in [0.92, 1.0, 1.08] {
            let threshold = Threshold::new();
            let nanos = |size: u64, way| size as f64 * if way == Way::Kernel { kernel } else { 1.0 };
            copy(&threshold, 100_000, &all_sizes(), nanos);
            assert_eq!(threshold.steps().len(), 0, "{kernel}");
        }
    }

    #[test]
    fn noise_moves_nothing() {
        let mut moved = 0;
        for seed in 0..100 {
            let mut chance = Chance(seed);
            let threshold = Threshold::new();
            // Up to three times as long, and now and then a hundred times.
            copy(&threshold, 4_000, &[40 * KIB, 100 * KIB], |size, _| {
                let late = if chance.next() < 0.05 { 100.0 } else { 1.0 };
                size as f64 * (1.0 + 2.0 * chance.next()) * late
            });
            moved += usize::from(!threshold.steps().is_empty());
        }
        assert!(moved <= 5, "{moved} of 100 runs with six judgements each");
    }

    #[test]
    fn a_clear_difference_shows_through_noise() {
        let mut moved = 0;
        for seed in 0..100 {
            let mut chance = Chance(seed);
            let threshold = Threshold::new();
            copy(&threshold, 2_000, &[100 * KIB], |size, way| {
                let late = if chance.next() < 0.05 { 100.0 } else { 1.0 };
                let kernel = if way == Way::Kernel { 2.0 } else { 1.0 };
                size as f64 * kernel * (1.0 + 0.5 * chance.next()) * late
            });
            moved += usize::from(threshold.bytes() == 128 * KIB);
        }
        assert!(moved >= 95, "{moved} of 100 runs with three judgements each");
    }

    #[test]
    fn trials_cost_next_to_nothing_however_bad_the_other_way_is() {
        for factor in [1.0, 1.2, 2.0, 5.0, 20.0] {
            let threshold = Threshold::new();
            let (took, fixed) = copy(&threshold, 20_000, &[40 * KIB, 100 * KIB], |size, way| {
                let is_usual = (way == Way::Kernel) == (size >= 64 * KIB);
                size as f64 * if is_usual { 1.0 } else { factor }
            });
            assert!(took <= fixed * 1.02, "{factor}: {}", took / fixed);
            assert_eq!(threshold.bytes(), 64 * KIB);
        }
    }

    #[test]
    fn only_classes_beside_the_threshold_are_timed_and_a_few_files_never() {
        let threshold = Threshold::new();
        let turns =
            |size: u64, files: usize| -> Vec<Next> { (0..files).map(|_| threshold.turn(size)).collect() };
        for size in [0, 1, 16 * KIB, 32 * KIB - 1, 128 * KIB, MIB, 8 * MIB, u64::MAX] {
            assert!(turns(size, 1_000).iter().all(|turn| *turn == Next::Usual), "{size}");
        }
        for (size, other) in [(64 * KIB - 1, Way::Kernel), (64 * KIB, Way::Buffer)] {
            let (first, then) = (turns(size, 14), turns(size, 2));
            assert!(first.iter().all(|turn| *turn == Next::Usual));
            assert_eq!(then, [Next::Timed, Next::Trial(other)]);
        }
    }

    #[test]
    fn each_judgement_halves_how_often_a_class_is_tried() {
        let threshold = Threshold::new();
        let trials = |files: u32| {
            let mut trials = 0;
            copy(&threshold, files, &[100 * KIB], |size, way| {
                trials += u32::from(way == Way::Buffer);
                size as f64
            });
            trials
        };
        assert_eq!([trials(256), trials(512), trials(1_024), trials(2_048)], [16; 4]);
    }
}
