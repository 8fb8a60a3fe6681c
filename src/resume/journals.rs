//! The journals of a run: those that earlier ones have left, and its own.

use std::{
    collections::{BTreeMap, HashMap, HashSet, btree_map::Entry},
    ffi::{CStr, CString},
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    mem::{self, MaybeUninit},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    cancel::Cancel,
    entry::{FileId, Kind, Meta},
    platform::{self, Dir, Handle},
    resume::journal::{self, InPlace, Unfinished},
    tree::{is_journal, staged},
};

/// The journals of a run.
#[derive(Debug, Default)]
pub(crate) struct Journals {
    is_any: AtomicBool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By the directory they are in, device and inode.
    journals: BTreeMap<Home, Journal>,
    /// Temporaries that they speak of.
    temporaries: HashSet<CString>,
}

/// The directory that a journal is in.
pub(crate) type Home = (u64, u64);

/// A journal that this run holds.
#[derive(Debug)]
pub(crate) struct Journal {
    name: CString,
    dir: Dir,
    /// Locked for as long as it is open.
    file: File,
    /// What is unfinished, by the path from here.
    files: HashMap<Vec<u8>, Unfinished>,
    /// Those of them that this run has begun, or gone on with, and left.
    left: HashSet<Vec<u8>>,
    last: u64,
}

/// Where a file in the making is written down.
#[derive(Clone, Debug)]
pub(crate) struct JournalEntry {
    pub(crate) home: Home,
    pub(crate) path: Vec<u8>,
    pub(crate) number: u64,
}

impl Journals {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a temporary may be gone on with.
    pub(crate) fn mentions(&self, temporary: &CStr) -> bool {
        self.is_any.load(Ordering::Relaxed) && self.lock().temporaries.contains(temporary)
    }

    /// Read the journal that an earlier run has left in `dir`, if one has.
    pub(crate) fn load(
        &self,
        dir: &Dir,
        id: FileId,
        user: u32,
        buffer: &mut [MaybeUninit<u8>],
        cancel: &Cancel,
    ) -> io::Result<()> {
        let home = (id.dev, id.ino);
        if self.lock().journals.contains_key(&home) {
            return Ok(());
        }
        let mut found = None;
        // By a descriptor of its own, since that is listed to its end.
        staged::each_name(&dir.open_dir(c".")?, buffer, cancel, |name| {
            if found.is_none() && is_journal(name) {
                found = Journal::open(dir, name, user)?;
            }
            Ok(())
        })?;
        if let Some(journal) = found {
            let mut known = self.lock();
            known.temporaries.extend(journal.files.values().map(|file| file.temporary.clone()));
            known.journals.insert(home, journal);
            self.is_any.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What is said of the file at `path`.
    pub(crate) fn unfinished(&self, home: Home, path: &[u8]) -> Option<Unfinished> {
        let known = self.lock();
        known.journals.get(&home).and_then(|journal| journal.files.get(path)).cloned()
    }

    /// Write down that a file is begun, in the journal of `home`, which is made in `dir` where there is none.
    pub(crate) fn begin(
        &self,
        home: Home,
        path: Vec<u8>,
        mut file: Unfinished,
        make: impl FnOnce() -> io::Result<(Dir, CString)>,
    ) -> io::Result<JournalEntry> {
        let mut known = self.lock();
        let journal = match known.journals.entry(home) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) => {
                self.is_any.store(true, Ordering::Relaxed);
                let (dir, name) = make()?;
                free.insert(Journal::create(dir, name)?)
            }
        };
        file.number = journal.last + 1;
        journal.file.write_all(journal::file_line(&file, &journal::names(&path)).as_bytes())?;
        journal.last = file.number;
        let entered = JournalEntry { home, path: path.clone(), number: file.number };
        journal.files.insert(path, file);
        Ok(entered)
    }

    /// The journal of a directory that is done.
    pub(crate) fn take(&self, home: Home) -> Option<Journal> {
        if self.is_any.load(Ordering::Relaxed) { self.lock().journals.remove(&home) } else { None }
    }

    /// All that are left.
    pub(crate) fn take_all(&self) -> impl Iterator<Item = Journal> {
        mem::take(&mut *self.lock()).journals.into_values()
    }

    /// A range of a file is in place.
    pub(crate) fn add(&self, entered: &JournalEntry, range: InPlace) {
        let mut known = self.lock();
        let Some(journal) = known.journals.get_mut(&entered.home) else { return };
        let Some(file) = journal.files.get_mut(&entered.path) else { return };
        file.ranges.push(range);
        // What is not written down is copied again, no more.
        if let Err(error) = journal.file.write_all(journal::range_line(entered.number, &range).as_bytes()) {
            tracing::debug!(%error, "a range could not be written down");
        }
    }

    /// A file is finished, or nothing of it is left.
    pub(crate) fn remove(&self, entered: &JournalEntry) {
        if let Some(journal) = self.lock().journals.get_mut(&entered.home) {
            journal.files.remove(&entered.path);
        }
    }

    /// A file is left as it is, for a later run or another try.
    pub(crate) fn keep_for_later(&self, entered: &JournalEntry) {
        if let Some(journal) = self.lock().journals.get_mut(&entered.home) {
            journal.left.insert(entered.path.clone());
        }
    }
}

impl Journal {
    /// Whether it speaks of nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Open the journal `name`, if it can be trusted and no run is at it.
    fn open(dir: &Dir, name: &CStr, user: u32) -> io::Result<Option<Journal>> {
        let Some(mut file) = open_ours(dir, name, user)? else { return Ok(None) };
        let (files, last) = journal::read(&file)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Some(Journal {
            name: name.to_owned(),
            dir: dir.duplicate()?,
            file,
            files,
            left: HashSet::new(),
            last,
        }))
    }

    fn create(dir: Dir, name: CString) -> io::Result<Journal> {
        let mut file = dir.create_new(&name, 0o600)?;
        let _ = file.try_lock();
        file.write_all(journal::head().as_bytes())?;
        Ok(Journal {
            name,
            dir: dir.duplicate()?,
            file,
            files: HashMap::new(),
            left: HashSet::new(),
            last: 0,
        })
    }

    /// The run is done here: remove what nobody goes on with, and the journal where nothing is left.
    pub(crate) fn close(mut self) -> io::Result<()> {
        let mut files = mem::take(&mut self.files);
        files.retain(|path, file| {
            let is_left = self.left.contains(path);
            if !is_left {
                // Where its directory is gone, so is it.
                let _ = self.sweep(path, &file.temporary);
            }
            is_left
        });
        if !files.is_empty() {
            return Ok(());
        }
        let Journal { name, dir, file, .. } = self;
        drop(file);
        match dir.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Journal {
    /// Remove what is left of a file whose source is gone, from a directory that has its times already.
    fn sweep(&self, path: &[u8], temporary: &CStr) -> io::Result<()> {
        let names = journal::names(path);
        let above = names.split_last().map_or(&[][..], |(_, above)| above);
        let dir = self.dir.open_beneath(above)?.open_dir(c".")?;
        let meta = dir.meta()?;
        dir.sync()?; // it may be what another has replaced, whose name is not durable yet
        staged::sweep(&dir, temporary)?;
        Handle::Open(&dir).set_times(meta.accessed, meta.modified)
    }
}

/// Open a file that only this user can have written, and that no other run works on.
pub(crate) fn open_ours(dir: &Dir, name: &CStr, user: u32) -> io::Result<Option<File>> {
    const OTHERS_WRITE: u32 = 0o022;
    let is_ours = |meta: &Meta| {
        meta.kind == Kind::File && meta.uid == user && meta.nlink == 1 && meta.mode & OTHERS_WRITE == 0
    };
    match dir.stat(name) {
        Ok(there) if is_ours(&there) => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => return Ok(None),
    }
    let file = match dir.open_writable(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound || platform::is_in_use(&error) => {
            return Ok(None);
        }
        opened => opened?,
    };
    Ok((is_ours(&platform::meta(&file)?) && file.try_lock().is_ok()).then_some(file))
}
