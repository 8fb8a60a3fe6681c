//! Marks of runs in the copy: a later run sees that one was cut off, and with it what not to trust.
//!
//! A mark is an empty file in the top directory of the copy, made before the first file is copied. All it
//! says is in its name, so that a filesystem that keeps the order of what is created needs no flush: where
//! a copy outlived the power cut, so did the mark. A lock says that its run is alive.

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString},
    fs::File,
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::UNIX_EPOCH,
};

use super::{Node, Place, node::Dirs};
use crate::{
    entry::{FileId, Kind, Stamp},
    error::{Fault, Op},
    options::Fsync,
    plan::Storage,
    platform::{self, Dir},
    report::Loss,
    scheduler::Worker,
};

/// Marks of runs that this one has made or found.
#[derive(Debug)]
pub(crate) struct Marks {
    /// Whether top directories wait for a mark.
    is_due: AtomicBool,
    is_any: AtomicBool,
    /// Copies that changed from then on, in seconds since 1970, are compared by content.
    doubtful_since: AtomicI64,
    known: Mutex<Known>,
    /// When this run began, in seconds since 1970.
    began: i64,
}

#[derive(Debug, Default)]
struct Known {
    due: Vec<Weak<Node>>,
    /// By the directory they are in.
    marks: BTreeMap<(u64, u64), Vec<Mark>>,
}

/// A mark that this run holds.
#[derive(Debug)]
struct Mark {
    name: CString,
    /// Held open for its lock.
    lock: File,
    /// Where this run has made it. One that was found is of a run that was cut off; what that one copied
    /// is made durable before it goes.
    place: Option<Arc<Place>>,
}

const PREFIX: &[u8] = b".orbit-";
const SUFFIX: &[u8] = b".run";
const SITTING: usize = 16;
const TIME: usize = 10;
/// How many that are found are kept, to be removed; more than a few are no accident.
const FOUND_MAX: usize = 16;
/// What a coarse clock may be behind, in seconds.
const SLACK: i64 = 3;

/// What the name of a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    /// Which boot and mount its run was in, hashed.
    sitting: u64,
    /// When its run began, in seconds since 1970.
    began: i64,
}

impl Said {
    fn in_name(name: &CStr) -> Option<Said> {
        let said = name.to_bytes().strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        let (sitting, rest) = said.split_at_checked(SITTING)?;
        let time = rest.strip_prefix(b"-").filter(|time| time.len() == TIME)?;
        let number = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| is_hex(&b)))?;
            u64::from_str_radix(digits, 16).ok()
        };
        Some(Said { sitting: number(sitting)?, began: i64::try_from(number(time)?).ok()? })
    }

    fn name(self) -> CString {
        let Said { sitting, began } = self;
        let name = format!(".orbit-{sitting:016x}-{:010x}.run", began.clamp(0, (1 << 40) - 1));
        CString::new(name).expect("digits hold no NUL")
    }
}

/// Whether `name` is one that only a mark has.
pub(super) fn is_mark(name: &CStr) -> bool {
    Said::in_name(name).is_some()
}

/// This boot and the mount of a directory, hashed.
fn sitting(dir: &Dir) -> Option<u64> {
    let hash = blake3::hash(&platform::sitting(dir)?);
    Some(u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("8 bytes")))
}

impl Marks {
    pub(crate) fn new() -> Marks {
        let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        Marks {
            is_due: AtomicBool::new(false),
            is_any: AtomicBool::new(false),
            doubtful_since: AtomicI64::new(i64::MAX),
            known: Mutex::default(),
            began: now.cast_signed(),
        }
    }

    /// Whether a copy that changed then may have lost what it was given.
    pub(super) fn doubts(&self, changed: Stamp) -> bool {
        changed.secs >= self.doubtful_since.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Note what a mark says that was found in a directory of the copy.
    ///
    /// # Errors
    /// Those of opening it, but for its being gone.
    pub(super) fn meet(&self, dir: &Dir, id: FileId, name: &CStr) -> io::Result<()> {
        let Some(said) = Said::in_name(name) else { return Ok(()) };
        let opened = match dir.stat(name) {
            Ok(there) if there.kind == Kind::File => dir.open_existing(name),
            Ok(_) => return Ok(()),
            Err(error) => Err(error),
        };
        let lock = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        if lock.try_lock().is_err() {
            return Ok(()); // its run is alive
        }
        self.hear(dir, said);
        let mut known = self.lock();
        if known.marks.values().map(Vec::len).sum::<usize>() < FOUND_MAX {
            let mark = Mark { name: name.to_owned(), lock, place: None };
            known.marks.entry((id.dev, id.ino)).or_default().push(mark);
            self.is_any.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Note what the mark `name` says, if it is one, for a run that changes nothing.
    pub(super) fn read(&self, dir: &Dir, name: &CStr) {
        Said::in_name(name).into_iter().for_each(|said| self.hear(dir, said));
    }

    fn hear(&self, dir: &Dir, said: Said) {
        // Of this boot and mount, whatever was written is still to be had.
        if sitting(dir) != Some(said.sitting) {
            self.doubtful_since.fetch_min(said.began - SLACK, Ordering::Relaxed);
        }
    }
}

impl Worker {
    /// A top directory of the copy is open: it gets a mark before the first file is copied.
    pub(super) fn expect_mark(&self, node: &Arc<Node>) {
        const MANY: usize = 64;
        // What is removed while it is open, or was just now, changes its directory later on NFS and FUSE.
        let may = node.pair.storage != Storage::Remote;
        if may && self.context.job.fsync.leaves_marks() && !self.is_dry() {
            let mut known = self.context.marks.lock();
            if known.due.len() >= MANY {
                known.due.retain(|node| node.strong_count() > 0);
            }
            known.due.push(Arc::downgrade(node));
            self.context.marks.is_due.store(true, Ordering::Relaxed);
        }
    }

    /// A file is about to be copied: see that a mark says so.
    pub(super) fn mark(&self) {
        let marks = &self.context.marks;
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
                Err(error) => tracing::debug!(%error, "no mark of this run in the copy"),
            }
        }
        // Only now, for those who copy meanwhile.
        marks.is_due.store(false, Ordering::Release);
    }

    fn make_mark(&self, node: &Node, dirs: &Dirs) -> io::Result<Option<Mark>> {
        let Some(sitting) = sitting(&dirs.target) else { return Ok(None) };
        let name = Said { sitting, began: self.context.marks.began }.name();
        let lock = match dirs.target.create_new(&name, 0o600) {
            // That of another run which began in the same second: it says the same.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            created => created?,
        };
        let _ = lock.try_lock();
        if !platform::keeps_order(node.pair.names[1].as_deref()) {
            lock.sync_all()?;
            dirs.target.sync()?;
        }
        Ok(Some(Mark { name, lock, place: Some(node.place.clone()) }))
    }

    /// All that a directory of the copy holds is done: take its marks away.
    pub(super) fn remove_marks(&mut self, node: &Node, dir: &Dir) {
        let marks = &self.context.marks;
        if !marks.is_any.load(Ordering::Relaxed) {
            return;
        }
        let FileId { dev, ino } = node.target.id;
        let here = marks.lock().marks.remove(&(dev, ino)).unwrap_or_default();
        let is_certain = self.context.failed.load(Ordering::Relaxed) == 0;
        for mark in here {
            // What one that was found says still holds for what this run failed to look at.
            if mark.place.is_some() || is_certain {
                self.remove_mark(mark, dir, &node.place);
            }
        }
    }

    fn remove_mark(&mut self, mark: Mark, dir: &Dir, place: &Place) {
        let waits = mark.place.is_none() || self.context.job.fsync == Fsync::End;
        let durable = match if waits { platform::sync_filesystem(dir) } else { Ok(()) } {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            synced => synced,
        };
        let Mark { name, lock, .. } = mark;
        drop(lock);
        match durable.and_then(|()| dir.remove(&name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.warn_of(Loss::Leftover, || place.path_in_copy(&name), &error.to_string());
            }
            _ => {}
        }
    }

    /// The last thing that a run does.
    pub(crate) fn conclude_run(&mut self, is_cancelled: bool) {
        self.close_journals(is_cancelled);
        // Of directories that a cancelled run did not finish.
        let left = mem::take(&mut *self.context.marks.lock());
        for mark in left.marks.into_values().flatten() {
            if let Some(place) = mark.place.clone()
                && let Ok(dir) = place.open_target()
            {
                self.remove_mark(mark, &dir, &place);
            }
        }
        if is_cancelled || self.context.job.fsync != Fsync::End {
            return;
        }
        let filesystems = mem::take(&mut *self.context.filesystems());
        for dir in filesystems.into_values() {
            if let Err(error) = platform::sync_filesystem(&dir) {
                let path = self.context.job.target.path().to_owned();
                let failed_before = self.outcomes.totals.failed;
                self.fail_at(Fault::new(Op::Sync, error).at(path));
                self.outcomes.totals.failed = failed_before; // it is no entry
                self.outcomes.totals.unsynced += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_in_its_name_when_its_run_began_and_where() {
        for (sitting, began) in [(0, 0), (u64::MAX, (1 << 40) - 1), (0x1234_5678_9abc_def0, 1_800_000_000)] {
            let said = Said { sitting, began };
            assert_eq!(Said::in_name(&said.name()), Some(said));
        }
        for other in [
            c".orbit-.run",
            c".orbit-0123456789abcdef.tmp",
            c".orbit-0123456789abcdef-0123456789.tmp",
            c".orbit-0123456789abcdef-012345678G.run",
            c".orbit-+123456789abcdef-0123456789.run",
            c".orbit-0123456789abcdef-01234567891.run",
        ] {
            assert!(!is_mark(other), "{other:?}");
        }
    }
}
