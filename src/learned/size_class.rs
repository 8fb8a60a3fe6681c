//! Files of about one size, and which way is faster for their bytes.

use std::time::Duration;

/// A way for the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Kernel,
    Buffer,
}

impl Way {
    pub(super) fn other(self) -> Way {
        match self {
            Way::Kernel => Way::Buffer,
            Way::Buffer => Way::Kernel,
        }
    }
}

/// What is known of files of one size class: for each way, how long a byte took of the last few.
#[derive(Debug)]
pub(super) struct SizeClass {
    /// Of so many files one is tried.
    pub(super) every: u32,
    kernel: Vec<u64>,
    buffer: Vec<u64>,
}

impl Default for SizeClass {
    fn default() -> SizeClass {
        SizeClass { every: Self::EVERY, kernel: Vec::new(), buffer: Vec::new() }
    }
}

impl SizeClass {
    /// Of so many files one is tried, at first.
    pub(super) const EVERY: u32 = 16;
    /// As many files of each way are compared.
    const ROUND: usize = 16;
    /// One file in so many is tried at the least.
    const EVERY_MOST: u32 = 1024;
    /// Trials that are made whatever they cost: the middle one of three says what they do.
    const FREE: usize = 3;
    /// What trials cost, of the time of all files: one part in so many.
    const COST: u64 = 64;

    pub(super) fn add(&mut self, way: Way, took: Duration, size: u64) {
        let known = match way {
            Way::Kernel => &mut self.kernel,
            Way::Buffer => &mut self.buffer,
        };
        if known.len() == Self::ROUND {
            known.remove(0);
        }
        // Sizes within a class differ by up to two.
        let picoseconds = took.as_nanos() * 1000 / u128::from(size.max(1));
        known.push(u64::try_from(picoseconds).unwrap_or(u64::MAX));
    }

    /// What is known of trials, and of the usual way.
    fn sides(&self, usual: Way) -> (&[u64], &[u64]) {
        match usual {
            Way::Kernel => (&self.buffer, &self.kernel),
            Way::Buffer => (&self.kernel, &self.buffer),
        }
    }

    /// Whether what trials have cost more than the usual way, of `seen` files, leaves room for another.
    pub(super) fn affords(&self, usual: Way, seen: u32) -> bool {
        let (trials, usual) = self.sides(usual);
        if trials.len() < Self::FREE {
            return true;
        }
        let (trial, usual) = (median(trials), median(usual));
        let cost = trial.saturating_sub(usual).saturating_mul(trials.len() as u64);
        cost.saturating_mul(Self::COST) <= usual.saturating_mul(seen.into())
    }

    /// Whether enough is known of both ways.
    pub(super) fn is_known(&self) -> bool {
        self.kernel.len() == Self::ROUND && self.buffer.len() == Self::ROUND
    }

    /// By how many percent trials are faster, if they clearly are; what was known is then forgotten.
    ///
    /// Three of four comparisons of a trial with a usual file have to show it faster by a tenth. Where
    /// both are equal, and however much they scatter, chance does so in less than one round of 100.
    pub(super) fn judge(&mut self, usual: Way) -> Option<u64> {
        let (trials, usual) = self.sides(usual);
        let is_faster = |trial: u64, usual: u64| u128::from(trial) * 10 <= u128::from(usual) * 9;
        let wins: usize =
            trials.iter().map(|trial| usual.iter().filter(|usual| is_faster(*trial, **usual)).count()).sum();
        let is_clear = wins * 4 >= trials.len() * usual.len() * 3;
        let percent = is_clear.then(|| 100 - median(trials) * 100 / median(usual).max(1));
        self.kernel.clear();
        self.buffer.clear();
        self.every = (self.every * 2).min(Self::EVERY_MOST);
        percent
    }
}

/// The middle one, which a few that had to wait do not change; of two, the lower.
fn median(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    let middle = values.len().saturating_sub(1) / 2;
    if values.is_empty() { 0 } else { *values.select_nth_unstable(middle).1 }
}
