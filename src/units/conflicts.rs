//! Entries of a mirror that find another type of entry in their place: it is deleted first, as what the
//! source lacks, when nothing else is left to do.

use std::{
    collections::HashSet,
    ffi::CStr,
    io, mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{Node, attributes::LEAST, mirror::ExtraneousIn};
use crate::{
    entry::Kind,
    error::{During, Fault, Op, Sided},
    options::Delete,
    plan::{Deletion, is_in_the_way},
    platform::{self, Dir, Names},
    scheduler::{Again, Unit, Worker, caught},
    transfer::Watch,
};

/// Entries that wait for what is in their place to be deleted.
#[derive(Debug, Default)]
pub(crate) struct Conflicts {
    waiting: Mutex<Vec<Conflict>>,
    /// Whether those that waited have been seen to: whatever is in the way from then on is a failure.
    are_over: AtomicBool,
}

/// An entry that waits; its directory counts it as unfinished.
#[derive(Debug)]
struct Conflict {
    node: Arc<Node>,
    name: Box<CStr>,
    listed: Option<Kind>,
    fault: Fault,
}

impl Worker {
    /// Whether what is in the way is to be deleted, and the entry that failed for it tried again then.
    pub(super) fn may_set_aside(&self, node: &Node, fault: &Fault) -> bool {
        self.context.job.mirror.delete != Delete::Never
            && fault.is_in_the_way()
            && node.existed
            && !node.is_ours
            // The copy as a whole is not deleted.
            && node.source.is_some()
            && node.chosen.some().is_none()
            && !self.context.conflicts.are_over.load(Ordering::Relaxed)
            && !self.is_cancelled()
    }

    /// Put an entry aside whose place is to be cleared; otherwise its fault comes back.
    pub(crate) fn set_aside(
        &mut self,
        node: &Arc<Node>,
        name: &CStr,
        listed: Option<Kind>,
        fault: Fault,
    ) -> Result<(), Fault> {
        if !self.may_set_aside(node, &fault) {
            return Err(fault);
        }
        self.forget_entry();
        let conflict = Conflict { node: node.hold(), name: name.into(), listed, fault };
        let mut waiting = self.context.conflicts.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            self.context.queue.at_last(Unit::Clear);
        }
        waiting.push(conflict);
        Ok(())
    }

    /// Nothing is left but entries that find something else in their place: delete that, where all speaks
    /// for it, and try them again.
    pub(crate) fn clear(&mut self) {
        let context = self.context.clone();
        if context.replacements.are_any() {
            // They may fail yet, and be tried again.
            context.queue.at_last(Unit::Clear);
            return self.replace();
        }
        context.conflicts.are_over.store(true, Ordering::Relaxed);
        let conflicts =
            mem::take(&mut *context.conflicts.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        // What else is extraneous counts against the same limit.
        unfinished(&conflicts).iter().for_each(|node| self.note_unfinished(node));
        let mut waiting = Vec::new();
        for conflict in conflicts {
            match caught(|| self.clearing(&conflict)) {
                Ok(Some(within)) => waiting.push((conflict, within)),
                Ok(None) => self.try_again(conflict),
                Err(fault) => self.give_up(conflict, fault),
            }
        }
        let within: Vec<_> = waiting.iter().map(|(_, within)| within).collect();
        let is_allowed = self.may_clear(&within);
        for (conflict, within) in waiting {
            if is_allowed(&within) {
                self.clear_one(conflict, &within);
            } else {
                let Conflict { node, name, listed, fault } = conflict;
                self.fail_uncounted(&node, &name, listed, fault);
                self.release(node);
            }
        }
    }

    fn clear_one(&mut self, conflict: Conflict, within: &ExtraneousIn) {
        self.context.extraneous.count_listed([within]);
        match caught(|| self.try_delete(within)) {
            Ok(true) => {
                conflict.node.clear(within.names.get(0).0);
                return self.try_again(conflict);
            }
            Ok(false) => {} // what stays was said, or is what a rule keeps
            Err(fault) => self.fail_to_delete(fault.at(within.place.path_in_copy(c""))),
        }
        let stays = Fault::in_the_way(conflict.fault.op, format!("{}, and stays", conflict.fault.cause));
        self.give_up(conflict, stays);
    }

    fn try_again(&mut self, Conflict { node, name, listed, .. }: Conflict) {
        self.push(Unit::Again(Again { node, name, listed, tried: 0 }));
    }

    fn give_up(&mut self, Conflict { node, name, listed, .. }: Conflict, fault: Fault) {
        self.fail(&node, &name, listed, fault);
        self.release(node);
    }

    /// What is to be deleted for an entry, if anything is in its place, and if it can be read itself.
    fn clearing(&mut self, conflict: &Conflict) -> Result<Option<ExtraneousIn>, Fault> {
        let Conflict { node, name, fault, .. } = conflict;
        let dirs = node.dirs()?;
        let meta = dirs.source.stat(name).during(Op::Stat)?;
        match meta.kind {
            Kind::File => drop(dirs.source.open_source(name).during(Op::Open)?),
            Kind::Symlink => {
                let points_to = dirs.source.read_link(name).during(Op::ReadSymlink)?;
                self.try_out(|trial| dirs.target.make_symlink(&points_to, trial), &dirs.target)
                    .during(Op::CreateSymlink)?;
            }
            Kind::Directory => {
                let dir = dirs.source.open_dir(name).during(Op::Open)?;
                self.names_in(&dir).during(Op::List)?;
            }
            kind => {
                let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
                if is_device && !platform::may_make_device(&meta) {
                    return Err(Fault::new(Op::CreateSpecial, platform::not_permitted()));
                }
                self.try_out(|trial| platform::make_special(&dirs.target, trial, &meta, LEAST), &dirs.target)
                    .during(Op::CreateSpecial)?;
            }
        }
        let target_name = &*node.place.target_name(name, meta.kind);
        let there = match self.found(node, &dirs, target_name)? {
            Some(there) if is_in_the_way(&meta, &there) => there,
            _ => return Ok(None), // not any more
        };
        // Where several spellings are one name it may be the copy of another entry.
        let names = self.names_in(&dirs.target).during(Op::List).in_copy()?;
        let is_spelled_so = (0..names.len()).any(|index| names.get(index).0 == target_name);
        let source = node.source.as_ref().filter(|_| is_spelled_so);
        let Some(source) = source else {
            return Err(Fault::in_the_way(fault.op, fault.cause.to_string()));
        };
        Ok(Some(ExtraneousIn::new(node, source, Names::one(target_name, there.kind))))
    }

    /// Make a link or a node that what is in its place is to be deleted for, and remove it again: what cannot be
    /// made there is no reason to delete anything.
    fn try_out(&self, make: impl Fn(&CStr) -> io::Result<()>, dir: &Dir) -> io::Result<()> {
        if self.context.job.dry_run {
            return Ok(());
        }
        let trial = self.context.temporaries.next();
        make(&trial).and_then(|()| dir.remove(&trial))
    }

    /// Which of these may be deleted, as far as the guards of all deletions say.
    fn may_clear(&mut self, waiting: &[&ExtraneousIn]) -> impl Fn(&ExtraneousIn) -> bool + use<> {
        let context = self.context.clone();
        let sources = 0..context.job.sources.len();
        let goes: HashSet<usize> = sources
            .filter(|source| context.extraneous.decide(*source, context.job.mirror) == Deletion::Goes)
            .collect();
        let goes_of = move |within: &ExtraneousIn| {
            within.place.source_index().is_some_and(|source| goes.contains(&source))
        };
        let found = context.extraneous.found();
        let all: Vec<_> =
            { found.iter() }.chain(waiting.iter().copied()).filter(|found| goes_of(found)).collect();
        let exceeds = self.exceeds_limit(&all);
        if exceeds {
            context.extraneous.refuse_all();
        }
        context.extraneous.put_back(found);
        move |within| !exceeds && goes_of(within)
    }

    /// Note what is extraneous in a directory that nothing but conflicts keep from being finished.
    fn note_unfinished(&mut self, node: &Arc<Node>) {
        let Some(source) = node.source else { return };
        node.is_noted.store(true, Ordering::Relaxed);
        let noted = caught(|| {
            let dirs = node.dirs()?;
            self.note_extraneous(node, &dirs, &source)
        });
        if let Err(fault) = noted {
            self.fail_directory(node, fault);
        }
        node.suspend_if_pending();
    }
}

/// The directories that these keep from being finished, each once.
fn unfinished(conflicts: &[Conflict]) -> Vec<Arc<Node>> {
    let (mut seen, mut unfinished) = (HashSet::new(), Vec::new());
    for conflict in conflicts {
        let mut at = Some(conflict.node.clone());
        while let Some(node) = at.filter(|node| seen.insert(Arc::as_ptr(node))) {
            at = node.parent.clone();
            unfinished.push(node);
        }
    }
    unfinished
}
