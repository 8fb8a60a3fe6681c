//! Trying again what may pass.

use std::time::Duration;

/// How often, and after how long, something that failed is tried again.
///
/// Tried again is only what can pass (see [`Failure::is_transient`](crate::Failure::is_transient)): of large
/// files the range that failed, from where it failed; of others the whole entry. While it waits, workers do
/// something else. The wait doubles from one try to the next, up to [`Retry::WAIT_MAX`], and each time up to
/// a quarter more or less of it is left to chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    pub(crate) times: u32,
    pub(crate) wait: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { times: 0, wait: Duration::from_secs(1) }
    }
}

impl Retry {
    /// The longest wait between two tries: 2 minutes.
    pub const WAIT_MAX: Duration = Duration::from_secs(120);

    /// How many times an entry, or a range, is tried again; none by default.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Retry { times, ..self }
    }

    /// How long to wait before the first of them; a second by default.
    #[must_use]
    pub fn wait(self, wait: Duration) -> Self {
        Retry { wait, ..self }
    }

    /// How long to wait before trying again for the `tried`th time, counted from 0; `chance` is any number.
    pub(crate) fn wait_before(self, tried: u32, chance: u64) -> Duration {
        let doubled = self.wait.saturating_mul(1_u32.checked_shl(tried).unwrap_or(u32::MAX));
        let quarter = doubled.min(Self::WAIT_MAX) / 4;
        let part = u32::try_from(chance % 1000).expect("it is less than 1000");
        (quarter * 3).saturating_add(quarter / 500 * part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_bounds_and_vary() {
        let retry = Retry::default().wait(Duration::from_secs(4));
        for (tried, least, most) in [(0, 3, 5), (1, 6, 10), (2, 12, 20), (10, 90, 150), (40, 90, 150)] {
            for chance in [0, 1, 500, 999, u64::MAX] {
                let wait = retry.wait_before(tried, chance).as_secs_f64();
                assert!((f64::from(least)..=f64::from(most)).contains(&wait), "{tried} {chance}: {wait}");
            }
        }
        assert_ne!(retry.wait_before(0, 1), retry.wait_before(0, 2));
        assert_eq!(Retry::default().wait(Duration::ZERO).wait_before(3, 7), Duration::ZERO);
    }
}
