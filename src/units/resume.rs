//! Going on inside large files that an earlier run has left unfinished.
//!
//! With `--resume` a large file is written under a temporary's name, and each step of it that is in place is
//! written down with the digest of what the source has there. A later run checks what is in place by those
//! digests, and copies the rest.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::{CStr, CString},
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    mem::{self, MaybeUninit},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Node, Wide,
    entry::Item,
    journal::{self, InPlace, SourceState, Unfinished, is_journal},
    stage::{self, Staged},
};
use crate::{
    entry::{FileId, Kind, Meta},
    error::{During, Fault, Op},
    plan::PARALLEL_MIN,
    platform::{self, Dir, Handle},
    report::Loss,
    scheduler::{Cancel, Worker},
    transfer::{Watch, cancelled},
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
type Home = (u64, u64);

#[derive(Debug)]
struct Journal {
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
pub(super) struct Entered {
    home: Home,
    path: Vec<u8>,
    number: u64,
}

/// What is there of a file that an earlier run has begun.
#[derive(Debug)]
pub(super) struct TakenUp {
    pub(super) entered: Entered,
    pub(super) ranges: Vec<InPlace>,
}

impl Journals {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a temporary may be gone on with.
    pub(super) fn speak_of(&self, temporary: &CStr) -> bool {
        self.is_any.load(Ordering::Relaxed) && self.lock().temporaries.contains(temporary)
    }

    /// Read the journal that an earlier run has left in `dir`, if one has.
    pub(super) fn load(
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
        stage::each_name(&dir.open_dir(c".")?, buffer, cancel, |name| {
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

    /// A range of a file is in place.
    pub(super) fn enter(&self, entered: &Entered, range: InPlace) {
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
    pub(super) fn strike(&self, entered: &Entered) {
        if let Some(journal) = self.lock().journals.get_mut(&entered.home) {
            journal.files.remove(&entered.path);
        }
    }

    /// A file is left as it is, for a later run or another try.
    pub(super) fn leave(&self, entered: &Entered) {
        if let Some(journal) = self.lock().journals.get_mut(&entered.home) {
            journal.left.insert(entered.path.clone());
        }
    }
}

impl Journal {
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

    fn create(dir: &Dir, name: CString) -> io::Result<Journal> {
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
    fn close(mut self) -> io::Result<()> {
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
        stage::sweep(&dir, temporary)?;
        Handle::Open(&dir).set_times(meta.accessed, meta.modified)
    }
}

/// Open a file that only this user can have written, and that no other run works on.
fn open_ours(dir: &Dir, name: &CStr, user: u32) -> io::Result<Option<File>> {
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

/// The directory whose journal an entry of `node` is written down in, and the path from there.
fn home(node: &Arc<Node>, name: &CStr) -> (Arc<Node>, Vec<u8>) {
    let mut at = node.clone();
    while let Some(parent) = at.parent.clone().filter(|parent| !parent.place.is_root()) {
        at = parent;
    }
    let mut path = node.place.names_down();
    if !path.is_empty() {
        path.remove(0); // that of the directory itself
    }
    path.push(node.place.target_name(name));
    let key = journal::key(&path);
    (at, key)
}

impl Worker {
    /// Whether a file is copied so that a later run can go on with it.
    pub(super) fn may_resume(&self, meta: &Meta) -> bool {
        self.context.job.resume && meta.size >= PARALLEL_MIN
    }

    /// Read what an earlier run has left in a directory that may have a journal.
    pub(super) fn load_journal(&mut self, dir: &Dir, id: FileId) -> Result<(), Fault> {
        if !self.context.job.resume {
            return Ok(());
        }
        let context = self.context.clone();
        let loaded = context.journals.load(dir, id, context.user, &mut self.listing, &context.cancel);
        loaded.during(Op::List)
    }

    /// Go on with what an earlier run has left of a file, if that can be.
    pub(super) fn take_up(&self, at: Item<'_>, meta: &Meta) -> Result<Option<(Staged, TakenUp)>, Fault> {
        let Item { node, dirs, name } = at;
        let (home, path) = home(node, name);
        let home = (home.target.id.dev, home.target.id.ino);
        let known =
            |known: &Known| known.journals.get(&home).and_then(|journal| journal.files.get(&path)).cloned();
        let Some(file) = known(&self.context.journals.lock()) else { return Ok(None) };
        let entered = Entered { home, path, number: file.number };
        if file.source == SourceState::of(meta)
            && let Some(there) =
                open_ours(&dirs.target, &file.temporary, self.context.user).during(Op::CreateFile)?
            && platform::meta(&there).during(Op::Stat)?.id.ino == file.copy
        {
            return Ok(Some((
                Staged::taken_up(there, file.temporary),
                TakenUp { entered, ranges: file.ranges },
            )));
        }
        // The source is another by now, or what was there of the copy.
        self.context.journals.strike(&entered);
        stage::sweep(&dirs.target, &file.temporary).during(Op::Remove)?;
        Ok(None)
    }

    /// Write down that a file is begun; where that cannot be done, it cannot be gone on with.
    pub(super) fn enter_in_journal(&self, at: Item<'_>, meta: &Meta, staged: &Staged) -> Option<Entered> {
        let (node, path) = home(at.node, at.name);
        let home = (node.target.id.dev, node.target.id.ino);
        let context = &self.context;
        let mut known = context.journals.lock();
        let entered = (|| {
            let journal = match known.journals.entry(home) {
                std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
                std::collections::btree_map::Entry::Vacant(free) => {
                    let name = context.temporaries.next_with(".journal");
                    context.journals.is_any.store(true, Ordering::Relaxed);
                    free.insert(Journal::create(&node.dirs()?.target, name)?)
                }
            };
            let temporary = staged.temporary_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
            let (source, copy) = (SourceState::of(meta), staged.id()?.ino);
            let number = journal.last + 1;
            let file = Unfinished { number, source, copy, temporary, ranges: Vec::new() };
            journal.file.write_all(journal::file_line(&file, &journal::names(&path)).as_bytes())?;
            journal.last = number;
            journal.files.insert(path.clone(), file);
            Ok::<_, io::Error>(Entered { home, path, number })
        })();
        entered.inspect_err(|error| tracing::debug!(%error, "a file could not be written down")).ok()
    }

    /// A step of a large file is in place: write that down.
    pub(super) fn enter_step(&mut self, file: &Wide, from: u64, to: u64) -> Result<(), Fault> {
        let Some(entered) = file.entered.as_ref().filter(|_| from < to) else { return Ok(()) };
        let source = &file.filling.source;
        if let Some(digest) = self.digest_of_range(file, source, from, to)? {
            self.context.journals.enter(entered, InPlace { from, to, digest });
        }
        Ok(())
    }

    /// Whether what is there of a file is what a journal says of it.
    pub(super) fn is_in_place(
        &mut self,
        file: &Wide,
        from: u64,
        to: u64,
        digest: [u8; 32],
    ) -> Result<bool, Fault> {
        let there = self.digest_of_range(file, &file.filling.staged.file, from, to)?;
        if there == Some(digest) {
            self.outcomes.totals.bytes_resumed += to - from;
            return Ok(true);
        }
        // What lies where the source has holes is not copied over.
        self.clear_holes(file, from, to)?;
        Ok(false)
    }

    /// The digest of what `content` has where the source has data, and where that is; none where it has
    /// anything but zeros elsewhere.
    fn digest_of_range(
        &mut self,
        file: &Wide,
        content: &File,
        from: u64,
        to: u64,
    ) -> Result<Option<[u8; 32]>, Fault> {
        let mut hasher = blake3::Hasher::new();
        for (data, hole) in self.data_in(file, from, to)? {
            hasher.update(&data.to_le_bytes()).update(&hole.to_le_bytes());
            let mut at = data;
            while at < hole {
                if self.is_cancelled() {
                    return Err(Fault::new(Op::Copy, cancelled()));
                }
                let read = self.with_scratch(|_, scratch| {
                    let most = scratch.buffer.len().min(usize::try_from(hole - at).unwrap_or(usize::MAX));
                    let read =
                        platform::read_at(content, &mut scratch.buffer[..most], at).during(Op::Read)?;
                    hasher.update(&scratch.buffer[..read]);
                    Ok::<_, Fault>(read as u64)
                })?;
                if read == 0 {
                    return Ok(None); // it ends before
                }
                at += read;
            }
        }
        for (hole, data) in self.holes_in(file, from, to)? {
            if !self.is_zero(content, hole, data)? {
                return Ok(None);
            }
        }
        Ok(Some(*hasher.finalize().as_bytes()))
    }

    /// Where the source has data, as far as its holes are kept.
    fn data_in(&self, file: &Wide, from: u64, to: u64) -> Result<Vec<(u64, u64)>, Fault> {
        if !file.filling.seeks_data {
            return Ok(vec![(from, to)]);
        }
        let mut data = Vec::new();
        let mut at = from;
        while let Some((begin, end)) = platform::next_data(&file.filling.source, at, to).during(Op::Read)? {
            data.push((begin, end));
            at = end;
        }
        Ok(data)
    }

    fn holes_in(&self, file: &Wide, from: u64, to: u64) -> Result<Vec<(u64, u64)>, Fault> {
        let data = self.data_in(file, from, to)?;
        let begins = std::iter::once(from).chain(data.iter().map(|(_, hole)| *hole));
        let ends = data.iter().map(|(data, _)| *data).chain([to]);
        Ok(begins.zip(ends).filter(|(begin, end)| begin < end).collect())
    }

    fn clear_holes(&mut self, file: &Wide, from: u64, to: u64) -> Result<(), Fault> {
        let copy = &file.filling.staged.file;
        for (hole, data) in self.holes_in(file, from, to)? {
            if self.is_zero(copy, hole, data)? {
                continue;
            }
            self.with_scratch(|_, scratch| {
                scratch.buffer.fill(0);
                let mut at = hole;
                while at < data {
                    let most = scratch.buffer.len().min(usize::try_from(data - at).unwrap_or(usize::MAX));
                    platform::write_all_at(copy, &scratch.buffer[..most], at).during(Op::Write)?;
                    at += most as u64;
                }
                Ok::<_, Fault>(())
            })?;
        }
        Ok(())
    }

    /// All that a directory holds is done, whose journal this is.
    pub(super) fn close_journal(&mut self, node: &Node) {
        let journals = &self.context.journals;
        if journals.is_any.load(Ordering::Relaxed) {
            let journal = journals.lock().journals.remove(&(node.target.id.dev, node.target.id.ino));
            journal.into_iter().for_each(|journal| self.close(journal, node.place.target_path(c"")));
        }
    }

    /// The run is over: close the journals that are left.
    pub(super) fn close_journals(&mut self, is_cancelled: bool) {
        let left = mem::take(&mut *self.context.journals.lock());
        for journal in left.journals.into_values() {
            if !is_cancelled || journal.files.is_empty() {
                self.close(journal, self.context.job.target.path().to_owned());
            }
        }
    }

    fn close(&mut self, journal: Journal, path: std::path::PathBuf) {
        // What failed may have kept this run from files that a later one will go on with.
        let is_certain = self.context.failed.load(Ordering::Relaxed) == 0;
        if (is_certain || journal.files.is_empty())
            && let Err(error) = journal.close()
        {
            self.warn_of(Loss::Leftover, || path, &error.to_string());
        }
    }
}
