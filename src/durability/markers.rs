//! Marks of runs in the copy: a later run sees that one was cut off, and with it what not to trust.
//!
//! A mark is an empty file in the top directory of the copy, made before the first file is copied. All it
//! says is in its name, so that a filesystem that keeps the order of what is created needs no flush: where
//! a copy outlived the power cut, so did the mark. A lock says that its run is alive; behind a server there is
//! none.

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString},
    fs::{File, TryLockError},
    io,
    mem::{self, MaybeUninit},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::UNIX_EPOCH,
};

use super::{Durability, order};
use crate::{
    entry::{FileId, Kind, Stamp},
    learned::Pair,
    options::Fsync,
    outcomes::Teller,
    platform::{self, Dir, ListCursor, Names, Order},
    report::WarningKind,
    storage::Storage,
    tree::{DirNode, DirPath, Dirs, MarkerName, Of},
};

/// Marks of runs that this one has made or found.
#[derive(Debug)]
pub(crate) struct RunMarkers {
    /// Whether top directories wait for a mark.
    is_due: AtomicBool,
    is_any: AtomicBool,
    /// Copies that changed from then on may be what a run that died has left unfinished, in seconds since 1970.
    unfinished_since: AtomicI64,
    /// Copies that changed from then on are compared by content, in seconds since 1970.
    doubtful_since: AtomicI64,
    /// Whether no mark could be made: then no unfinished file may have its name.
    is_unmarked: AtomicBool,
    /// Whether this run leaves something under its name that is not finished.
    is_owed: AtomicBool,
    known: Mutex<Known>,
    /// When this run began, in seconds since 1970.
    began: i64,
    /// Which entries this run copies of a source.
    choice: OnceLock<u32>,
}

#[derive(Debug, Default)]
struct Known {
    due: Vec<Weak<DirNode>>,
    /// By the directory they are in.
    marks: BTreeMap<(u64, u64), Vec<Mark>>,
}

/// A mark that this run holds.
#[derive(Debug)]
struct Mark {
    name: CString,
    /// Held open for its lock, where that is no hindrance in the end.
    lock: Option<File>,
    /// Where this run has made it. One that was found is of a run that was cut off; what that one copied
    /// is made durable before it goes.
    place: Option<Arc<DirPath>>,
    /// What its run copies, or copied, if that is known.
    of: Option<Of>,
}

/// How many that are found are kept, to be removed; more than a few are no accident.
const FOUND_MAX: usize = 16;
/// What a coarse clock may be behind, in seconds.
const SLACK: i64 = 3;

/// This boot and the mount of a directory, hashed.
fn mount_epoch(dir: &Dir) -> Option<u64> {
    let hash = blake3::hash(&platform::sitting(dir)?);
    Some(u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("8 bytes")))
}

/// Whether the run of a mark has died, as far as its lock tells, and the lock.
fn is_dead(dir: &Dir, name: &CStr) -> io::Result<Option<File>> {
    let lock = dir.open_existing(name)?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Ok(None), // its run is alive
        // Where there are no locks, nobody knows.
        _ => Ok(Some(lock)),
    }
}

impl RunMarkers {
    pub(crate) fn new() -> RunMarkers {
        let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        RunMarkers {
            is_due: AtomicBool::new(false),
            is_any: AtomicBool::new(false),
            unfinished_since: AtomicI64::new(i64::MAX),
            doubtful_since: AtomicI64::new(i64::MAX),
            is_unmarked: AtomicBool::new(false),
            is_owed: AtomicBool::new(false),
            known: Mutex::default(),
            began: now.cast_signed(),
            choice: OnceLock::new(),
        }
    }

    /// Whether a copy that changed then may have lost what it was given.
    pub(crate) fn distrusts(&self, changed: Stamp) -> bool {
        changed.secs >= self.doubtful_since.load(Ordering::Relaxed)
    }

    /// Whether a copy that changed then may be one that a run which died has left unfinished.
    pub(crate) fn may_be_unfinished(&self, changed: Stamp) -> bool {
        changed.secs >= self.unfinished_since.load(Ordering::Relaxed)
    }

    /// Whether files must not have their names before they are finished, since no mark says that they are not.
    pub(crate) fn is_unmarked(&self) -> bool {
        self.is_unmarked.load(Ordering::Relaxed)
    }

    /// This run leaves something under its name that is not finished: its marks stay.
    pub(crate) fn owe(&self) {
        self.is_owed.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Note what a mark says that was found in a directory of the copy.
    ///
    /// # Errors
    /// Those of opening it, but for its being gone: who cannot open it cannot tell whether its run is alive,
    /// and believes what it says.
    pub(crate) fn take_over(&self, dir: &Dir, id: FileId, name: &CStr, pair: &Pair) -> io::Result<()> {
        let Some(said) = MarkerName::in_name(name) else { return Ok(()) };
        let lock = match self.note_if_dead(dir, name, said, pair) {
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            heard => heard?,
        };
        let mut known = self.lock();
        if known.marks.values().map(Vec::len).sum::<usize>() < FOUND_MAX {
            // What is open while it is removed changes its directory later on FUSE.
            let lock = lock.filter(|_| pair.storages[1] != Storage::Remote);
            let mark = Mark { name: name.to_owned(), lock, place: None, of: said.of };
            known.marks.entry((id.dev, id.ino)).or_default().push(mark);
            self.is_any.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Note what the mark `name` says, if it is one, and leave it alone.
    pub(crate) fn note(&self, dir: &Dir, name: &CStr, pair: &Pair) {
        if let Some(said) = MarkerName::in_name(name) {
            let _ = self.note_if_dead(dir, name, said, pair);
        }
    }

    fn note_if_dead(
        &self,
        dir: &Dir,
        name: &CStr,
        said: MarkerName,
        pair: &Pair,
    ) -> io::Result<Option<File>> {
        let there = dir.stat(name)?;
        if there.kind != Kind::File {
            return Ok(None);
        }
        let lock = match is_dead(dir, name) {
            Ok(None) => return Ok(None),
            lock => lock,
        };
        let mut since = said.began;
        if pair.storages[1] == Storage::Remote {
            since = since.min(there.modified.secs); // by the clock that says when files changed
        }
        let since = since - SLACK;
        self.unfinished_since.fetch_min(since, Ordering::Relaxed);
        // Of this boot and mount, whatever was written is still to be had.
        if mount_epoch(dir) != Some(said.sitting) {
            let knows = platform::keeps_change_times(pair.names[1].as_deref());
            self.doubtful_since.fetch_min(if knows { since } else { i64::MIN }, Ordering::Relaxed);
        }
        lock
    }
}

impl Durability {
    /// A top directory of the copy is open: it gets a mark before the first file is copied.
    pub(crate) fn expect_mark(&self, node: &Arc<DirNode>) {
        const MANY: usize = 64;
        if self.setting.job.leaves_marks() && !self.setting.is_dry() {
            let mut known = self.markers.lock();
            if known.due.len() >= MANY {
                known.due.retain(|node| node.strong_count() > 0);
            }
            known.due.push(Arc::downgrade(node));
            self.markers.is_due.store(true, Ordering::Relaxed);
        }
    }

    /// A file is about to be copied: see that a mark says so.
    pub(crate) fn mark(&self) {
        let marks = &self.markers;
        if !marks.is_due.load(Ordering::Relaxed) {
            return;
        }
        let mut known = marks.lock();
        for node in mem::take(&mut known.due).iter().filter_map(Weak::upgrade) {
            let made = node.dirs().map_err(|fault| fault.cause).and_then(|dirs| self.make_mark(&node, &dirs));
            match made {
                Ok(Some(mark)) => {
                    let FileId { dev, ino } = node.target.id;
                    known.marks.entry((dev, ino)).or_default().push(mark);
                    marks.is_any.store(true, Ordering::Relaxed);
                }
                Ok(None) => {}
                // Where no mark can be made, hardly anything else can.
                Err(error) => {
                    tracing::debug!(%error, "no mark of this run in the copy");
                    marks.is_unmarked.store(true, Ordering::Relaxed);
                }
            }
        }
        // Only now, for those who copy meanwhile.
        marks.is_due.store(false, Ordering::Release);
    }

    fn make_mark(&self, node: &DirNode, dirs: &Dirs) -> io::Result<Option<Mark>> {
        let sitting = mount_epoch(&dirs.target);
        let of = Some(self.what_is_copied(node));
        let name = MarkerName { sitting: sitting.unwrap_or(0), began: self.markers.began, of }.name();
        let is_remote = node.pair.storages[1] == Storage::Remote;
        let made = match is_remote {
            // What is removed while it is open, or was just now, changes its directory later.
            true => dirs.target.create_closed(&name, 0o600).map(|()| None),
            false => dirs.target.create_new(&name, 0o600).map(Some),
        };
        let lock = match made {
            // That of another run which began in the same second: it says the same.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            made => made?,
        };
        if let Some(lock) = &lock {
            let _ = lock.try_lock();
            let is_in_order = sitting.is_none() || order(&node.pair, node.target.id.dev) == Order::Kept;
            if !is_in_order && self.setting.job.fsync.outlives_cuts() {
                let durable = lock.sync_all().and_then(|()| dirs.target.sync());
                if let Err(error) = durable {
                    // What may not be there after a cut is as good as none.
                    let _ = dirs.target.remove(&name);
                    return Err(error);
                }
            }
        }
        Ok(Some(Mark { name, lock, place: Some(node.place.clone()), of }))
    }

    fn what_is_copied(&self, node: &DirNode) -> Of {
        let mut of = Of::source(&node.place.source_path(c""));
        of.choice = *self.markers.choice.get_or_init(|| Of::choice(&self.setting.job));
        of
    }

    /// Whether this run looks at all that the run of a mark may have left in the copy of `node`.
    fn looks_at_all(&self, node: &DirNode, of: Option<Of>) -> bool {
        let is_everything = self.setting.job.selection.is_everything();
        let Some(of) = of else { return is_everything };
        let ours = self.what_is_copied(node);
        of.source == ours.source && (is_everything || of.choice == ours.choice)
    }

    /// All that a directory of the copy holds is done: take its marks away.
    pub(crate) fn remove_marks(&self, teller: &mut Teller, node: &DirNode, dir: &Dir) {
        let marks = &self.markers;
        if !marks.is_any.load(Ordering::Relaxed) {
            return;
        }
        let FileId { dev, ino } = node.target.id;
        let here = marks.lock().marks.remove(&(dev, ino)).unwrap_or_default();
        let is_certain = !teller.has_failed();
        let is_owed = marks.is_owed.load(Ordering::Relaxed);
        for mark in here {
            // What one that was found says still holds for what this run did not, or could not, look at.
            let goes = match mark.place {
                Some(_) => !is_owed,
                None => is_certain && !is_owed && self.looks_at_all(node, mark.of),
            };
            if goes {
                self.remove_mark(teller, mark, dir, &node.place);
            }
        }
    }

    fn remove_mark(&self, teller: &mut Teller, mark: Mark, dir: &Dir, place: &DirPath) {
        let waits = mark.place.is_none() || self.setting.job.fsync == Fsync::End;
        let durable = match if waits { platform::sync_filesystem(dir) } else { Ok(()) } {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            synced => synced,
        };
        let Mark { name, lock, .. } = mark;
        drop(lock);
        match durable.and_then(|()| dir.remove(&name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                teller.warn_of(WarningKind::Leftover, || place.path_in_copy(&name), &error.to_string());
            }
            _ => {}
        }
    }

    /// Where names alone say that files are whole: note the marks of runs that died in the directories above
    /// a copy, which are of runs that copied more.
    pub(crate) fn note_above(&self, listing: &mut [MaybeUninit<u8>], target: &Dir, pair: &Pair) {
        if self.setting.job.existing.trusts_mtime() {
            return;
        }
        let Ok(meta) = target.meta() else { return };
        let (mut at, mut id) = (None, meta.id);
        // What cannot be opened or listed here was not made by us.
        while let Ok(above) = at.as_ref().unwrap_or(target).open_dir(c"..")
            && let Ok(meta) = above.meta()
            && meta.id.dev == id.dev
            && meta.id != id
        {
            let marks = &self.markers;
            let mut cursor = ListCursor::default();
            loop {
                let mut names = Names::default();
                match above.list(listing, &mut cursor, &mut names) {
                    Ok(true) => {}
                    Ok(false) | Err(_) => break,
                }
                (0..names.len()).for_each(|index| marks.note(&above, names.get(index).0, pair));
            }
            id = meta.id;
            at = Some(above);
        }
    }

    /// Take away the marks of directories that a cancelled run did not finish.
    pub(crate) fn remove_all_marks(&self, teller: &mut Teller) {
        let left = mem::take(&mut *self.markers.lock());
        if self.markers.is_owed.load(Ordering::Relaxed) {
            return;
        }
        for mark in left.marks.into_values().flatten() {
            if let Some(place) = mark.place.clone()
                && let Ok(dir) = place.open_target()
            {
                self.remove_mark(teller, mark, &dir, &place);
            }
        }
    }
}
