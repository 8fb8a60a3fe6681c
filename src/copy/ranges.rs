//! The parts of large files as units, and the end of each file.

use std::sync::Arc;

use super::Copier;
use crate::{
    copy::Unit,
    entry::Kind,
    error::Fault,
    fill::FileInProgress,
    guard::caught,
    large::{HashOf, Hashed, LargeFile, RangeOf, Ranged},
    plan::Ladder,
    tree::EntryRef,
    verify::TrailingDigests,
};

impl Copier {
    /// Make a large file's content units of their own.
    pub(super) fn split_into_ranges(
        &mut self,
        at: EntryRef<'_>,
        filling: FileInProgress,
        ladder: Ladder,
    ) -> Result<(), Fault> {
        let split = self.ranger().split_into_ranges(at, filling, ladder);
        split.map_err(|(filling, fault)| match filling {
            Some(filling) => {
                let target_name = at.node.place.target_name(at.name, Kind::File);
                self.discard(at.dirs, &target_name, &filling, fault)
            }
            None => fault,
        })
    }

    /// Copy a range, or let it wait for whoever has its file.
    pub(super) fn perform_range(&mut self, range: RangeOf) {
        let file = range.file.clone();
        match self.ranger().perform(range) {
            Ranged::Done => self.end_range(file),
            Ranged::Rest(rest) => self.hands.push(Unit::Range(rest)),
            Ranged::Again(rest, fault) => self.retry_range(rest, fault),
            Ranged::Waits => {}
        }
    }

    /// Hash one side of a file as far as it has come.
    pub(super) fn perform_hash(&mut self, unit: HashOf) {
        let file = unit.file.clone();
        match caught(|| Ok(self.ranger().hash(unit))) {
            Ok(Hashed::Rest(rest)) => return self.hands.push(Unit::Hash(rest)),
            Ok(Hashed::Waits) => return,
            Ok(Hashed::Whole) => {}
            Err(panic) => file.failed(panic),
        }
        self.end_part(file);
    }

    /// A range is done with.
    pub(super) fn end_range(&mut self, file: Arc<LargeFile>) {
        self.ranger().end_range(&file);
        self.end_part(file);
    }

    /// A part of a file is done with; the last one finishes the file.
    pub(super) fn end_part(&mut self, file: Arc<LargeFile>) {
        if !file.end_part() {
            return;
        }
        let node = file.node.clone();
        let name = file.name.clone();
        self.guarded(&node, &name, |copier| {
            copier.measured_since(file.measured_since, |copier| copier.finish_large(&file));
        });
        drop(file);
        self.finish_if_last(node);
    }

    fn finish_large(&mut self, file: &LargeFile) {
        let LargeFile { node, dirs, name, filling, .. } = file;
        let first = match file.filled() {
            Err(fault) => Err(match &file.entered {
                Some(entered) => {
                    self.run.resume.journals.keep_for_later(entered);
                    fault
                }
                None => self.discard(dirs, &node.place.target_name(name, Kind::File), filling, fault),
            }),
            Ok((filled, moved)) => {
                self.teller.notes.tried = file.tried;
                let digests = file.trailing.as_ref().and_then(TrailingDigests::digests);
                let finished = self.finish(EntryRef { node, dirs, name }, filling, filled, &moved, digests);
                file.entered.iter().for_each(|entered| self.run.resume.journals.remove(entered));
                finished
            }
        };
        let done = match filling.group {
            Some(group) => self.settle_group(node, name, group, first),
            None => first.map(drop),
        };
        if let Err(fault) = done {
            self.fail_or_retry(node, name, Some(Kind::File), file.tried, fault);
        }
    }
}
