//! One entry of a directory, whatever it is.

use std::{ffi::CStr, io, sync::Arc};

use super::{
    Node,
    internal::is_internal,
    kept::Kept,
    links::{Claim, LinkTarget, Parked, looks_like_copy},
    node::Dirs,
};
use crate::{
    entry::{FileId, Granularity, Kind, Meta},
    error::{During, Fault, Op, Sided},
    event::Done,
    options::{Attributes, Fsync},
    plan::{Action, decide},
    platform::{self, Handle},
    report::Loss,
    scheduler::{LateNames, Unit, Worker, caught},
};

/// One entry of a directory in flight.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) node: &'a Arc<Node>,
    pub(super) dirs: &'a Dirs,
    pub(super) name: &'a CStr,
}

impl<'a> Item<'a> {
    /// The source's entry and the copy's, which is called `target_name`.
    pub(super) fn handles(self, target_name: &'a CStr) -> (Handle<'a>, Handle<'a>) {
        (Handle::Entry(&self.dirs.source, self.name), Handle::Entry(&self.dirs.target, target_name))
    }
}

/// How an entry was dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handled {
    /// It is done, or will be by units that are on their way.
    Yes,
    /// It is not what it was listed as, but this.
    Is(Kind),
}

/// What became of the first name of a link group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Its copy is this inode, and further names can be linked to it.
    Copied(FileId),
    /// It was left out; another name has to be the first.
    LeftOut,
    /// Its bytes are still being moved; whoever ends that will say.
    Underway,
}

/// How often an entry that found no room is tried again, where something may make room.
const LOOKS_FOR_ROOM: u32 = 8;

impl Worker {
    /// Deal with an entry that was listed as `listed`.
    pub(crate) fn entry(&mut self, node: &Arc<Node>, name: &CStr, listed: Option<Kind>) {
        // A directory of such a name is not ours.
        if is_internal(name) && listed != Some(Kind::Directory) {
            return self.record(&node.place, name, Kind::File, Done::Skipped, 0);
        }
        let has_rules = self.context.job.selection.has_rules();
        let excluded = if has_rules { self.is_excluded(node, name, listed) } else { Ok(false) };
        let done = match excluded {
            Ok(true) => {
                self.outcomes.totals.excluded += 1;
                Ok(())
            }
            Ok(false) if self.is_stopped(node) => {
                self.leave_untried(node);
                Ok(())
            }
            Ok(false) => {
                self.attempt(node, name, listed, 0);
                Ok(())
            }
            Err(fault) => Err(fault),
        };
        if let Err(fault) = done {
            self.fail(node, name, listed, fault);
        }
    }

    /// Try an entry, `tried` times before; where it may be tried once more, it will be.
    pub(crate) fn attempt(&mut self, node: &Arc<Node>, name: &CStr, listed: Option<Kind>, tried: u32) {
        self.await_turn(0);
        self.tried = tried;
        let done = self.measured(|worker| {
            let mut done = caught(|| worker.try_entry(node, name, listed, &mut None));
            // Other workers may fill it again meanwhile.
            for _ in 0..LOOKS_FOR_ROOM {
                match &done {
                    Err(fault) if worker.makes_room(fault) => {
                        done = caught(|| worker.try_entry(node, name, listed, &mut None));
                    }
                    _ => break,
                }
            }
            done
        });
        if let Err(fault) = done {
            self.fail_or_retry(node, name, listed, tried, fault);
        }
    }

    /// Deal with a name that takes over the link group of the source inode `group`.
    pub(crate) fn heir(&mut self, node: &Arc<Node>, name: &CStr, group: FileId) {
        let mut owed = Some(group);
        self.tried = u32::MAX; // what fails is not put aside
        let mut work = |worker: &mut Worker| {
            #[cfg(test)]
            if worker.context.links.waiting(group) == 2 {
                crate::scheduler::break_down(c"breaks-down-as-heir", node.place.name());
            }
            worker.try_entry(node, name, None, &mut owed)
        };
        let tried = self.measured(|worker| caught(|| work(worker)));
        if owed.is_some() {
            // It did not come to the group: it failed before, or is another inode by now.
            self.pass_on(group, false);
        }
        if let Err(fault) = tried.or_else(|fault| self.set_aside(node, name, None, fault)) {
            self.fail(node, name, None, fault);
        }
    }

    /// Let the next name that waits in a link group take it over.
    ///
    /// One that comes again is not done with.
    fn pass_on(&mut self, group: FileId, comes_again: bool) {
        if let Some(heir) = self.context.links.fail(group, comes_again) {
            self.push(Unit::Heir(heir, group));
        }
    }

    fn try_entry(
        &mut self,
        node: &Arc<Node>,
        name: &CStr,
        listed: Option<Kind>,
        owed: &mut Option<FileId>,
    ) -> Result<(), Fault> {
        const LOOKS: usize = 3;
        let dirs = node.dirs()?;
        let mut kind = match listed {
            Some(kind) if kind != Kind::Symlink || !dirs.source.follows() => kind,
            _ => dirs.source.stat(name).during(Op::Stat)?.kind,
        };
        let at = Item { node, dirs: &dirs, name };
        for _ in 0..LOOKS {
            node.chosen.refuse_behind(name, kind)?;
            let handled = match kind {
                Kind::File => self.regular(at, owed)?,
                Kind::Directory => self.enter(at)?,
                Kind::Symlink => self.symlink(at, owed)?,
                _ => self.special(at, owed)?,
            };
            match handled {
                Handled::Yes => return Ok(()),
                Handled::Is(other) => kind = other,
            }
        }
        Err(Fault::changed(Op::Copy, "it changes its type all the time"))
    }

    /// Whether further names of this entry become hard links.
    pub(super) fn is_linked(&self, meta: &Meta) -> bool {
        meta.nlink > 1 && self.context.job.preserve.keeps(Attributes::LINKS)
    }

    /// Copy an entry that is not a directory, unless a name of the same inode was copied before.
    ///
    /// `owed` is the group that this name has to take over, if any. `copy` is told the group that it
    /// copies for; whoever ends the copy must [`conclude`](Worker::conclude) that one.
    pub(super) fn once(
        &mut self,
        at: Item<'_>,
        meta: &Meta,
        owed: &mut Option<FileId>,
        copy: impl FnOnce(&mut Worker, Option<FileId>) -> Result<First, Fault>,
    ) -> Result<(), Fault> {
        let Item { node, name, .. } = at;
        if node.made.is_some() {
            self.claim_name(at, &node.place.target_name(name, meta.kind), false)?;
        }
        let is_heir = owed.take_if(|group| *group == meta.id).is_some();
        if !is_heir {
            if !self.is_linked(meta) {
                return copy(self, None).map(drop);
            }
            let claim = self.context.links.claim(meta.id, meta.nlink, node, name);
            if self.link_up(at, meta, claim)? {
                return Ok(());
            }
        }
        // Caught here, for the names that wait for this one.
        let first = caught(|| copy(self, Some(meta.id)));
        self.conclude(node, name, meta.id, first)
    }

    /// The first name of a link group is done, or not: see to the names that wait for it.
    pub(super) fn conclude(
        &mut self,
        node: &Arc<Node>,
        name: &CStr,
        group: FileId,
        first: Result<First, Fault>,
    ) -> Result<(), Fault> {
        match &first {
            Ok(First::Underway) => {}
            Ok(First::Copied(id)) => {
                let target = LinkTarget { place: node.place.clone(), name: name.into(), id: *id };
                let names = self.context.links.settle(group, target);
                if !names.is_empty() {
                    self.push(Unit::Late(LateNames { names, group }));
                }
            }
            Ok(First::LeftOut) => self.pass_on(group, false),
            Err(fault) => {
                let comes_again = self.may_retry(fault, self.tried) || self.may_set_aside(node, fault);
                self.pass_on(group, comes_again);
            }
        }
        first.map(drop)
    }

    /// Follow a claim until the name is linked or waits; `false` when it has to be copied.
    fn link_up(&mut self, at: Item<'_>, meta: &Meta, mut claim: Claim) -> Result<bool, Fault> {
        let Item { node, name, .. } = at;
        loop {
            let target = match claim {
                Claim::Copy => return Ok(false),
                Claim::Parked => return Ok(true),
                Claim::Link(target) => target,
            };
            match self.link(at, meta, &target) {
                Err(fault)
                    if fault.op == Op::CreateHardLink
                        && platform::is_no_more_links(&fault.cause)
                        // What was asked for by name is not made up for, unless its copy is gone.
                        && (fault.cause.kind() == io::ErrorKind::NotFound
                            || !self.context.job.preserve.requires(Attributes::LINKS)) =>
                {
                    claim = self.context.links.renew(meta.id, target.id, node, name);
                    if let Claim::Copy = claim {
                        self.warn(Loss::HardLink, node, name, meta.kind, &fault.cause.to_string());
                    }
                }
                linked => {
                    // One that is tried again counts only then.
                    let comes_again =
                        |fault| self.may_retry(fault, self.tried) || self.may_set_aside(node, fault);
                    if !linked.as_ref().is_err_and(comes_again) {
                        self.context.links.finished(meta.id);
                    }
                    return linked.map(|()| true);
                }
            }
        }
    }

    /// Deal with a name that waited for the first of its group.
    pub(crate) fn late_name(&mut self, parked: Parked, group: FileId) {
        let Parked { node, name } = parked;
        self.tried = u32::MAX; // what fails is not put aside
        self.guarded(&node.clone(), &name.clone(), |worker| {
            let link = |worker: &mut Worker| {
                let dirs = node.dirs()?;
                let meta = dirs.source.stat(&name).during(Op::Stat)?;
                if meta.id != group {
                    worker.context.links.finished(group);
                    return worker.try_entry(&node, &name, None, &mut None).map(|()| true);
                }
                // Asked again: the copy that it waited for may be full by now, and another begun.
                let claim = worker.context.links.claim(group, meta.nlink, &node, &name);
                worker.link_up(Item { node: &node, dirs: &dirs, name: &name }, &meta, claim)
            };
            let linked = worker.measured(link);
            match linked {
                Ok(true) => {}
                // Not here: where every name needs a copy of its own, that would nest without end.
                Ok(false) => {
                    worker.push(Unit::Heir(Parked { node: node.hold(), name: name.clone() }, group));
                }
                Err(fault) => {
                    if let Err(fault) = worker.set_aside(&node, &name, None, fault) {
                        worker.fail(&node, &name, None, fault);
                    }
                }
            }
        });
        self.let_go(node);
    }

    /// Give the copy `target` the further name `name`.
    fn link(&mut self, at: Item<'_>, meta: &Meta, target: &LinkTarget) -> Result<(), Fault> {
        let Item { node, dirs, name } = at;
        let target_name = &*node.place.target_name(name, meta.kind);
        let found = if node.existed { self.found(node, dirs, target_name)? } else { None };
        let mut work_name = None;
        if let Some(found) = &found {
            if found.id == target.id || self.are_one_by_looks(at, meta.kind, target, found) {
                self.digest_there(at, meta.kind)?;
                self.record(&node.place, name, meta.kind, Done::Unchanged, 0);
                return Ok(());
            }
            node.refuse_made(target_name, found)?;
            // Whatever its content, it is not a name of the copy yet: `unchanged` is not enough.
            let granularity = Granularity::Nanos(1);
            let replaces = match decide(meta, found, self.context.job.existing, granularity) {
                Action::Unchanged | Action::Replace => true,
                Action::Skip => self.is_left_unfinished(at, meta, meta, found, granularity)?,
                Action::Refuse(why) => return Err(Fault::refused(Op::Replace, why)),
                Action::InTheWay(why) => return Err(Fault::in_the_way(Op::Replace, why)),
            };
            if !replaces {
                self.record(&node.place, name, meta.kind, Done::Skipped, 0);
                return Ok(());
            }
            if found.nlink > 1 {
                self.context.shared.lost_a_name(found.id);
            }
            work_name = Some(self.context.temporaries.next());
        }
        let waits = self.is_in_the_way(node, target_name);
        if waits {
            work_name = Some(self.context.temporaries.next());
        }
        if self.is_dry() {
            self.make_way(at, target_name)?;
            self.tell_once(at, meta.kind)?;
            self.record(&node.place, name, meta.kind, Done::Linked, 0);
            return Ok(());
        }
        let work_name = work_name.as_deref().unwrap_or(target_name);
        let is_numbered = node.pair.is_numbered;
        // Where the filesystem does not number files, each name may have a number of its own.
        let id =
            || if is_numbered { Ok(target.id) } else { dirs.target.stat(target_name).map(|there| there.id) };
        let mut cache = std::mem::take(&mut self.link_cache);
        let mut make = || {
            let from = cache.directory(node, dirs, target)?;
            let first_name = &*target.place.target_name(&target.name, meta.kind);
            if is_numbered {
                return dirs.target.link_from(from, first_name, work_name);
            }
            let is_copy = |there: &Meta| target.id == there.id || looks_like_copy(meta, there);
            platform::link_if((from, first_name), (&dirs.target, work_name), is_copy)
        };
        let linked = match found {
            None if !waits => self.name_once(at, target_name, Op::CreateHardLink, false, make, |()| id()),
            _ => make().during(Op::CreateHardLink),
        };
        self.link_cache = cache;
        linked?;
        if is_numbered {
            // The name may have been given to something else since it was copied.
            let is_ours = dirs.target.stat(work_name).during(Op::Stat).in_copy()?.id == target.id;
            if !is_ours {
                dirs.target.remove(work_name).during(Op::Remove)?;
                return Err(Fault::new(Op::CreateHardLink, io::Error::from(io::ErrorKind::NotFound)));
            }
        }
        if waits {
            let given = self.make_way(at, target_name).and_then(|()| {
                let give = || dirs.target.rename_new(work_name, target_name);
                self.name_once(at, target_name, Op::Rename, false, give, |()| id())
            });
            if let Err(fault) = given {
                let _ = dirs.target.remove(work_name); // a further name; what goes wrong with it is swept later
                return Err(fault);
            }
        } else if found.is_some() {
            let give = || {
                // What it was copied to may be too new to be on its device.
                if meta.kind == Kind::File && self.context.job.fsync != Fsync::None {
                    dirs.target.open_existing(work_name)?.sync_data()?;
                } else if self.keeps_old(&node.pair, node.target.id.dev) {
                    platform::sync_filesystem(&dirs.target)?;
                }
                self.rename_over(node, &dirs.target, work_name, target_name)
            };
            let named = self.name_once(at, target_name, Op::Rename, true, give, |_| id());
            // Renaming does nothing where both are names of one file already (rename(2)), which numbers did not tell.
            if named.is_err() || !is_numbered && !matches!(named, Ok(Kept::Under(_))) {
                let _ = dirs.target.remove(work_name);
            }
            self.let_go_of_old(at, meta.kind, named?);
        }
        self.digest_there(at, meta.kind)?;
        self.record(&node.place, name, meta.kind, Done::Linked, 0);
        Ok(())
    }

    /// Look up what the copy's directory has under `name`.
    pub(super) fn found(&self, node: &Node, dirs: &Dirs, name: &CStr) -> Result<Option<Meta>, Fault> {
        if self.is_dry() && node.is_cleared(name) || self.is_in_the_way(node, name) {
            return Ok(None);
        }
        match dirs.target.stat(name) {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::new(Op::Replace, error)),
        }
    }
}
