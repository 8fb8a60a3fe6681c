//! What a finished run did, in totals.

mod totals;
mod warning;

use std::{collections::BTreeMap, time::Duration};

use crate::{
    error::{Failure, Op},
    method::{Declined, Method},
    pair_report::PairReport,
};

pub use totals::{Moved, Totals};
pub use warning::{Warning, WarningKind};

/// How many workers a run had, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jobs {
    /// The limit of this run.
    pub limit: usize,
    /// The most that worked at one time.
    pub peak: usize,
    /// How the limit was chosen that it began with.
    pub reason: String,
    /// How the limit was adapted to the device meanwhile, the first 100 changes; never where a number
    /// was asked for.
    pub steps: Vec<JobsStep>,
}

/// One change of the limit of workers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobsStep {
    /// When, from the beginning of the run.
    pub at: Duration,
    /// The limit until then.
    pub from: usize,
    /// The limit from then on.
    pub to: usize,
    /// What it was changed for.
    pub reason: String,
}

/// How a run ended, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Everything was done.
    Complete,
    /// All that failed had vanished from the source, or changed in it, meanwhile; the rest was done.
    SourceChanged,
    /// Something failed; the rest was done all the same.
    Failed,
    /// It was stopped or cancelled before everything was tried.
    Stopped,
}

/// How many entries a run that ended early did not try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotTried {
    /// Entries that the walk came across and that were not begun.
    pub entries: u64,
    /// Whether there are others that it did not come to.
    pub at_least: bool,
}

/// What a finished run did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Entries and bytes, by what happened to them.
    pub totals: Totals,
    /// The first [`Report::FAILURES_KEPT`] failures; the event stream has every one.
    pub failures: Vec<Failure>,
    /// All failures, counted by operation and error number.
    pub failure_counts: BTreeMap<(Op, Option<i32>), u64>,
    /// What was tried again, counted by the operation and error number that had failed.
    pub retries: BTreeMap<(Op, Option<i32>), u64>,
    /// Why the run was stopped before it was done, where going on made no sense: a destination that is full
    /// or read-only, or too many failures.
    pub stopped: Option<String>,
    /// What was not tried, of a run that was stopped or cancelled.
    pub not_tried: Option<NotTried>,
    /// What could not be kept, one warning for each kind.
    pub warnings: Vec<Warning>,
    /// How many workers there were, and why.
    pub jobs: Jobs,
    /// What was learned of the filesystems, for each two that were copied between.
    pub pairs: Vec<PairReport>,
    /// Why no ring of `io_uring(7)` could be had when one was wanted; once is enough, and other files
    /// may have gone through one.
    pub ring_refused: Option<String>,
    /// Wall-clock time from start to finish.
    pub elapsed: Duration,
    /// Whether the run was cancelled before it was done.
    pub cancelled: bool,
    /// Failures of which the source's changes are not the reason.
    pub(crate) lasting: u64,
    pub(crate) moved: [Moved; Method::ALL.len()],
    pub(crate) declined: [u64; Declined::ALL.len()],
}

impl Report {
    /// How many failures a report keeps with their paths.
    pub const FAILURES_KEPT: usize = 1_000;

    /// Whether everything was done: nothing failed and nobody cancelled.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let Totals { failed, untried, undeleted, unsynced, .. } = self.totals;
        failed + untried + undeleted + unsynced == 0 && !self.cancelled && self.stopped.is_none()
    }

    /// How it ended, in a word.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let Totals { failed, untried, undeleted, unsynced, .. } = self.totals;
        match (failed + undeleted, untried + unsynced + self.lasting) {
            _ if self.cancelled || self.stopped.is_some() => Outcome::Stopped,
            (0, 0) => Outcome::Complete,
            (_, 0) => Outcome::SourceChanged,
            _ => Outcome::Failed,
        }
    }

    /// What each method moved, for the methods that moved anything.
    pub fn methods(&self) -> impl Iterator<Item = (Method, Moved)> + '_ {
        let used = |(_, moved): &(Method, Moved)| *moved != Moved::default();
        Method::ALL.into_iter().zip(self.moved).filter(used)
    }

    /// Why files went through a buffer instead of zero-copy, and how many.
    pub fn zero_copy_declined(&self) -> impl Iterator<Item = (Declined, u64)> + '_ {
        Declined::ALL.into_iter().zip(self.declined).filter(|(_, files)| *files > 0)
    }

    pub(crate) fn record_failure(&mut self, failure: Failure) {
        *self.failure_counts.entry((failure.op(), failure.errno())).or_default() += 1;
        self.lasting += u64::from(!failure.has_vanished() && !failure.has_changed());
        if self.failures.len() < Self::FAILURES_KEPT {
            self.failures.push(failure);
        }
    }

    /// Count a warning; whether it is the first of its kind.
    pub(crate) fn record_warning(&mut self, warning: &Warning) -> bool {
        if let Some(known) = self.warnings.iter_mut().find(|known| known.kind == warning.kind) {
            known.count += warning.count;
            return false;
        }
        self.warnings.push(warning.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn failures_are_kept_up_to_a_bound_and_counted_beyond() {
        let mut report = Report::default();
        for _ in 0..Report::FAILURES_KEPT + 5 {
            report.record_failure(Failure::new(Op::Open, "f", io::Error::from_raw_os_error(13)));
        }
        assert_eq!(report.failures.len(), Report::FAILURES_KEPT);
        assert_eq!(report.failure_counts[&(Op::Open, Some(13))], Report::FAILURES_KEPT as u64 + 5);
    }

    #[test]
    fn the_outcome_is_the_worst_that_happened() {
        let gone = || Failure::new(Op::Stat, "f", io::ErrorKind::NotFound).of_listed();
        let other = || Failure::new(Op::Open, "f", io::ErrorKind::PermissionDenied);
        for (vanished, failed, unsynced, is_stopped, outcome) in [
            (0, 0, 0, false, Outcome::Complete),
            (2, 0, 0, false, Outcome::SourceChanged),
            (1, 1, 0, false, Outcome::Failed),
            (0, 1, 0, false, Outcome::Failed),
            (1, 0, 1, false, Outcome::Failed),
            (0, 0, 1, false, Outcome::Failed),
            (0, 0, 0, true, Outcome::Stopped),
            (1, 1, 0, true, Outcome::Stopped),
        ] {
            let mut report = Report::default();
            (0..vanished).for_each(|_| report.record_failure(gone()));
            (0..failed).for_each(|_| report.record_failure(other()));
            report.totals.failed = vanished + failed;
            report.totals.unsynced = unsynced;
            report.stopped = is_stopped.then(|| "full".to_owned());
            assert_eq!(report.outcome(), outcome);
            assert_eq!(report.is_complete(), outcome == Outcome::Complete);
            (report.stopped, report.cancelled) = (None, is_stopped);
            assert_eq!(report.outcome(), outcome);
        }
    }

    #[test]
    fn a_loss_is_one_warning_with_a_count() {
        let mut report = Report::default();
        let warning = Warning { kind: WarningKind::Owner, path: "a".into(), cause: "no".into(), count: 2 };
        assert!(report.record_warning(&warning));
        assert!(!report.record_warning(&warning));
        assert_eq!(report.warnings[0].count, 4);
    }
}
