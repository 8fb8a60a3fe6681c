//! The unit: copy a range of a large file.

use std::sync::Arc;

use super::{LargeFile, sharers::Waiting};

/// A range of one large file.
#[derive(Debug)]
pub(crate) struct RangeOf {
    pub(crate) file: Arc<LargeFile>,
    pub(crate) at: u64,
    pub(crate) end: u64,
    /// How many times it was tried again.
    pub(crate) tried: u32,
    /// What it has to hold, where it is said to be in place already.
    pub(crate) expected: Option<[u8; 32]>,
}

impl RangeOf {
    /// The smallest range that is worth a worker of its own, in bytes.
    const SPLIT_MIN: u64 = 4 << 20;
    const ALIGNMENT: u64 = 1 << 20;

    /// Give away the second half.
    pub(crate) fn split(&mut self) -> Option<RangeOf> {
        let left = self.end - self.at;
        if left < Self::SPLIT_MIN * 2 || self.expected.is_some() || !self.file.is_shared() {
            return None;
        }
        let middle = (self.at + left / 2).next_multiple_of(Self::ALIGNMENT);
        self.file.begin_range();
        let rest = RangeOf { file: self.file.clone(), at: middle, end: self.end, tried: 0, expected: None };
        self.end = middle;
        Some(rest)
    }

    /// A range that waited for a worker.
    pub(super) fn waiting(file: &Arc<LargeFile>, range: Waiting) -> RangeOf {
        let Waiting { at, end, tried } = range;
        RangeOf { file: file.clone(), at, end, tried, expected: None }
    }

    pub(super) fn to_wait(&self) -> Waiting {
        Waiting { at: self.at, end: self.end, tried: self.tried }
    }
}
