//! The files that took longest.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use super::named::Named;

/// The files that took longest: a few, however many there are.
#[derive(Debug, Default)]
pub(super) struct Slowest(BinaryHeap<Reverse<Slow>>);

/// A file, and how long it took.
#[derive(Debug)]
pub(super) struct Slow {
    pub(super) seconds: f64,
    pub(super) bytes: u64,
    pub(super) path: Named,
}

impl Slowest {
    /// How many are kept.
    pub(super) const KEPT: usize = 10;

    /// Note a file; its path is asked for only where it is one of them.
    pub(super) fn add(&mut self, seconds: f64, bytes: u64, path: impl FnOnce() -> Named) {
        if self.0.len() == Self::KEPT {
            if self.0.peek().is_some_and(|fastest| fastest.0.seconds >= seconds) {
                return;
            }
            self.0.pop();
        }
        self.0.push(Reverse(Slow { seconds, bytes, path: path() }));
    }

    /// All of them, the slowest first.
    pub(super) fn each(&self) -> Vec<&Slow> {
        let mut each: Vec<_> = self.0.iter().map(|Reverse(slow)| slow).collect();
        each.sort_by(|one, other| other.cmp(one));
        each
    }
}

impl Slow {
    /// Bytes a second, where it took any time.
    pub(super) fn rate(&self) -> Option<u64> {
        rate(self.bytes, self.seconds)
    }
}

/// Bytes a second.
pub(super) fn rate(bytes: u64, seconds: f64) -> Option<u64> {
    (seconds > 0.0).then(|| (bytes as f64 / seconds) as u64)
}

impl Ord for Slow {
    fn cmp(&self, other: &Self) -> Ordering {
        self.seconds.total_cmp(&other.seconds)
    }
}

impl PartialOrd for Slow {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Slow {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Slow {}
