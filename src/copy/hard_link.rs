//! Further names of an inode: hard links in the copy, made when its first name is there.

use std::{ffi::CStr, io, sync::Arc};

use super::entry::Disposition;
use crate::{
    copy::{Copier, LinkBatch, Unit},
    entry::{FileId, Granularity, Kind, Meta},
    error::{During, Fault, Op, Sided},
    event::Done,
    guard::caught,
    options::{Attributes, Fsync},
    plan::{Action, decide},
    platform,
    report::WarningKind,
    tree::{Claim, DirNode, Dirs, EntryRef, Kept, LinkTarget, WaitingName, looks_like_copy},
};

/// What a link is called while it is made, and in the end.
#[derive(Clone, Copy)]
struct LinkNames<'a> {
    work: &'a CStr,
    last: &'a CStr,
}

impl LinkTarget {
    /// What the copy, which `name` leads to as well, is known by: where the filesystem does not number files, each
    /// name may have a number of its own.
    fn id_of(&self, dirs: &Dirs, name: &CStr, is_numbered: bool) -> io::Result<FileId> {
        if is_numbered { Ok(self.id) } else { dirs.target.stat(name).map(|there| there.id) }
    }
}

impl Copier {
    /// Deal with a name that takes over the link group of the source inode `group`.
    pub(crate) fn lead_group(&mut self, node: &Arc<DirNode>, name: &CStr, group: FileId) {
        let mut group_to_lead = Some(group);
        self.teller.notes.tried = u32::MAX; // what fails is not put aside
        let mut work = |copier: &mut Copier| {
            #[cfg(test)]
            if copier.run.tree.links.waiting(group) == 2 {
                crate::guard::break_down(c"breaks-down-as-heir", node.place.name());
            }
            copier.try_entry(node, None, name, None, &mut group_to_lead)
        };
        let tried = self.measured(|copier| caught(|| work(copier)));
        if group_to_lead.is_some() {
            // It did not come to the group: it failed before, or is another inode by now.
            self.promote_next(group, false);
        }
        if let Err(fault) = tried.or_else(|fault| self.set_aside(node, name, None, fault)) {
            self.fail(node, name, None, fault);
        }
    }

    /// Let the next name that waits in a link group take it over.
    ///
    /// One that comes again is not done with.
    fn promote_next(&mut self, group: FileId, comes_again: bool) {
        if let Some(next) = self.run.tree.links.fail(group, comes_again) {
            self.hands.push(Unit::LeadGroup(next, group));
        }
    }

    /// Copy an entry that is not a directory, unless a name of the same inode was copied before.
    ///
    /// `group_to_lead` is the group that this name has to take over, if any. `copy` is told the group that it
    /// copies for; whoever ends the copy must [settle](Copier::settle_group) that one.
    pub(super) fn copy_once_per_inode(
        &mut self,
        at: EntryRef<'_>,
        meta: &Meta,
        group_to_lead: &mut Option<FileId>,
        copy: impl FnOnce(&mut Copier, Option<FileId>) -> Result<Disposition, Fault>,
    ) -> Result<(), Fault> {
        let EntryRef { node, name, .. } = at;
        if node.made.is_some() {
            self.speller().claim_name(at, &node.place.target_name(name, meta.kind), false)?;
        }
        let is_heir = group_to_lead.take_if(|group| *group == meta.id).is_some();
        if !is_heir {
            if !self.setting.is_linked(meta) {
                return copy(self, None).map(drop);
            }
            let claim = self.run.tree.links.claim(meta.id, meta.nlink, node, name);
            if self.link_up(at, meta, claim)? {
                return Ok(());
            }
        }
        // Caught here, for the names that wait for this one.
        let first = caught(|| copy(self, Some(meta.id)));
        self.settle_group(node, name, meta.id, first)
    }

    /// The first name of a link group is done, or not: see to the names that wait for it.
    pub(super) fn settle_group(
        &mut self,
        node: &Arc<DirNode>,
        name: &CStr,
        group: FileId,
        first: Result<Disposition, Fault>,
    ) -> Result<(), Fault> {
        match &first {
            Ok(Disposition::Pending) => {}
            Ok(Disposition::Copied(id)) => {
                let target = LinkTarget { place: node.place.clone(), name: name.into(), id: *id };
                let names = self.run.tree.links.settle(group, target);
                if !names.is_empty() {
                    self.hands.push(Unit::LinkNames(LinkBatch { names, group }));
                }
            }
            Ok(Disposition::Skipped) => self.promote_next(group, false),
            Err(fault) => {
                let comes_again =
                    self.setting.may_retry(fault, self.teller.notes.tried) || self.may_set_aside(node, fault);
                self.promote_next(group, comes_again);
            }
        }
        first.map(drop)
    }

    /// Follow a claim until the name is linked or waits; `false` when it has to be copied.
    fn link_up(&mut self, at: EntryRef<'_>, meta: &Meta, mut claim: Claim) -> Result<bool, Fault> {
        let EntryRef { node, name, .. } = at;
        loop {
            let target = match claim {
                Claim::Copy => return Ok(false),
                Claim::Waits => return Ok(true),
                Claim::Link(target) => target,
            };
            match self.link(at, meta, &target) {
                Err(fault)
                    if fault.op == Op::CreateHardLink
                        && platform::is_no_more_links(&fault.cause)
                        // What was asked for by name is not made up for, unless its copy is gone.
                        && (fault.cause.kind() == io::ErrorKind::NotFound
                            || !self.setting.job.preserve.requires(Attributes::LINKS)) =>
                {
                    claim = self.run.tree.links.renew(meta.id, target.id, node, name);
                    if let Claim::Copy = claim {
                        self.teller.warn(
                            WarningKind::HardLink,
                            node,
                            name,
                            meta.kind,
                            &fault.cause.to_string(),
                        );
                    }
                }
                linked => {
                    // One that is tried again counts only then.
                    let comes_again = |fault| {
                        self.setting.may_retry(fault, self.teller.notes.tried)
                            || self.may_set_aside(node, fault)
                    };
                    if !linked.as_ref().is_err_and(comes_again) {
                        self.run.tree.links.finished(meta.id);
                    }
                    return linked.map(|()| true);
                }
            }
        }
    }

    /// Deal with a name that waited for the first of its group.
    pub(crate) fn link_waiting(&mut self, parked: WaitingName, group: FileId) {
        let WaitingName { node, name } = parked;
        self.teller.notes.tried = u32::MAX; // what fails is not put aside
        self.guarded(&node.clone(), &name.clone(), |copier| {
            let link = |copier: &mut Copier| {
                let dirs = node.dirs()?;
                let meta = dirs.source.stat(&name).during(Op::Stat)?;
                if meta.id != group {
                    copier.run.tree.links.finished(group);
                    return copier.try_entry(&node, Some(&dirs), &name, None, &mut None).map(|()| true);
                }
                // Asked again: the copy that it waited for may be full by now, and another begun.
                let claim = copier.run.tree.links.claim(group, meta.nlink, &node, &name);
                copier.link_up(EntryRef { node: &node, dirs: &dirs, name: &name }, &meta, claim)
            };
            let linked = copier.measured(link);
            match linked {
                Ok(true) => {}
                // Not here: where every name needs a copy of its own, that would nest without end.
                Ok(false) => {
                    copier.hands.push(Unit::LeadGroup(
                        WaitingName { node: node.add_pending(), name: name.clone() },
                        group,
                    ));
                }
                Err(fault) => {
                    if let Err(fault) = copier.set_aside(&node, &name, None, fault) {
                        copier.fail(&node, &name, None, fault);
                    }
                }
            }
        });
        self.finish_or_close(node);
    }

    /// Give the copy `target` the further name `name`.
    fn link(&mut self, at: EntryRef<'_>, meta: &Meta, target: &LinkTarget) -> Result<(), Fault> {
        let EntryRef { node, dirs, name } = at;
        let target_name = &*node.place.target_name(name, meta.kind);
        let found = if node.target_dir.existed() { self.found(node, dirs, target_name)? } else { None };
        if let Some(found) = &found
            && let Some(done) = self.needs_no_link(at, meta, target, found)?
        {
            if done == Done::Unchanged {
                self.verifier().digest_there(at, meta.kind)?;
            }
            self.teller.record(&node.place, name, meta.kind, done, 0);
            return Ok(());
        }
        let waits = self.is_in_the_way(node, target_name);
        if self.setting.is_dry() {
            self.make_way(at, target_name)?;
            self.naming().tell_once(at, meta.kind)?;
            self.teller.record(&node.place, name, meta.kind, Done::Linked, 0);
            return Ok(());
        }
        let temporary = (found.is_some() || waits).then(|| self.setting.temporaries.next());
        let names = LinkNames { work: temporary.as_deref().unwrap_or(target_name), last: target_name };
        self.make_link(at, meta, target, names)?;
        if temporary.is_some() {
            self.give_name_to_link(at, meta, target, names, waits)?;
        }
        self.verifier().digest_there(at, meta.kind)?;
        self.teller.record(&node.place, name, meta.kind, Done::Linked, 0);
        Ok(())
    }

    /// What is recorded of a name that stays as it was `found`, where it does.
    fn needs_no_link(
        &mut self,
        at: EntryRef<'_>,
        meta: &Meta,
        target: &LinkTarget,
        found: &Meta,
    ) -> Result<Option<Done>, Fault> {
        let EntryRef { node, name, .. } = at;
        if found.id == target.id || self.are_one_by_looks(at, meta.kind, target, found) {
            return Ok(Some(Done::Unchanged));
        }
        node.refuse_made(&node.place.target_name(name, meta.kind), found)?;
        // Whatever its content, it is not a name of the copy yet: `unchanged` is not enough.
        let granularity = Granularity::Nanos(1);
        let replaces = match decide(meta, found, self.setting.job.existing, granularity) {
            Action::Unchanged | Action::Replace => true,
            Action::Skip => self.is_left_unfinished(at, [meta, meta, found], granularity)?,
            Action::Refuse(why) => return Err(Fault::refused(Op::Replace, why)),
            Action::InTheWay(why) => return Err(Fault::in_the_way(Op::Replace, why)),
        };
        if !replaces {
            return Ok(Some(Done::Skipped));
        }
        if found.nlink > 1 {
            self.run.tree.shared.lost_a_name(found.id);
        }
        Ok(None)
    }

    /// Make a link to the copy `target`, and see that it is one.
    fn make_link(
        &mut self,
        at: EntryRef<'_>,
        meta: &Meta,
        target: &LinkTarget,
        names: LinkNames<'_>,
    ) -> Result<(), Fault> {
        let EntryRef { node, dirs, .. } = at;
        let is_numbered = node.pair.is_numbered;
        let mut cache = std::mem::take(&mut self.tools.link_cache);
        let mut make = || {
            let from = cache.directory(node, dirs, target)?;
            let first_name = &*target.place.target_name(&target.name, meta.kind);
            if is_numbered {
                return dirs.target.link_from(from, first_name, names.work);
            }
            let is_copy = |there: &Meta| target.id == there.id || looks_like_copy(meta, there);
            platform::link_if((from, first_name), (&dirs.target, names.work), is_copy)
        };
        let linked = if names.work == names.last {
            let id = || target.id_of(dirs, names.last, is_numbered);
            self.naming().publish_exclusively(at, names.last, Op::CreateHardLink, false, make, |()| id())
        } else {
            make().during(Op::CreateHardLink)
        };
        self.tools.link_cache = cache;
        linked?;
        if is_numbered {
            // The name may have been given to something else since it was copied.
            let is_ours = dirs.target.stat(names.work).during(Op::Stat).in_copy()?.id == target.id;
            if !is_ours {
                dirs.target.remove(names.work).during(Op::Remove)?;
                return Err(Fault::new(Op::CreateHardLink, io::Error::from(io::ErrorKind::NotFound)));
            }
        }
        Ok(())
    }

    /// Give a link that was made under another name the one it is to have, where an entry `waits` to make way for
    /// it, or is replaced by it.
    fn give_name_to_link(
        &mut self,
        at: EntryRef<'_>,
        meta: &Meta,
        target: &LinkTarget,
        LinkNames { work, last }: LinkNames<'_>,
        waits: bool,
    ) -> Result<(), Fault> {
        let EntryRef { node, dirs, .. } = at;
        let is_numbered = node.pair.is_numbered;
        let id = || target.id_of(dirs, last, is_numbered);
        if waits {
            let given = self.make_way(at, last).and_then(|()| {
                let give = || dirs.target.rename_new(work, last);
                self.naming().publish_exclusively(at, last, Op::Rename, false, give, |()| id())
            });
            return given.inspect_err(|_| {
                let _ = dirs.target.remove(work); // a further name; what goes wrong with it is swept later
            });
        }
        let give = || {
            // What it was copied to may be too new to be on its device.
            if meta.kind == Kind::File && self.setting.job.fsync != Fsync::None {
                dirs.target.open_existing(work)?.sync_data()?;
            } else if self.run.durability.keeps_old(&node.pair, node.target.id.dev) {
                platform::sync_filesystem(&dirs.target)?;
            }
            self.run.durability.rename_over(node, &dirs.target, work, last)
        };
        let named = self.naming().publish_exclusively(at, last, Op::Rename, true, give, |_| id());
        // Renaming does nothing where both are names of one file already (rename(2)), which numbers did not tell.
        if named.is_err() || !is_numbered && !matches!(named, Ok(Kept::Under(_))) {
            let _ = dirs.target.remove(work);
        }
        self.let_go_of_old(at, meta.kind, named?);
        Ok(())
    }
}

impl Copier {
    /// Whether `found` is one file with the copy `target`, where the filesystem gives each name a number of its own:
    /// a link of either changes what both have.
    fn are_one_by_looks(&mut self, at: EntryRef<'_>, kind: Kind, target: &LinkTarget, found: &Meta) -> bool {
        let EntryRef { node, dirs, .. } = at;
        if node.pair.is_numbered || found.nlink < 2 || found.kind != kind {
            return false;
        }
        let first_name = target.place.target_name(&target.name, kind);
        let first = self.tools.link_cache.directory(node, dirs, target).and_then(|dir| dir.stat(&first_name));
        let looks = |meta: &Meta| {
            (meta.kind, meta.nlink, meta.size, meta.mode, meta.uid, meta.gid, meta.modified, meta.changed)
        };
        first.is_ok_and(|first| looks(&first) == looks(found))
    }
}
