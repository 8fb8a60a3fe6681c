//! What only the copy has: found when its directory is done, deleted when everything is.

use std::{
    ffi::CStr,
    io,
    mem::MaybeUninit,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{Node, Place, internal::is_internal, node::Dirs};
use crate::{
    entry::{FileId, Kind, Meta},
    error::{During, Failure, Fault, Op, Sided},
    event::Done,
    options::{Attributes, Compression, Delete},
    platform::{Dir, Handle, ListCursor, Names},
    scheduler::{Unit, Worker, caught},
    transfer::{Watch, cancelled},
};

/// What a run is to delete in the end.
#[derive(Debug, Default)]
pub(crate) struct Extraneous {
    found: Mutex<Vec<ExtraneousIn>>,
    /// Entries that directories of the copy had when they were entered.
    there: AtomicU64,
    /// Whether something speaks against deleting anything.
    is_withheld: AtomicBool,
}

impl Extraneous {
    /// Count an entry that the copy has before anything is put there.
    pub(super) fn count_there(&self) {
        self.there.fetch_add(1, Ordering::Relaxed);
    }
}

/// The entries of one directory of the copy that its source lacks.
#[derive(Debug)]
pub(crate) struct ExtraneousIn {
    place: Arc<Place>,
    /// Which directory that is.
    id: FileId,
    names: Arc<Names>,
    /// What the directory is to have when they are gone.
    source: Meta,
}

impl ExtraneousIn {
    /// Whether the source's directory is not what it was, as far as its path leads there.
    fn is_source_gone(&self) -> bool {
        let path = self.place.source_path(c"");
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
        match Dir::open(path).and_then(|dir| dir.meta()) {
            Ok(now) => now.id != self.source.id || self.source.content_differs(&now),
            Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }
}

fn has_changed() -> Fault {
    let why = "its source changed while it was copied, so nothing in it is deleted; \
               the next run can tell what is gone";
    Fault::refused(Op::Remove, why)
}

/// A directory that is being deleted, and those above it.
struct Level {
    place: Arc<Place>,
    id: FileId,
    names: Arc<Names>,
    next: usize,
    /// Whether everything in it is gone so far.
    is_emptied: bool,
}

impl Level {
    fn new(place: Arc<Place>, id: FileId, names: Arc<Names>) -> Level {
        Level { place, id, names, next: 0, is_emptied: true }
    }
}

impl Worker {
    /// Whether the run only says what it would do, or only deletes: then nothing is copied.
    pub(super) fn is_dry(&self) -> bool {
        self.context.job.dry_run || self.context.job.mirror.delete == Delete::Only
    }

    /// A directory's copy is done: note what it has that the source lacks.
    pub(super) fn note_extraneous(&mut self, node: &Node, dirs: &Dirs, source: &Meta) -> Result<(), Fault> {
        let mirror = self.context.job.mirror;
        if mirror.delete == Delete::Never
            || !node.existed
            || node.has_failed.load(Ordering::Relaxed)
            || node.chosen.is_boundary
            || node.chosen.names.is_some()
        {
            return Ok(());
        }
        // Descriptors of their own, since these may have been listed to their end.
        let (from, to) = (
            dirs.source.open_dir(c".").during(Op::List)?,
            dirs.target.open_dir(c".").during(Op::List).in_copy()?,
        );
        let compression = self.context.job.compression;
        let mut extraneous = Names::default();
        let mut cursor = ListCursor::default();
        loop {
            let mut names = Names::default();
            let goes_on = to.list(&mut self.listing, &mut cursor, &mut names).during(Op::List).in_copy()?;
            for (name, kind) in (0..names.len()).map(|index| names.get(index)) {
                if self.is_cancelled() {
                    return Ok(());
                }
                if is_internal(name) {
                    continue;
                }
                if self.has_source(&from, name)? {
                    continue;
                }
                let kind = match kind {
                    Some(kind) => kind,
                    None => to.stat(name).during(Op::Stat).in_copy()?.kind,
                };
                if compression.is_wanted(name, |name| self.wants(node, name, kind)) {
                    extraneous.push(name, Some(kind));
                }
            }
            if !goes_on {
                break;
            }
        }
        if extraneous.is_empty() {
            return Ok(());
        }
        let is_top = node.parent.as_ref().is_some_and(|parent| parent.place.is_root());
        if is_top && !mirror.force_empty && self.is_empty(&from)? {
            self.context.extraneous.is_withheld.store(true, Ordering::Relaxed);
            let why =
                "the source is empty, so nothing of the copy is deleted (--force-empty does it all the same)";
            return Err(Fault::refused(Op::List, why));
        }
        // A name may be missing since its directory is on its way out.
        if source.content_differs(&from.meta().during(Op::Stat)?) {
            self.fail_to_delete(has_changed().at(node.place.path_in_copy(c"")));
            return Ok(());
        }
        let found = ExtraneousIn {
            place: node.place.clone(),
            id: node.target.id,
            names: Arc::new(extraneous),
            source: *source,
        };
        self.context.extraneous.found.lock().unwrap_or_else(PoisonError::into_inner).push(found);
        Ok(())
    }

    /// Whether what is called `name` in the copy may be the copy of something in the source.
    fn has_source(&self, from: &Dir, name: &CStr) -> Result<bool, Fault> {
        let kind_of = |name: &CStr| match from.stat_itself(name) {
            // With a suffix it may be longer than any name.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename) =>
            {
                Ok(None)
            }
            there => there.during(Op::Stat).map(|there| Some(there.kind)),
        };
        let compression = self.context.job.compression;
        if compression == Compression::None {
            return kind_of(name).map(|kind| kind.is_some());
        }
        // Files alone have other names, and a link may lead to one.
        if kind_of(name)?.is_some_and(|kind| kind != Kind::File) {
            return Ok(true);
        }
        for source in compression.source_names(name) {
            if kind_of(&source)?.is_some_and(|kind| matches!(kind, Kind::File | Kind::Symlink)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_empty(&mut self, dir: &Dir) -> Result<bool, Fault> {
        let mut names = Names::default();
        dir.list(&mut self.listing, &mut ListCursor::default(), &mut names).during(Op::List)?;
        Ok(names.is_empty())
    }

    /// All sources are done with: delete what is extraneous.
    pub(super) fn mirror(&mut self) {
        let extraneous = &self.context.extraneous;
        if self.context.job.mirror.delete == Delete::Never || extraneous.is_withheld.load(Ordering::Relaxed) {
            return;
        }
        let found = std::mem::take(&mut *extraneous.found.lock().unwrap_or_else(PoisonError::into_inner));
        if found.is_empty() || self.is_cancelled() || self.exceeds_limit(&found) {
            return;
        }
        found.into_iter().for_each(|within| self.push(Unit::Delete(within)));
        self.share_if_wanted();
    }

    /// Whether more would be deleted than may be; that is a failure.
    fn exceeds_limit(&mut self, found: &[ExtraneousIn]) -> bool {
        let Some(max) = self.context.job.mirror.max else { return false };
        let mut count = 0;
        for within in found {
            match self.walk_extraneous(within, Does::Count) {
                Ok(entries) => count += entries,
                Err(fault) => {
                    self.fail_to_delete(fault.at(within.place.path_in_copy(c"")));
                    return true;
                }
            }
        }
        // What lies in directories that are extraneous themselves has not been counted there.
        let listed: u64 = found.iter().map(|within| within.names.len() as u64).sum();
        // Others may have put something there since it was counted, or taken it away.
        let there = (self.context.extraneous.there.load(Ordering::Relaxed) + count).saturating_sub(listed);
        let exceeds = max.is_exceeded(count, there);
        if exceeds {
            let why = format!(
                "{count} of {there} entries would be deleted, which is more than --max-delete allows; nothing is"
            );
            let path = self.context.job.target.path().to_owned();
            self.fail_to_delete(Fault::refused(Op::Remove, why).at(path));
        }
        exceeds
    }

    /// Delete the extraneous entries of one directory of the copy, and give it back its times.
    pub(crate) fn delete(&mut self, within: &ExtraneousIn) {
        if let Err(fault) = caught(|| self.try_delete(within)) {
            self.fail_to_delete(fault.at(within.place.path_in_copy(c"")));
        }
    }

    fn try_delete(&mut self, within: &ExtraneousIn) -> Result<(), Fault> {
        // It may have been empty already, and about to be removed, when it was looked at.
        if within.is_source_gone() {
            return Err(has_changed());
        }
        if self.context.job.dry_run {
            return self.walk_extraneous(within, Does::Tell).map(drop);
        }
        let dir = open_again(within)?;
        let mode = dir.meta().during(Op::Stat)?.mode;
        let is_closed = !self.context.is_privileged && mode & 0o200 == 0;
        if is_closed {
            Handle::Open(&dir).set_mode(mode | 0o700).during(Op::SetMode)?;
        }
        let walked = self.walk_extraneous(within, Does::Delete);
        if is_closed {
            Handle::Open(&dir).set_mode(mode).during(Op::SetMode)?;
        }
        if self.keeps(Attributes::TIMESTAMPS) && self.context.job.mirror.delete == Delete::After {
            let Meta { accessed, modified, .. } = within.source;
            Handle::Open(&dir).set_times(accessed, modified).during(Op::SetTimes)?;
        }
        walked.map(drop)
    }

    /// Go through all that is extraneous in a directory, what directories hold before themselves; how many
    /// entries that were, or were deleted.
    ///
    /// One directory is open at a time, whatever the depth; going up is through `..`, and only to the
    /// directory that was left.
    fn walk_extraneous(&mut self, within: &ExtraneousIn, does: Does) -> Result<u64, Fault> {
        let mut dir = open_again(within)?;
        let mut count = 0;
        let top = Level::new(within.place.clone(), within.id, within.names.clone());
        let mut levels = vec![top];
        while let Some(level) = levels.last_mut() {
            if self.is_cancelled() {
                return Err(Fault::new(Op::Remove, cancelled()));
            }
            if level.next < level.names.len() {
                let names = level.names.clone();
                let (name, _) = names.get(level.next);
                level.next += 1;
                match look(&dir, level, name, &mut self.listing) {
                    Ok(Found::Nothing) => {} // somebody else has deleted it
                    Ok(Found::Directory(below, inside)) => {
                        dir = below;
                        levels.push(inside);
                    }
                    Ok(Found::Other(kind)) => {
                        let is_gone = self.remove(&dir, &level.place, name, kind, does);
                        level.is_emptied &= is_gone;
                        count += u64::from(is_gone);
                    }
                    Err(fault) if does == Does::Count => return Err(fault),
                    Err(fault) => {
                        level.is_emptied = false;
                        let path = level.place.path_in_copy(name);
                        self.fail_to_delete(fault.at(path));
                    }
                }
                continue;
            }
            let Some(through) = levels.pop() else { break };
            let Some(above) = levels.last_mut() else { break };
            let up = dir.open_dir(c"..").during(Op::Open)?;
            if up.meta().during(Op::Stat)?.id != above.id {
                return Err(Fault::refused(Op::Remove, "a directory was moved while it was deleted"));
            }
            dir = up;
            let is_gone = through.is_emptied
                && self.remove(&dir, &above.place, through.place.name(), Kind::Directory, does);
            above.is_emptied &= is_gone;
            count += u64::from(is_gone);
        }
        Ok(count)
    }

    /// Remove one entry, or act as if; whether it is gone.
    fn remove(&mut self, dir: &Dir, place: &Arc<Place>, name: &CStr, kind: Kind, does: Does) -> bool {
        let removed = match does {
            Does::Count => return true,
            Does::Tell => Ok(()),
            Does::Delete if kind == Kind::Directory => dir.remove_dir(name),
            Does::Delete => dir.remove(name),
        };
        match removed {
            Ok(()) => self.record(place, name, kind, Done::Deleted, 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                self.fail_to_delete(Fault::new(Op::Remove, error).at(place.path_in_copy(name)));
                return false;
            }
        }
        true
    }
}

impl Worker {
    /// Note a failure that is none of an entry of the source.
    fn fail_to_delete(&mut self, failure: Failure) {
        let failed_before = self.outcomes.totals.failed;
        self.fail_at(failure);
        self.outcomes.totals.undeleted += self.outcomes.totals.failed - failed_before;
        self.outcomes.totals.failed = failed_before;
    }
}

/// What a walk does with what it comes across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Count,
    Tell,
    Delete,
}

/// What lies under a name.
enum Found {
    Nothing,
    Directory(Dir, Level),
    Other(Kind),
}

/// Look at an entry without following it, and list it if it is a directory.
fn look(dir: &Dir, level: &Level, name: &CStr, buffer: &mut [MaybeUninit<u8>]) -> Result<Found, Fault> {
    let meta = match dir.stat(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        found => found.during(Op::Remove)?,
    };
    if meta.kind != Kind::Directory {
        return Ok(Found::Other(meta.kind));
    }
    if meta.id.dev != level.id.dev {
        return Err(Fault::refused(Op::Remove, "another filesystem is mounted there"));
    }
    let below = dir.open_dir(name).during(Op::Remove)?;
    if below.meta().during(Op::Remove)?.id != meta.id {
        return Err(Fault::refused(Op::Remove, "it was replaced meanwhile"));
    }
    let mut names = Names::default();
    let mut cursor = ListCursor::default();
    while below.list(buffer, &mut cursor, &mut names).during(Op::List)? {}
    let place = Arc::new(Place::below(&level.place, name));
    Ok(Found::Directory(below, Level::new(place, meta.id, Arc::new(names))))
}

/// The directory whose entries are to be deleted, if it is still the one that was looked at.
fn open_again(within: &ExtraneousIn) -> Result<Dir, Fault> {
    let dir = within.place.open_target().and_then(|dir| dir.open_dir(c".")).during(Op::Open)?;
    if dir.meta().during(Op::Stat)?.id != within.id {
        return Err(Fault::refused(Op::Remove, "its directory was replaced meanwhile"));
    }
    Ok(dir)
}
