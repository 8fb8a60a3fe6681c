//! Symbolic links, copied as links.

use std::{cell::Cell, ffi::CStr, io};

use super::entry::{Disposition, Handled};
use crate::{
    copy::Copier,
    entry::{FileId, Granularity, Kind, Meta},
    error::{During, Fault, Op, Sided},
    event::Done,
    fidelity::{LEAST, MetadataTarget, hold_made, replaced},
    options::Existing,
    plan::{Action, decide},
    platform::{self, Handle},
    tree::{EntryRef, Kept, Publish},
};

impl Copier {
    pub(super) fn symlink(
        &mut self,
        at: EntryRef<'_>,
        group_to_lead: &mut Option<FileId>,
    ) -> Result<Handled, Fault> {
        let EntryRef { dirs, name, .. } = at;
        let meta = dirs.source.stat(name).during(Op::Stat)?;
        if meta.kind != Kind::Symlink {
            return Ok(Handled::KindChanged(meta.kind));
        }
        self.copy_once_per_inode(at, &meta, group_to_lead, |copier, _| copier.copy_symlink(at, &meta))?;
        Ok(Handled::Done)
    }

    fn copy_symlink(&mut self, at: EntryRef<'_>, meta: &Meta) -> Result<Disposition, Fault> {
        let EntryRef { node, dirs, name } = at;
        let points_to = dirs.source.read_link(name).during(Op::ReadSymlink)?;
        let target_name = &*node.place.target_name(name, meta.kind);
        let found = if node.target_dir.existed() { self.found(node, dirs, target_name)? } else { None };
        if let Some(found) = &found {
            node.refuse_made(target_name, found)?;
            let is_same = found.kind == Kind::Symlink
                && found.id != meta.id
                && dirs.target.read_link(target_name).is_ok_and(|there| there == points_to);
            let may_keep = is_same && self.setting.job.existing == Existing::Update;
            if may_keep
                && !self.fidelity().must_be_new(at, meta, found)
                && let Some(kept) = self.keep_existing(at, meta, found)?
            {
                return Ok(kept);
            }
        }
        let reads_back = self.setting.job.verify.digest().is_some();
        let is_other = Cell::new(false);
        let created = self.place_node(at, meta, found.as_ref(), Op::CreateSymlink, LEAST, |name| {
            dirs.target.make_symlink(&points_to, name)?;
            if !reads_back || dirs.target.read_link(name).is_ok_and(|there| there == points_to) {
                return Ok(());
            }
            is_other.set(true);
            dirs.target.remove(name)?;
            let why = "it does not lead to where the source does, read back";
            Err(io::Error::new(io::ErrorKind::InvalidData, why))
        });
        created.map_err(|fault| match is_other.get() {
            true => {
                self.teller.outcomes.totals.mismatches += 1;
                Fault { op: Op::Verify, ..fault }
            }
            false => fault,
        })
    }

    /// Create something that needs no content, under its own name or in place of what is there.
    pub(super) fn place_node(
        &mut self,
        at: EntryRef<'_>,
        meta: &Meta,
        found: Option<&Meta>,
        op: Op,
        mode: u32,
        make: impl Fn(&CStr) -> io::Result<()>,
    ) -> Result<Disposition, Fault> {
        let EntryRef { node, dirs, name } = at;
        let target_name = &*node.place.target_name(name, meta.kind);
        if let Some(found) = found
            && let Some(first) = self.stays(at, meta, found)?
        {
            return Ok(first);
        }
        let (publish, done) = self.publish(node, target_name, found);
        if self.setting.is_dry() {
            return self.tell_node(at, meta, found, op, done);
        }
        let replaces = replaced(&self.setting, at, meta, found)?;
        let temporary = (publish != Publish::Now).then(|| self.setting.temporaries.next());
        let work_name = temporary.as_deref().unwrap_or(target_name);
        let made = || make(work_name);
        match temporary {
            None => self.naming().publish_exclusively(at, target_name, op, false, made, |()| {
                Ok(dirs.target.stat(work_name)?.id)
            })?,
            Some(_) => made().during(op)?,
        }
        let pinned = hold_made(&self.setting, node, dirs, work_name, meta, op).inspect_err(|_| {
            if !self.setting.is_open_to_strangers(&node.target) {
                let _ = dirs.target.remove(work_name);
            }
        })?;
        let subject = MetadataTarget {
            node,
            name,
            from: Handle::Entry(&dirs.source, name),
            to: Handle::Pinned(&pinned),
            meta,
            found: None,
            created: Some(mode),
            replaces: replaces.as_deref(),
            times: true,
        };
        let finished = self.fidelity().attributes(&subject).and_then(|_| {
            let there = pinned.meta().during(Op::Stat).in_copy()?;
            self.make_way(at, target_name)?;
            let kept = self.name_node(at, &there, (work_name, target_name), publish)?;
            Ok((there, kept))
        });
        match finished {
            Ok((there, kept)) => {
                self.let_go_of_old(at, meta.kind, kept);
                self.teller.record(&node.place, name, meta.kind, done, 0);
                Ok(Disposition::Copied(there.id))
            }
            Err(fault) => {
                let is_same = |ours: Meta| dirs.target.stat(work_name).is_ok_and(|there| there.id == ours.id);
                if pinned.meta().is_ok_and(is_same) {
                    // What went wrong first says more than what could not be removed after it.
                    let _ = dirs.target.remove(work_name);
                }
                Err(fault)
            }
        }
    }

    /// Say what creating such a thing would do.
    fn tell_node(
        &mut self,
        at: EntryRef<'_>,
        meta: &Meta,
        found: Option<&Meta>,
        op: Op,
        done: Done,
    ) -> Result<Disposition, Fault> {
        let EntryRef { node, dirs, name } = at;
        let is_device = matches!(meta.kind, Kind::CharDevice | Kind::BlockDevice);
        if is_device && !platform::may_make_device(meta) {
            return Err(Fault::new(op, platform::not_permitted()));
        }
        self.make_way(at, &node.place.target_name(name, meta.kind))?;
        self.naming().tell_once(at, meta.kind)?;
        if found.is_none() {
            self.run.space.add_entry(node, dirs);
        }
        self.teller.record(&node.place, name, meta.kind, done, 0);
        Ok(Disposition::Copied(meta.id))
    }

    /// Decide about an entry that the copy has under the name already: what becomes of it where it stays.
    fn stays(&mut self, at: EntryRef<'_>, meta: &Meta, found: &Meta) -> Result<Option<Disposition>, Fault> {
        let EntryRef { node, dirs, name } = at;
        node.refuse_made(&node.place.target_name(name, meta.kind), found)?;
        match decide(meta, found, self.setting.job.existing, Granularity::Nanos(1)) {
            Action::Unchanged if !self.fidelity().must_be_new(at, meta, found) => {
                if let Some(kept) = self.keep_existing(at, meta, found)? {
                    return Ok(Some(kept));
                }
            }
            Action::Unchanged | Action::Replace => {}
            Action::Skip => {
                self.teller.record(&node.place, name, meta.kind, Done::Skipped, 0);
                return Ok(Some(Disposition::Skipped));
            }
            Action::Refuse(why) => return Err(Fault::refused(Op::Replace, why)),
            Action::InTheWay(why) => return Err(Fault::in_the_way(Op::Replace, why)),
        }
        let leads_to = || dirs.source.stat_through(name).map(|file| file.id);
        if found.kind == Kind::File && leads_to().is_ok_and(|id| id == found.id) {
            return Err(Fault::refused(Op::Replace, "it is the file that the source, a link, leads to"));
        }
        Ok(None)
    }

    /// Give what was made its last name, where it has another one until then.
    fn name_node(
        &self,
        at: EntryRef<'_>,
        there: &Meta,
        (work_name, target_name): (&CStr, &CStr),
        publish: Publish,
    ) -> Result<Kept, Fault> {
        let EntryRef { node, dirs, .. } = at;
        let replaces = match publish {
            Publish::Now => return Ok(Kept::Nothing),
            Publish::WhenComplete => false,
            Publish::Replacing => true,
        };
        let give = || {
            if !replaces {
                return dirs.target.rename_new(work_name, target_name).map(|()| Kept::Nothing);
            }
            if self.run.durability.keeps_old(&node.pair, node.target.id.dev) {
                // Nothing less makes durable what cannot be opened.
                platform::sync_filesystem(&dirs.target)?;
            }
            self.run.durability.rename_over(node, &dirs.target, work_name, target_name)
        };
        self.naming().publish_exclusively(at, target_name, Op::Rename, replaces, give, |_| Ok(there.id))
    }
}
