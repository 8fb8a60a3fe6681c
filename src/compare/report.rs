//! What a comparison came to.

use std::time::Duration;

use super::{Finding, What};

/// What a comparison came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComparisonReport {
    /// Entries of the source that were compared, or lines of the manifest.
    pub entries: u64,
    /// Bytes of content that were compared; holes on both sides are.
    pub bytes: u64,
    /// Differences, without what only the copy has.
    pub differences: u64,
    /// Entries that only the copy has; of a directory, what it holds is not counted.
    pub extra: u64,
    /// What could not be compared.
    pub failed: u64,
    /// Whether it was broken off.
    pub cancelled: bool,
    /// How long it took.
    pub elapsed: Duration,
}

impl ComparisonReport {
    /// Whether everything was compared and is the same; `strict` if the copy may have nothing else either.
    #[must_use]
    pub fn is_equal(&self, strict: bool) -> bool {
        self.is_complete() && self.differences == 0 && !(strict && self.extra > 0)
    }

    /// Whether everything was compared.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && !self.cancelled
    }

    /// Count `bytes` as compared; a few files of holes may come to more than a number holds.
    pub(super) fn count_bytes(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(super) fn count(&mut self, finding: &Finding) {
        match finding {
            Finding::Differs(difference) if difference.what == What::Extra => self.extra += 1,
            Finding::Differs(_) => self.differences += 1,
            Finding::Failed(_) => self.failed += 1,
        }
    }
}
