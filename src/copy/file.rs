//! Regular files: decide, create, fill.

use std::{ffi::CStr, fs::File, sync::atomic::AtomicBool, time::UNIX_EPOCH};

use super::entry::{Disposition, Handled};
use crate::{
    copy::Copier,
    entry::{FileId, Kind, Meta},
    error::{During, Fault, Op, Sided},
    event::Done,
    fidelity::{LEAST, as_kept, creation_mode, granularity, replaced},
    fill::{FileInProgress, bytes_held, lies_elsewhere},
    guard::caught,
    options::{Compare, Sparse},
    plan::{self, Action, Ladder, decide, looks_same},
    platform,
    refusal::Refusal,
    resume::Resumed,
    transfer::{ASK_MIN, FillResult},
    tree::{DirNode, EntryRef, Publish, Staged},
    verify::what_differs,
};

impl Copier {
    pub(super) fn regular(
        &mut self,
        at: EntryRef<'_>,
        group_to_lead: &mut Option<FileId>,
    ) -> Result<Handled, Fault> {
        let EntryRef { node, dirs, name } = at;
        if node.target_dir.existed() {
            // Most of what is there is unchanged, and need not be opened.
            let meta = dirs.source.stat(name).during(Op::Stat)?;
            if meta.kind != Kind::File {
                return Ok(Handled::KindChanged(meta.kind));
            }
            if self.run.choice.leaves_out(&mut self.teller, &meta) {
                return Ok(Handled::Done);
            }
            let found = self.found(node, dirs, &node.place.target_name(name, Kind::File))?;
            self.copy_once_per_inode(at, &meta, group_to_lead, |copier, group| match &found {
                Some(found) => copier.resolve_existing(at, &meta, found, group),
                None => copier.copy_listed(at, &meta, None, group),
            })?;
            return Ok(Handled::Done);
        }
        let source = match dirs.source.open_source(name) {
            Err(error) if platform::is_other_kind(&error) => {
                let kind = dirs.source.stat(name).during(Op::Stat)?.kind;
                return if kind == Kind::File {
                    Err(Fault::new(Op::Open, error))
                } else {
                    Ok(Handled::KindChanged(kind))
                };
            }
            opened => opened.during(Op::Open)?,
        };
        let meta = platform::meta(&source).during(Op::Stat)?;
        if meta.kind != Kind::File {
            return Ok(Handled::KindChanged(meta.kind));
        }
        if self.run.choice.leaves_out(&mut self.teller, &meta) {
            return Ok(Handled::Done);
        }
        self.copy_once_per_inode(at, &meta, group_to_lead, |copier, group| {
            copier.copy_file(at, source, &meta, None, group)
        })?;
        Ok(Handled::Done)
    }

    /// Decide about a file whose name the copy's directory already has.
    fn resolve_existing(
        &mut self,
        at: EntryRef<'_>,
        meta: &Meta,
        found: &Meta,
        group: Option<FileId>,
    ) -> Result<Disposition, Fault> {
        let EntryRef { node, dirs, name } = at;
        let target_name = &*node.place.target_name(name, Kind::File);
        if found.nlink > 1 {
            self.speller().claim_name(at, target_name, true)?;
        }
        node.refuse_made(target_name, found)?;
        let granularity = granularity(&self.setting, node, dirs, meta, found);
        let mut as_kept = as_kept(&self.setting, node, dirs, meta, found);
        let is_coded = found.kind == Kind::File && self.setting.coding(name).is_some();
        if is_coded {
            as_kept.size = found.size; // what the sizes say is asked below
        }
        let mut action = decide(&as_kept, found, self.setting.job.existing, granularity);
        if self.setting.job.compare == Compare::Content {
            action = self.verifier().by_content(at, meta, found, action)?;
        }
        if action == Action::Unchanged && self.is_cut_off(at, meta, found)? {
            action = Action::Replace;
        }
        if action == Action::Skip && self.is_left_unfinished(at, [meta, &as_kept, found], granularity)? {
            action = Action::Replace;
        }
        self.teller.notes.differs = what_differs(&as_kept, found, action, granularity);
        match action {
            Action::Unchanged if self.fidelity().must_be_new(at, meta, found) => {
                self.copy_listed(at, meta, Some(found), group)
            }
            Action::Unchanged => match self.keep_existing(at, meta, found)? {
                Some(kept) => Ok(kept),
                None => self.copy_listed(at, meta, Some(found), group),
            },
            Action::Skip => {
                self.leave_alone(meta);
                self.teller.record(&node.place, name, meta.kind, Done::Skipped, 0);
                // Names that are missing may be linked to it where it is the same file all the same.
                let is_same =
                    looks_same(&as_kept, found, granularity) && !self.fidelity().lends(at, meta, found);
                Ok(if is_same { Disposition::Copied(found.id) } else { Disposition::Skipped })
            }
            Action::Refuse(why) => Err(Fault::refused(Op::Replace, why)),
            Action::InTheWay(why) => Err(Fault::in_the_way(Op::Replace, why)),
            Action::Replace => self.copy_listed(at, meta, Some(found), group),
        }
    }

    /// Open and copy a file that was looked at by name as `listed`.
    fn copy_listed(
        &mut self,
        at: EntryRef<'_>,
        listed: &Meta,
        found: Option<&Meta>,
        group: Option<FileId>,
    ) -> Result<Disposition, Fault> {
        let source = at.dirs.source.open_source(at.name).during(Op::Open)?;
        let meta = platform::meta(&source).during(Op::Stat)?;
        if meta.kind != Kind::File {
            return Err(Fault::changed(Op::Open, format!("it became {} meanwhile", meta.kind.described())));
        }
        if group.is_some() && meta.id != listed.id {
            // Names that wait for the other file must not be linked to this one.
            return Err(Fault::changed(Op::Open, Refusal::Replaced));
        }
        self.copy_file(at, source, &meta, found, group)
    }

    fn copy_file(
        &mut self,
        at: EntryRef<'_>,
        source: File,
        meta: &Meta,
        found: Option<&Meta>,
        group: Option<FileId>,
    ) -> Result<Disposition, Fault> {
        let EntryRef { node, dirs, name } = at;
        let target_name = &*node.place.target_name(name, Kind::File);
        let (mut publish, done) = self.publish(node, target_name, found);
        let coding = self.setting.coding(name);
        let may_resume = coding.is_none() && self.setting.may_resume(meta);
        if self.setting.is_dry() {
            return self.tell_file(at, &source, meta, found, done);
        }
        self.run.durability.mark();
        // What lies beside other things gets no mark, and neither does a file that was named by itself.
        let is_unmarked = node.place.is_root() || self.run.durability.markers.is_unmarked();
        let waits = may_resume || is_unmarked || self.may_look_finished(node, meta);
        if publish == Publish::Now && waits {
            publish = Publish::WhenComplete;
        }
        let mut ladder = self.ladder_of(node, meta, coding.is_some());
        let replaces = replaced(&self.setting, at, meta, found)?;
        let mode = if replaces.is_some() { LEAST } else { creation_mode(&self.setting, node, meta) };
        let found = &mut self.teller.outcomes.totals.bytes_found;
        *found = found.saturating_add(meta.size);
        let mut whole = None;
        if let Some(method) = platform::WHOLE_COPY.filter(|_| !may_resume && coding.is_none()) {
            whole = self.filler().copy_natively(at, &source, meta, publish, &ladder)?;
            ladder = ladder.without(method);
        }
        let is_whole = whole.is_some();
        let (staged, taken_up, mode) = match whole {
            Some(staged) => (staged, None, LEAST),
            None if may_resume => self.staged_to_resume(at, meta, mode)?,
            None => (self.staged(at, meta, publish, mode)?, None, mode),
        };
        let mut filling = FileInProgress {
            source,
            staged,
            meta: *meta,
            mode,
            publish,
            done,
            seeks_data: false,
            declined: ladder.declined,
            was_buffered: AtomicBool::new(false),
            group,
            taken_up,
            replaces,
        };
        let filled = match caught(|| match is_whole {
            true => Ok(FillResult::Whole),
            false => self.fill_unless_broken(at, &mut filling, &ladder),
        }) {
            Ok(filled) => filled,
            Err(fault) => return Err(self.discard(dirs, target_name, &filling, fault)),
        };
        if filled == FillResult::InRanges {
            self.split_into_ranges(at, filling, ladder)?;
            return Ok(Disposition::Pending);
        }
        self.finish_or_wait(at, filling, filled)
    }

    /// The ways that the bytes of a file may go.
    fn ladder_of(&self, node: &DirNode, meta: &Meta, is_coded: bool) -> Ladder {
        let data = &self.setting.job.data;
        let capabilities = &self.setting.capabilities;
        match is_coded {
            true => plan::ladder_of_coded(data, capabilities, &node.pair),
            // What is known of its directory's filesystem says nothing of it.
            false if lies_elsewhere(node, meta) => {
                plan::ladder(data, capabilities, &node.pair, meta.size).buffered()
            }
            false => plan::ladder_in_turn(data, capabilities, &node.pair, meta.size),
        }
    }

    /// The file that an earlier run has begun, with the mode it got then; or else one that may be taken up later.
    fn staged_to_resume(
        &mut self,
        at: EntryRef<'_>,
        meta: &Meta,
        mode: u32,
    ) -> Result<(Staged, Option<Box<Resumed>>, u32), Fault> {
        match self.run.resume.take_up(&self.run.durability, at, meta)? {
            Some((staged, taken_up)) => {
                let mode = platform::meta(&staged.file).during(Op::Stat).in_copy()?.mode;
                Ok((staged, Some(Box::new(taken_up)), mode))
            }
            None => {
                let staged = Staged::temporary(&at.dirs.target, mode, &self.setting.temporaries);
                Ok((staged.during(Op::CreateFile)?, None, mode))
            }
        }
    }

    /// Create the file that is to be filled, under the name that it has until it is finished, or none.
    fn staged(&self, at: EntryRef<'_>, meta: &Meta, publish: Publish, mode: u32) -> Result<Staged, Fault> {
        let EntryRef { node, dirs, name } = at;
        let target_name = &*node.place.target_name(name, Kind::File);
        let names = &self.setting.temporaries;
        match publish {
            Publish::Now => {
                let create = || Staged::create(&dirs.target, target_name, mode);
                self.naming().publish_exclusively(at, target_name, Op::CreateFile, false, create, Staged::id)
            }
            Publish::Replacing if !self.naming().names_late(at, meta.size)? => {
                Staged::temporary(&dirs.target, mode, names).during(Op::CreateFile)
            }
            Publish::WhenComplete | Publish::Replacing => {
                Staged::unnamed(&dirs.target, mode, names).during(Op::CreateFile)
            }
        }
    }

    /// Fill a file; in tests, files of some names break down afterwards.
    fn fill_unless_broken(
        &mut self,
        at: EntryRef<'_>,
        filling: &mut FileInProgress,
        ladder: &Ladder,
    ) -> Result<FillResult, Fault> {
        let filled = self.filler().fill(at, filling, ladder);
        #[cfg(test)]
        crate::guard::break_down(c"breaks-down-filled", at.name);
        #[cfg(test)]
        while at.name == c"breaks-down-awaited" && !self.setting.cancel.is_cancelled() {
            let waiting = filling.group.map_or(0, |group| self.run.tree.links.waiting(group));
            assert!(waiting < 3, "broken on purpose");
            std::thread::yield_now();
        }
        filled
    }

    fn finish_or_wait(
        &mut self,
        at: EntryRef<'_>,
        filling: FileInProgress,
        filled: FillResult,
    ) -> Result<Disposition, Fault> {
        let moved = self.teller.take_moved();
        if let Some(place) = self.place_to_wait(&filling) {
            return self.finish_together(at, filling, filled, moved, place);
        }
        self.finish(at, &filling, filled, &moved, None)
    }

    /// Say what copying a file would do.
    fn tell_file(
        &mut self,
        at: EntryRef<'_>,
        source: &File,
        meta: &Meta,
        found: Option<&Meta>,
        done: Done,
    ) -> Result<Disposition, Fault> {
        let EntryRef { node, name, .. } = at;
        self.make_way(at, &node.place.target_name(name, Kind::File))?;
        self.naming().tell_once(at, meta.kind)?;
        let bytes = bytes_held(source, meta, self.setting.coding(name));
        self.run.space.add_file(at, source, meta, bytes, found);
        let totals = &mut self.teller.outcomes.totals;
        totals.bytes_found = totals.bytes_found.saturating_add(bytes);
        totals.bytes_copied = totals.bytes_copied.saturating_add(bytes);
        self.teller.record(&node.place, name, Kind::File, done, bytes);
        Ok(Disposition::Copied(meta.id))
    }

    /// How an entry of the copy comes into being, where there is `found` or nothing.
    pub(super) fn publish(
        &self,
        node: &DirNode,
        target_name: &CStr,
        found: Option<&Meta>,
    ) -> (Publish, Done) {
        let job = &self.setting.job;
        match found {
            Some(found) => {
                if found.nlink > 1 {
                    self.run.tree.shared.lost_a_name(found.id);
                }
                (Publish::Replacing, Done::Replaced)
            }
            None if job.existing.trusts_mtime() && !self.is_in_the_way(node, target_name) => {
                (Publish::Now, Done::Created)
            }
            None => (Publish::WhenComplete, Done::Created),
        }
    }

    /// Whether an unfinished copy could pass for a finished one: it has the source's size before its
    /// content, and its own time, the present, may be the source's on a coarse clock.
    fn may_look_finished(&self, node: &DirNode, meta: &Meta) -> bool {
        /// More than the step of any filesystem's clock, in seconds.
        const RECENT: i64 = 3;
        let is_sized_first =
            meta.size >= ASK_MIN || meta.is_sparse() || self.setting.job.data.sparse == Sparse::Always;
        // Nobody can set a change time: where it has no fraction, the clock has none.
        let is_coarse = node.target.changed.nanos == 0;
        is_coarse && is_sized_first && {
            let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
            meta.modified.secs >= now.cast_signed() - RECENT
        }
    }
}
