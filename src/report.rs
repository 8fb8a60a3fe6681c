//! What a finished run did, in totals.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::{
    between::Between,
    error::{Failure, Op},
    method::Method,
    plan::Declined,
};

/// Entries and bytes, by what happened to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Entries that the walk came across, directories included.
    pub entries_found: u64,
    /// Regular files copied, new or in place of another.
    pub files_copied: u64,
    /// Directories created.
    pub directories_created: u64,
    /// Directories that were there already.
    pub directories_merged: u64,
    /// Symbolic links created.
    pub symlinks_created: u64,
    /// Further names given to files that this run had copied or found.
    pub hard_links_created: u64,
    /// FIFOs, sockets and device nodes created.
    pub specials_created: u64,
    /// Entries that were already as they should be.
    pub unchanged: u64,
    /// Entries whose content was right and whose metadata was corrected.
    pub metadata_corrected: u64,
    /// Entries left out because an option says so.
    pub skipped: u64,
    /// Entries that the selection does not want; of a directory, what it holds is not even looked at.
    pub excluded: u64,
    /// Entries of the copy that its source lacks, and that were deleted.
    pub deleted: u64,
    /// Entries that were to be deleted and could not be; a refusal to delete any is one.
    pub undeleted: u64,
    /// Filesystems of the copy that could not be made durable in the end, see
    /// [`Fsync::End`](crate::Fsync::End).
    pub unsynced: u64,
    /// Files whose source changed while they were copied; each is a failure too.
    pub changed_while_copied: u64,
    /// Entries that failed; a directory that failed twice is one.
    pub failed: u64,
    /// Entries that were not tried, since a quota that holds for their directory is used up.
    pub untried: u64,
    /// Files whose content was compared with its source's by digest.
    pub files_verified: u64,
    /// Their bytes.
    pub bytes_verified: u64,
    /// Files whose copy was not what was copied; each is a failure too.
    pub mismatches: u64,
    /// Bytes of file content put in place, shared blocks included.
    pub bytes_copied: u64,
    /// Bytes of file content that an earlier run had put in place, see
    /// [`CopyJob::resume`](crate::CopyJob::resume).
    pub bytes_resumed: u64,
    /// Bytes of compressed files that were written, or brought back; what these hold is in `bytes_copied`.
    pub bytes_in_frames: u64,
    /// Bytes of file content in files that were there and were left alone.
    pub bytes_left_alone: u64,
    /// Bytes of holes that were passed over, which are holes in the copy too.
    pub bytes_in_holes: u64,
    /// Bytes of file content in files that were begun, holes included.
    pub bytes_found: u64,
}

impl Totals {
    /// Entries that are dealt with, one way or another: in the end all that were found, unless the
    /// run was cancelled.
    #[must_use]
    pub fn entries_done(&self) -> u64 {
        self.files_copied
            + self.directories_created
            + self.directories_merged
            + self.symlinks_created
            + self.hard_links_created
            + self.specials_created
            + self.unchanged
            + self.metadata_corrected
            + self.skipped
            + self.excluded
            + self.failed
            + self.untried
    }

    /// Bytes of file content that are dealt with: put in place, found in place, or left out as holes.
    ///
    /// Of a file whose source stood still these are in the end all that were found.
    #[must_use]
    pub fn bytes_done(&self) -> u64 {
        self.bytes_copied.saturating_add(self.bytes_resumed).saturating_add(self.bytes_in_holes)
    }

    pub(crate) fn add(&mut self, other: &Totals) {
        // A few files of holes may come to more bytes than a number holds.
        let add = |sum: &mut u64, bytes: u64| *sum = sum.saturating_add(bytes);
        let Totals {
            entries_found,
            files_copied,
            directories_created,
            directories_merged,
            symlinks_created,
            hard_links_created,
            specials_created,
            unchanged,
            metadata_corrected,
            skipped,
            excluded,
            deleted,
            undeleted,
            unsynced,
            changed_while_copied,
            failed,
            untried,
            files_verified,
            bytes_verified,
            mismatches,
            bytes_copied,
            bytes_resumed,
            bytes_in_frames,
            bytes_left_alone,
            bytes_in_holes,
            bytes_found,
        } = other;
        self.entries_found += entries_found;
        self.files_copied += files_copied;
        self.directories_created += directories_created;
        self.directories_merged += directories_merged;
        self.symlinks_created += symlinks_created;
        self.hard_links_created += hard_links_created;
        self.specials_created += specials_created;
        self.unchanged += unchanged;
        self.metadata_corrected += metadata_corrected;
        self.skipped += skipped;
        self.excluded += excluded;
        self.deleted += deleted;
        self.undeleted += undeleted;
        self.unsynced += unsynced;
        self.changed_while_copied += changed_while_copied;
        self.failed += failed;
        self.untried += untried;
        self.files_verified += files_verified;
        add(&mut self.bytes_verified, *bytes_verified);
        self.mismatches += mismatches;
        add(&mut self.bytes_copied, *bytes_copied);
        add(&mut self.bytes_resumed, *bytes_resumed);
        add(&mut self.bytes_in_frames, *bytes_in_frames);
        add(&mut self.bytes_left_alone, *bytes_left_alone);
        add(&mut self.bytes_in_holes, *bytes_in_holes);
        add(&mut self.bytes_found, *bytes_found);
    }
}

/// What one method moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Files of which it moved the most bytes.
    pub files: u64,
    /// Bytes it moved.
    pub bytes: u64,
}

/// Something the copies could not keep, for want of privilege or of support by the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Loss {
    /// Owner or group.
    Owner,
    /// Permission bits.
    Mode,
    /// Setuid or setgid, dropped because the owner could not be kept.
    SetId,
    /// Extended attributes.
    Xattr,
    /// POSIX ACLs.
    Acl,
    /// Times.
    Times,
    /// Hard links, where a second copy was made instead.
    HardLink,
    /// The tidiness of the destination: what a run that was cut off has left there could not be removed.
    Leftover,
    /// Reading the copy from its device: it was read from memory instead.
    Media,
    /// The certainty that it fits: the destination has less room than all of it seems to need.
    Room,
    /// The rest of a directory: a quota that holds for it is used up.
    Untried,
    /// More than half of what the copy had, which its source lacks.
    Extraneous,
    /// The effect of a rule: it decided about no entry that was looked at. What stands for a path is its pattern.
    Rule,
    /// The effect of a rule to include: no rule behind it excludes anything. What stands for a path is its pattern.
    Include,
}

impl Loss {
    /// A short name that stays the same, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Loss::Owner => "owner",
            Loss::Mode => "mode",
            Loss::SetId => "set_id",
            Loss::Xattr => "xattr",
            Loss::Acl => "acl",
            Loss::Times => "times",
            Loss::HardLink => "hard_link",
            Loss::Leftover => "leftover",
            Loss::Media => "media",
            Loss::Room => "room",
            Loss::Untried => "untried",
            Loss::Extraneous => "extraneous",
            Loss::Rule => "rule",
            Loss::Include => "include",
        }
    }

    /// What was lost, in words for the user.
    #[must_use]
    pub fn described(self) -> &'static str {
        match self {
            Loss::Owner => "owner or group not kept",
            Loss::Mode => "mode not kept",
            Loss::SetId => "setuid or setgid dropped, as the owner could not be kept",
            Loss::Xattr => "extended attributes not kept",
            Loss::Acl => "ACL not kept",
            Loss::Times => "times not kept",
            Loss::HardLink => "second copy made instead of a hard link",
            Loss::Leftover => "leftovers of a run that was cut off could not be removed",
            Loss::Media => "verified from memory, as this filesystem cannot be read past it",
            Loss::Room => "not enough room",
            Loss::Untried => "nothing more was tried where a quota is used up",
            Loss::Extraneous => "more than half of the copy is what the source lacks, and is deleted",
            Loss::Rule => "rule without any effect",
            Loss::Include => "--include that leaves nothing out",
        }
    }
}

/// One kind of loss: how often, and the first case of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Warning {
    /// What was lost.
    pub loss: Loss,
    /// The first entry that lost it.
    pub path: PathBuf,
    /// Why, in that first case.
    pub cause: String,
    /// How many entries lost it.
    pub count: u64,
}

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
    pub between: Vec<Between>,
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
        if let Some(known) = self.warnings.iter_mut().find(|known| known.loss == warning.loss) {
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
        let warning = Warning { loss: Loss::Owner, path: "a".into(), cause: "no".into(), count: 2 };
        assert!(report.record_warning(&warning));
        assert!(!report.record_warning(&warning));
        assert_eq!(report.warnings[0].count, 4);
    }
}
