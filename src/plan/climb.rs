//! How many workers suit a device, found out while it works.

use std::time::Duration;

/// What was seen for a while with one number of workers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) took: Duration,
    /// What was done, in a unit that stays the same.
    pub(crate) done: f64,
    /// The part of their time that workers computed, in the kernel too, instead of waiting.
    pub(crate) busy: f64,
    /// Whether all workers there may be had work.
    pub(crate) all_worked: bool,
}

/// Another number of workers, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) why: Why,
}

/// Why the number of workers changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Why {
    /// They wait for the device most of the time, in percent: more of them may keep it busier.
    Waiting(u32),
    /// The last step did not raise the rate as it should have; by how many percent it changed.
    NoFaster(i32),
}

/// Climbs towards the number of workers that keeps a device busiest: doubles while that pays, goes
/// back when it does not, and tries again ever more seldom. Workers that hardly do anything but wait
/// are made four times as many at once: what they do until there are enough of them is little.
///
/// Where workers compute, the processors are what limits them, and nothing is tried at all: there
/// the number that was chosen beforehand stays.
#[derive(Debug)]
pub(crate) struct Climb {
    most: usize,
    jobs: usize,
    /// Before the step that is on trial: how many there were, and how fast.
    before: Option<(usize, f64)>,
    /// Looks to go by before the next trial, and after the next that fails.
    rest: u32,
    next_rest: u32,
}

impl Climb {
    /// Workers that compute for more than this part of their time are not waiting for a device.
    const BUSY: f64 = 0.5;
    /// Workers that compute for less than this part of their time would wait beside many more of them.
    const HARDLY_BUSY: f64 = 0.1;
    /// What twice as many workers must make of the rate at least to be worth having.
    const GAIN: f64 = 1.15;
    const FIRST_REST: u32 = 8;
    const LONGEST_REST: u32 = 64;

    /// Begin with `jobs` workers, which are never less, and have `most` at most.
    pub(crate) fn new(jobs: usize, most: usize) -> Climb {
        Climb { most, jobs, before: None, rest: 0, next_rest: Self::FIRST_REST }
    }

    /// How long to look before anything is told from what was seen.
    pub(crate) fn is_enough(&self, took: Duration, entries: u64) -> bool {
        const LEAST: Duration = Duration::from_millis(200);
        const MOST: Duration = Duration::from_secs(2);
        took >= MOST || took >= LEAST && entries >= 4 * self.jobs as u64
    }

    /// Learn from what was seen since the last step, or since the last look.
    pub(crate) fn look(&mut self, seen: Seen) -> Option<Step> {
        let rate = seen.done / seen.took.as_secs_f64().max(f64::MIN_POSITIVE);
        if let Some((fewer, slower)) = self.before.take() {
            let doublings = (self.jobs as f64 / fewer as f64).log2();
            let change = if slower > 0.0 { (rate / slower - 1.0) * 100.0 } else { 0.0 };
            let too_slow = Why::NoFaster(change.round() as i32);
            if rate < slower * Self::GAIN.powf(doublings.min(1.0)) {
                self.rest = self.next_rest;
                self.next_rest = (self.next_rest * 2).min(Self::LONGEST_REST);
                return self.step(fewer, too_slow);
            }
            if doublings > 1.0 && rate < slower * 2.0 * Self::GAIN.powf(doublings - 1.0) {
                // So much is to be had by half of the step as well.
                self.before = Some((fewer, slower));
                return self.step(fewer * 2, too_slow);
            }
            self.next_rest = Self::FIRST_REST;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        if seen.busy > Self::BUSY || !seen.all_worked || self.jobs >= self.most {
            return None;
        }
        self.before = Some((self.jobs, rate));
        // Not again where the last step failed: it costs more then.
        let is_bold = seen.busy < Self::HARDLY_BUSY && self.next_rest == Self::FIRST_REST;
        let times = if is_bold { 4 } else { 2 };
        let waiting = (1.0 - seen.busy.clamp(0.0, 1.0)) * 100.0;
        self.step((self.jobs * times).min(self.most), Why::Waiting(waiting.round() as u32))
    }

    fn step(&mut self, to: usize, why: Why) -> Option<Step> {
        let from = std::mem::replace(&mut self.jobs, to);
        Some(Step { from, to, why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(rate: f64, busy: f64) -> Seen {
        Seen { took: Duration::from_secs(1), done: rate, busy, all_worked: true }
    }

    /// Where a climb ends on a device whose rate with so many workers is `rate`.
    fn climbed(most: usize, busy: f64, rate: impl Fn(usize) -> f64) -> usize {
        let mut climb = Climb::new(2, most);
        for _ in 0..30 {
            climb.look(seen(rate(climb.jobs), busy));
        }
        climb.before.map_or(climb.jobs, |(jobs, _)| jobs)
    }

    #[test]
    fn a_device_that_takes_many_at_once_gets_many() {
        assert_eq!(climbed(64, 0.05, |jobs| jobs as f64), 64);
        assert_eq!(climbed(50, 0.05, |jobs| jobs as f64), 50);
        assert_eq!(climbed(64, 0.05, |jobs| jobs.min(16) as f64), 16);
    }

    #[test]
    fn a_device_that_takes_one_at_a_time_keeps_its_few() {
        assert_eq!(climbed(64, 0.05, |_| 100.0), 2);
        assert_eq!(climbed(64, 0.05, |jobs| 100.0 / jobs as f64), 2);
    }

    /// The numbers that a climb from 8 goes through at first.
    fn path(busy: f64, rate: impl Fn(usize) -> f64) -> Vec<usize> {
        let mut climb = Climb::new(8, 64);
        (0..8).filter_map(|_| climb.look(seen(rate(climb.jobs), busy))).map(|step| step.to).collect()
    }

    #[test]
    fn workers_that_do_nothing_but_wait_soon_become_many() {
        assert_eq!(path(0.02, |jobs| jobs as f64), [32, 64]);
        assert_eq!(path(0.2, |jobs| jobs as f64), [16, 32, 64]);
    }

    #[test]
    fn a_bold_step_that_went_too_far_is_halved_and_then_taken_back() {
        assert_eq!(path(0.02, |jobs| jobs.min(16) as f64), [32, 16, 64, 16]);
        let crowded =
            |jobs| [(8, 100.0), (16, 105.0), (32, 120.0)].into_iter().find(|(there, _)| *there == jobs);
        assert_eq!(path(0.02, |jobs| crowded(jobs).map_or(50.0, |(_, rate)| rate)), [32, 16, 8]);
    }

    #[test]
    fn after_a_step_that_failed_none_is_bold() {
        let mut climb = Climb::new(8, 64);
        let steps: Vec<_> =
            (0..20).filter_map(|_| climb.look(seen(100.0, 0.02))).map(|step| step.to).collect();
        assert_eq!(steps, [32, 8, 16, 8]);
    }

    #[test]
    fn busy_processors_are_left_alone() {
        let mut climb = Climb::new(2, 64);
        assert!((0..100).all(|_| climb.look(seen(100.0, 0.9)).is_none()));
    }

    #[test]
    fn a_failed_trial_is_taken_back_and_repeated_ever_more_seldom() {
        let mut climb = Climb::new(4, 64);
        let steps: Vec<_> = (0..100).filter_map(|look| Some((look, climb.look(seen(100.0, 0.1))?))).collect();
        let (first, second) = (steps[0].1, steps[1].1);
        assert_eq!((first.from, first.to, first.why), (4, 8, Why::Waiting(90)));
        assert_eq!((second.from, second.to, second.why), (8, 4, Why::NoFaster(0)));
        let trials: Vec<_> = steps.iter().step_by(2).map(|(look, _)| *look).collect();
        assert_eq!(trials, [0, 10, 28, 62], "8, 16 and 32 looks of rest between them");
    }

    #[test]
    fn what_only_some_of_them_had_to_do_is_no_reason_for_more() {
        let mut climb = Climb::new(4, 64);
        assert!(climb.look(Seen { all_worked: false, ..seen(100.0, 0.1) }).is_none());
    }
}
