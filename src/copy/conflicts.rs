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

use crate::{
    copy::{Again, Copier, Unit},
    entry::{Kind, Meta},
    error::{During, Fault, Op, Sided},
    fidelity::LEAST,
    guard::caught,
    mirror::{Does, extraneous_in},
    options::Delete,
    plan::{Deletion, is_in_the_way},
    platform::{self, Dir, Names},
    setting::OWNERS,
    space::is_room_refused,
    transfer::Watch,
    tree::{DirNode, Dirs, EntryRef, ExtraneousIn, InTheWay, names_in},
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
    node: Arc<DirNode>,
    name: Box<CStr>,
    listed: Option<Kind>,
    fault: Fault,
}

impl Copier {
    /// Whether what is in the way is to be deleted, and the entry that failed for it tried again then.
    pub(super) fn may_set_aside(&self, node: &DirNode, fault: &Fault) -> bool {
        self.setting.job.mirror.delete != Delete::Never
            && fault.is_in_the_way()
            && node.target_dir.existed()
            && !node.target_dir.is_of_other_source()
            // The copy as a whole is not deleted.
            && node.source.is_some()
            && node.chosen.some().is_none()
            && !self.run.conflicts.are_over.load(Ordering::Relaxed)
            && !self.teller.is_cancelled()
    }

    /// Put an entry aside whose place is to be cleared; otherwise its fault comes back.
    pub(crate) fn set_aside(
        &mut self,
        node: &Arc<DirNode>,
        name: &CStr,
        listed: Option<Kind>,
        fault: Fault,
    ) -> Result<(), Fault> {
        if !self.may_set_aside(node, &fault) {
            return Err(fault);
        }
        self.teller.notes.forget();
        let conflict = Conflict { node: node.add_pending(), name: name.into(), listed, fault };
        let mut waiting = self.run.conflicts.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            self.run.queue.at_last(Unit::Clear);
        }
        waiting.push(conflict);
        Ok(())
    }

    /// Nothing is left but entries that find something else in their place: delete that, where all speaks
    /// for it, and try them again.
    pub(crate) fn clear(&mut self) {
        let run = self.run.clone();
        if run.replacements.are_any() {
            // They may fail yet, and be tried again.
            run.queue.at_last(Unit::Clear);
            return self.replace();
        }
        run.conflicts.are_over.store(true, Ordering::Relaxed);
        let conflicts = mem::take(&mut *run.conflicts.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        // What else is extraneous counts against the same limit.
        unfinished(&conflicts).iter().for_each(|node| self.note_unfinished(node));
        let mut waiting = Vec::new();
        for conflict in conflicts {
            match caught(|| self.clearing(&conflict)) {
                Ok(Some((kind, within))) => waiting.push((conflict, kind, within)),
                Ok(None) => self.try_again(conflict),
                Err(fault) => self.give_up(conflict, fault),
            }
        }
        let within: Vec<_> = waiting.iter().map(|(.., within)| within).collect();
        let is_allowed = self.may_clear(&within);
        for (conflict, kind, within) in waiting {
            if is_allowed(&within) {
                self.clear_one(conflict, kind, within);
            } else {
                let Conflict { node, name, listed, fault } = conflict;
                self.fail_uncounted(&node, &name, listed, fault);
                self.finish_if_last(node);
            }
        }
    }

    fn clear_one(&mut self, conflict: Conflict, successor: Kind, within: ExtraneousIn) {
        self.run.extraneous.count_listed([&within]);
        let (node, op) = (conflict.node.clone(), conflict.fault.op);
        let name: Box<CStr> = within.names.get(0).0.into();
        let in_the_way = InTheWay { within, op, described: conflict.fault.cause.to_string() };
        // A directory has its name before what it holds; and for what stays in any case nothing need be copied.
        let mut stays = || {
            let counted = self.deleter().walk_extraneous(&in_the_way.within, Does::Count);
            counted.is_ok_and(|walked| !walked.is_all)
        };
        let waits = match successor == Kind::Directory || stays() {
            true => self.delete_in_the_way(in_the_way).map(|()| None),
            false => Ok(Some(in_the_way)),
        };
        match waits {
            Ok(waits) => {
                node.clear(&name, waits);
                self.try_again(conflict);
            }
            Err(fault) => self.give_up(conflict, fault),
        }
    }

    /// Whether what the copy has as `name` is to be deleted when its successor is whole: until then the name counts
    /// as free.
    pub(super) fn is_in_the_way(&self, node: &DirNode, name: &CStr) -> bool {
        self.run.conflicts.are_over.load(Ordering::Relaxed) && node.is_in_the_way(name)
    }

    /// An entry is whole but for its name: delete what is to be deleted for it, if nothing has failed meanwhile.
    pub(super) fn make_way(&mut self, at: EntryRef<'_>, target_name: &CStr) -> Result<(), Fault> {
        if !self.run.conflicts.are_over.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some(in_the_way) = at.node.take_in_the_way(target_name) else { return Ok(()) };
        let mirror = self.setting.job.mirror;
        let source = in_the_way.within.place.source_index();
        if source.is_none_or(|source| self.run.extraneous.decide(source, mirror) != Deletion::Goes) {
            return Err(in_the_way.stays());
        }
        // Said of this entry, and not of those that go for it.
        let known = (self.teller.notes.digest.take(), mem::take(&mut self.teller.notes.differs));
        let deleted = self.delete_in_the_way(in_the_way);
        (self.teller.notes.digest, self.teller.notes.differs) = known;
        deleted
    }

    fn delete_in_the_way(&mut self, in_the_way: InTheWay) -> Result<(), Fault> {
        let within = &in_the_way.within;
        match caught(|| self.deleter().try_delete(within)) {
            Ok(true) => return Ok(()),
            Ok(false) => {} // what stays was said, or is what a rule keeps
            Err(fault) => self.deleter().fail(fault.at(within.place.path_in_copy(c""))),
        }
        Err(in_the_way.stays())
    }

    fn try_again(&mut self, Conflict { node, name, listed, .. }: Conflict) {
        self.hands.push(Unit::Again(Again { node, name, listed, tried: 0 }));
    }

    fn give_up(&mut self, Conflict { node, name, listed, .. }: Conflict, fault: Fault) {
        self.fail(&node, &name, listed, fault);
        self.finish_if_last(node);
    }

    /// What is to be deleted for an entry, and what type that is of, if anything is in its place.
    fn clearing(&mut self, conflict: &Conflict) -> Result<Option<(Kind, ExtraneousIn)>, Fault> {
        let Conflict { node, name, fault, .. } = conflict;
        let dirs = node.dirs()?;
        let meta = dirs.source.stat(name).during(Op::Stat)?;
        self.try_out(&dirs, name, &meta)?;
        let target_name = &*node.place.target_name(name, meta.kind);
        let there = match self.found(node, &dirs, target_name)? {
            Some(there) if is_in_the_way(&meta, &there) => there,
            _ => return Ok(None), // not any more
        };
        // Where several spellings are one name it may be the copy of another entry.
        let names = names_in(&dirs.target, &mut self.tools.listing).during(Op::List).in_copy()?;
        let is_spelled_so = (0..names.len()).any(|index| names.get(index).0 == target_name);
        let source = node.source.as_ref().filter(|_| is_spelled_so);
        let Some(source) = source else {
            return Err(Fault::in_the_way(fault.op, fault.cause.to_string()));
        };
        Ok(Some((meta.kind, extraneous_in(node, source, Names::one(target_name, there.kind)))))
    }

    /// See whether an entry can be read; and made, where it has its name only when what is in its place is gone: a
    /// directory, and whatever a run that only deletes leaves to the next.
    fn try_out(&mut self, dirs: &Dirs, name: &CStr, meta: &Meta) -> Result<(), Fault> {
        let Dirs { source, target, .. } = dirs;
        let job = &self.setting.job;
        let is_left = job.mirror.delete == Delete::Only;
        let is_made = !job.dry_run && (is_left || meta.kind == Kind::Directory);
        match meta.kind {
            Kind::File => drop(source.open_source(name).during(Op::Open)?),
            Kind::Symlink => {
                let points_to = source.read_link(name).during(Op::ReadSymlink)?;
                if is_made {
                    let make = |trial: &CStr| target.make_symlink(&points_to, trial);
                    self.try_to_make(target, meta.kind, Op::CreateSymlink, make)?;
                }
            }
            Kind::Directory => {
                let dir = source.open_dir(name).during(Op::Open)?;
                names_in(&dir, &mut self.tools.listing).during(Op::List)?;
                if is_made {
                    let make = |trial: &CStr| target.make_dir(trial, OWNERS);
                    self.try_to_make(target, meta.kind, Op::CreateDirectory, make)?;
                }
            }
            _ if is_made => {
                let make = |trial: &CStr| platform::make_special(target, trial, meta, LEAST);
                self.try_to_make(target, meta.kind, Op::CreateSpecial, make)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Make a `kind` of entry by `make`, and remove it again.
    fn try_to_make(
        &self,
        target: &Dir,
        kind: Kind,
        op: Op,
        make: impl Fn(&CStr) -> io::Result<()>,
    ) -> Result<(), Fault> {
        let trial = self.setting.temporaries.next();
        match make(&trial) {
            // To make room is what such a run is for.
            Err(error) if is_room_refused(&error) && self.setting.job.mirror.delete == Delete::Only => {
                return Ok(());
            }
            made => made.during(op)?,
        }
        let removed = if kind == Kind::Directory { target.remove_dir(&trial) } else { target.remove(&trial) };
        removed.map_err(|error| {
            let trial = trial.to_string_lossy();
            let why = format!("{trial}, made beside it to see whether that works, stays: {error}");
            Fault::new(op, io::Error::new(error.kind(), why))
        })
    }

    /// Which of these may be deleted, as far as the guards of all deletions say.
    fn may_clear(&mut self, waiting: &[&ExtraneousIn]) -> impl Fn(&ExtraneousIn) -> bool + use<> {
        let run = self.run.clone();
        let sources = 0..run.setting.job.sources.len();
        let goes: HashSet<usize> = sources
            .filter(|source| run.extraneous.decide(*source, run.setting.job.mirror) == Deletion::Goes)
            .collect();
        let goes_of = move |within: &ExtraneousIn| {
            within.place.source_index().is_some_and(|source| goes.contains(&source))
        };
        let found = run.extraneous.found();
        let all: Vec<_> =
            { found.iter() }.chain(waiting.iter().copied()).filter(|found| goes_of(found)).collect();
        let exceeds = self.deleter().exceeds_limit(&all);
        if exceeds {
            run.extraneous.refuse_all();
        }
        run.extraneous.put_back(found);
        move |within| !exceeds && goes_of(within)
    }

    /// Note what is extraneous in a directory that nothing but conflicts keep from being finished.
    fn note_unfinished(&mut self, node: &Arc<DirNode>) {
        let Some(source) = node.source else { return };
        node.is_noted.store(true, Ordering::Relaxed);
        let noted = caught(|| {
            let dirs = node.dirs()?;
            self.deleter().note_extraneous(node, &dirs, &source)
        });
        if let Err(fault) = noted {
            self.fail_directory(node, fault);
        }
        node.suspend_if_pending();
    }
}

/// The directories that these keep from being finished, each once.
fn unfinished(conflicts: &[Conflict]) -> Vec<Arc<DirNode>> {
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
