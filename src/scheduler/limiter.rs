//! Rates that all workers of a run keep together.

use std::{
    num::NonZeroU64,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::bell::Bell;
use crate::options::Limits;

/// The rates of a run, which may change while it goes on.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// Whether there is any, which is all that is asked of a run without.
    is_limited: AtomicBool,
    bytes: Rate,
    operations: Rate,
    /// How often the rates were changed.
    changes: AtomicU64,
    turns: Mutex<Turns>,
    /// Wakes whoever sleeps until its turn.
    bell: Arc<Bell>,
}

/// A rate in units a second; 0 for none.
#[derive(Debug)]
struct Rate(AtomicU64);

/// When the next turns of either kind begin. They are given out one after the other, each as long as what it is
/// for takes at its rate.
#[derive(Debug, Default)]
struct Turns {
    bytes: Option<Instant>,
    operations: Option<Instant>,
}

/// A turn to do something within the rates there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) begins: Instant,
    /// How often the rates had been changed when it was given out.
    changes: u64,
}

impl Rate {
    /// How much of an idle time may be made up for: more would be a burst, less would lose what a worker
    /// takes to come back.
    const CREDIT: Duration = Duration::from_millis(20);

    fn new(per_second: Option<NonZeroU64>) -> Rate {
        Rate(AtomicU64::new(per_second.map_or(0, NonZeroU64::get)))
    }

    fn set(&self, per_second: Option<NonZeroU64>) {
        self.0.store(per_second.map_or(0, NonZeroU64::get), Ordering::Relaxed);
    }

    fn get(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.0.load(Ordering::Relaxed))
    }

    /// When the turn for `count` begins, asked at `now`, where the next one begins at `next`.
    fn turn(&self, next: &mut Option<Instant>, count: u64, now: Instant) -> Instant {
        let Some(rate) = self.get() else { return now };
        let earliest = now.checked_sub(Self::CREDIT).unwrap_or(now);
        let begins = next.unwrap_or(now).max(earliest);
        *next = Some(begins + Self::length(count, rate));
        begins
    }

    /// Take back the part of a turn that was not used.
    fn take_back(&self, next: &mut Option<Instant>, count: u64) {
        let Some(rate) = self.get() else { return };
        *next = next.map(|next| next.checked_sub(Self::length(count, rate)).unwrap_or(next));
    }

    /// How long a turn for `count` is.
    fn length(count: u64, rate: NonZeroU64) -> Duration {
        let nanos = u128::from(count) * 1_000_000_000 / u128::from(rate.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 4))
    }
}

impl Limiter {
    /// Parts of a second that one call may take.
    const SLICES: u64 = 20;
    /// The smallest piece that content is cut to, in bytes.
    const LEAST: u64 = 512;

    pub(crate) fn new(limits: Limits, bell: Arc<Bell>) -> Limiter {
        let limiter = Limiter {
            is_limited: AtomicBool::new(false),
            bytes: Rate::new(limits.bandwidth),
            operations: Rate::new(limits.operations),
            changes: AtomicU64::new(0),
            turns: Mutex::default(),
            bell,
        };
        limiter.settle();
        limiter
    }

    fn settle(&self) {
        let is_limited = self.bytes.get().is_some() || self.operations.get().is_some();
        self.is_limited.store(is_limited, Ordering::Relaxed);
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Relaxed)
    }

    pub(crate) fn limits_bytes(&self) -> bool {
        self.bytes.get().is_some()
    }

    pub(crate) fn set_bandwidth(&self, bytes: Option<NonZeroU64>) {
        self.change(|| self.bytes.set(bytes));
    }

    pub(crate) fn set_operations(&self, operations: Option<NonZeroU64>) {
        self.change(|| self.operations.set(operations));
    }

    fn change(&self, set: impl FnOnce()) {
        let mut turns = self.turns();
        set();
        self.settle();
        // Turns that were given out at other rates do not hold up those at these; who waits for one asks anew.
        *turns = Turns::default();
        self.changes.fetch_add(1, Ordering::Relaxed);
        drop(turns);
        self.bell.ring();
    }

    /// How many of `bytes` one call may move.
    pub(crate) fn piece(&self, bytes: u64) -> u64 {
        match self.bytes.get() {
            Some(rate) => bytes.min((rate.get() / Self::SLICES).max(Self::LEAST)),
            None => bytes,
        }
    }

    /// Take back what a call was allowed to move and has not moved.
    pub(crate) fn take_back(&self, bytes: u64) {
        if bytes > 0 {
            self.bytes.take_back(&mut self.turns().bytes, bytes);
        }
    }

    /// The turn of a call that moves `bytes`, asked for at `now`.
    pub(crate) fn turn(&self, bytes: u64, now: Instant) -> Turn {
        let mut turns = self.turns();
        let of_bytes = self.bytes.turn(&mut turns.bytes, bytes, now);
        let begins = of_bytes.max(self.operations.turn(&mut turns.operations, 1, now));
        Turn { begins, changes: self.changes.load(Ordering::Relaxed) }
    }

    /// Whether the rates were changed since a turn was given out.
    pub(crate) fn is_off(&self, turn: &Turn) -> bool {
        self.changes.load(Ordering::Relaxed) != turn.changes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limiter(bytes: u64, operations: u64) -> Limiter {
        let limits = Limits {
            bandwidth: NonZeroU64::new(bytes),
            operations: NonZeroU64::new(operations),
            ..Limits::default()
        };
        Limiter::new(limits, Arc::default())
    }

    /// What workers that ask again as soon as they may move in each second, by a clock of their own.
    fn moved(limiter: &Limiter, workers: usize, file: u64, seconds: u64) -> Vec<u64> {
        let start = Instant::now() + Duration::from_secs(1000);
        let mut clocks = vec![start; workers];
        let mut moved = vec![0; usize::try_from(seconds).unwrap() + 2];
        let mut left = vec![file; workers];
        loop {
            let (index, clock) = clocks.iter_mut().enumerate().min_by_key(|(_, clock)| **clock).unwrap();
            let piece = limiter.piece(left[index]);
            let begins = limiter.turn(piece, *clock).begins.max(*clock);
            let second = (begins - start).as_secs();
            if second >= seconds {
                return moved;
            }
            moved[usize::try_from(second).unwrap()] += piece;
            left[index] -= piece;
            if left[index] == 0 {
                left[index] = file;
            }
            *clock = begins + Duration::from_micros(50); // the call itself
        }
    }

    #[test]
    fn every_second_has_its_share_whatever_the_rate_the_files_and_the_workers() {
        for rate in [64 << 10, 1 << 20, 100 << 20, 1 << 30] {
            for file in [1000, 300_000, 1 << 40] {
                // Files that are too small for the rate are no matter of limits.
                if rate / file > 10_000 {
                    continue;
                }
                for workers in [1, 16] {
                    let moved = moved(&limiter(rate, 0), workers, file, 10);
                    for bytes in &moved[..10] {
                        let share = *bytes as f64 / rate as f64;
                        assert!((0.95..=1.05).contains(&share), "{rate} {file} {workers}: {share}");
                    }
                }
            }
        }
    }

    #[test]
    fn operations_are_counted_whatever_they_move() {
        let limiter = limiter(0, 100);
        let operations: u64 = moved(&limiter, 4, 1, 10).iter().sum();
        assert!((950..=1050).contains(&operations), "{operations}");
    }

    #[test]
    fn a_rate_that_changes_holds_at_once() {
        let limiter = limiter(1000, 0);
        let now = Instant::now();
        limiter.turn(1_000_000, now);
        let late = limiter.turn(1, now);
        assert!(late.begins > now + Duration::from_secs(900) && !limiter.is_off(&late));
        limiter.set_bandwidth(NonZeroU64::new(1_000_000_000));
        assert!(limiter.is_off(&late), "whoever waits for it asks anew");
        assert!(limiter.turn(1, now).begins <= now);
        limiter.set_bandwidth(None);
        assert!(!limiter.is_limited());
        assert_eq!(limiter.piece(u64::MAX), u64::MAX);
    }

    #[test]
    fn what_a_call_does_not_move_takes_no_time() {
        let (limiter, now) = (limiter(1_000_000, 0), Instant::now());
        limiter.turn(1_000_000, now);
        limiter.take_back(900_000);
        assert_eq!(limiter.turn(1, now).begins, now + Duration::from_millis(100));
    }

    proptest! {
        #[test]
        fn no_turn_is_given_twice(rate in 1..u64::MAX, counts in prop::collection::vec(0..1_u64 << 40, 1..50)) {
            let (limiter, now) = (limiter(rate, 0), Instant::now());
            let mut last = None;
            for count in counts {
                let turn = limiter.turn(count.min(rate), now).begins;
                prop_assert!(last.is_none_or(|last| turn >= last));
                last = Some(turn);
            }
        }
    }
}
