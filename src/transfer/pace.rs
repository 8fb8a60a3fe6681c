//! How much to ask of one call, so that it ends soon enough to be cancelled.

use std::time::{Duration, Instant};

/// Sizes calls to about 25 ms at the rate seen, between 1 MiB and 1 GiB.
///
/// The upper bound also keeps clear of wrong results that some C libraries gave above 2 GiB.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes: u64,
}

impl Pace {
    const LEAST: u64 = 1 << 20;
    const MOST: u64 = 1 << 30;
    const FIRST: u64 = 8 << 20;
    const AIM: Duration = Duration::from_millis(25);

    pub(crate) fn new() -> Pace {
        Pace { bytes: Self::FIRST }
    }

    /// How much to ask of the next call.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Learn from a call that began at `started` and moved `bytes`.
    pub(crate) fn learn(&mut self, started: Instant, bytes: u64) {
        self.adapt(started.elapsed(), bytes);
    }

    fn adapt(&mut self, took: Duration, bytes: u64) {
        let fitting = bytes as u128 * Self::AIM.as_nanos() / took.as_nanos().max(1);
        let fitting = u64::try_from(fitting).unwrap_or(u64::MAX);
        // At most doubled: one fast call (a hole, a cache) does not promise the next.
        self.bytes = fitting.clamp(Self::LEAST, (self.bytes * 2).min(Self::MOST)) & !(Self::LEAST - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_follow_the_rate_within_their_bounds() {
        let mut pace = Pace::new();
        pace.adapt(Duration::from_millis(1), 8 << 20);
        assert_eq!(pace.bytes(), 16 << 20, "grows by doubling");
        pace.adapt(Duration::from_millis(100), 16 << 20);
        assert_eq!(pace.bytes(), 4 << 20, "shrinks at once");
        pace.adapt(Duration::from_secs(10), 4 << 20);
        assert_eq!(pace.bytes(), 1 << 20);
        for _ in 0..40 {
            pace.adapt(Duration::from_nanos(1), pace.bytes());
        }
        assert_eq!(pace.bytes(), 1 << 30);
    }
}
