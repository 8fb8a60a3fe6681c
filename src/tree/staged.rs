//! A file of the copy that is not finished yet.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    mem::MaybeUninit,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    cancel::Cancel,
    entry::{FileId, Kind, Stamp},
    platform::{self, Dir, Handle, ListCursor, Names},
    tree::{is_journal, is_temporary},
};

/// How a file of the copy comes into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publish {
    /// Under its own name from the start; its time marks it as finished.
    Now,
    /// Under its own name only when it is finished; nothing may be there.
    WhenComplete,
    /// In place of another, when it is finished.
    Replacing,
}

/// What became of that which a name stood for.
#[derive(Debug)]
#[must_use]
pub(crate) enum Kept {
    /// It need not be kept.
    Nothing,
    /// It has this name.
    Under(CString),
    /// It could not be kept, for this reason.
    Not(io::Error),
}

/// A file of the copy that is not finished yet.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) file: File,
    name: Stage,
}

#[derive(Debug)]
enum Stage {
    Final,
    Temporary(CString),
    /// None until it is finished, and then one for the moment before it takes another's.
    Unnamed(OnceLock<CString>),
}

/// Gives out names for temporaries, all different in one engine and across processes.
#[derive(Debug)]
pub(crate) struct TemporaryNames(AtomicU64);

impl TemporaryNames {
    pub(crate) fn new() -> TemporaryNames {
        let nanos = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
        let seed = (nanos as u64).rotate_left(20) ^ u64::from(std::process::id()).rotate_left(44);
        TemporaryNames(AtomicU64::new(seed))
    }

    pub(crate) fn next(&self) -> CString {
        self.next_with(".tmp")
    }

    /// A name that ends in `suffix`.
    pub(crate) fn next_with(&self, suffix: &str) -> CString {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        CString::new(format!(".orbit-{number:016x}{suffix}")).expect("digits hold no NUL")
    }
}

impl Staged {
    /// Begin the file `name` in `dir`, under it.
    pub(crate) fn create(dir: &Dir, name: &CStr, mode: u32) -> io::Result<Staged> {
        Ok(Staged { file: dir.create_new(name, mode)?, name: Stage::Final })
    }

    /// Begin a file in `dir` that has no name where that is possible, and one of its own elsewhere.
    pub(crate) fn unnamed(dir: &Dir, mode: u32, names: &TemporaryNames) -> io::Result<Staged> {
        match dir.create_unnamed(mode) {
            Ok(file) => Ok(Staged { file, name: Stage::Unnamed(OnceLock::new()) }),
            Err(error) if platform::lacks_unnamed_files(&error) => Self::temporary(dir, mode, names),
            Err(error) => Err(error),
        }
    }

    /// Whether a file of `dir` that has no name can be given one, which may be forbidden where making it is not.
    pub(crate) fn can_be_named_late(dir: &Dir, names: &TemporaryNames) -> io::Result<bool> {
        let empty = match dir.create_unnamed(0o600) {
            Ok(file) => Staged { file, name: Stage::Unnamed(OnceLock::new()) },
            Err(_) => return Ok(false), // why, the file that is then made under a name says better
        };
        if empty.name_for_a_moment(dir, names).is_err() {
            return Ok(false);
        }
        empty.discard(dir, c"")?;
        Ok(true)
    }

    /// Begin the file `name` in `dir` with what `make` creates under the name it is given.
    ///
    /// Until it is finished it is its owner's alone, and lacks its source's time.
    pub(crate) fn adopt(
        dir: &Dir,
        name: &CStr,
        publish: Publish,
        names: &TemporaryNames,
        make: impl FnOnce(&CStr) -> io::Result<()>,
    ) -> io::Result<Staged> {
        let stage = match publish {
            Publish::Now => Stage::Final,
            Publish::WhenComplete | Publish::Replacing => Stage::Temporary(names.next()),
        };
        let made = match &stage {
            Stage::Temporary(temporary) => temporary,
            Stage::Final | Stage::Unnamed(_) => name,
        };
        make(made)?;
        let opened = dir.pin(made).and_then(|pinned| {
            Handle::Pinned(&pinned).set_mode(0o600)?;
            Handle::Pinned(&pinned).set_times(Stamp::now(), Stamp::now())?;
            // For writing: nothing else may be made durable on Windows (FlushFileBuffers).
            dir.open_writable(made)
        });
        match opened {
            Ok(file) => {
                if let Stage::Temporary(_) = stage {
                    let _ = file.try_lock(); // as in `temporary`
                }
                Ok(Staged { file, name: stage })
            }
            Err(error) => {
                dir.remove(made)?;
                Err(error)
            }
        }
    }

    /// What an earlier run has left, locked.
    pub(crate) fn taken_up(file: File, temporary: CString) -> Staged {
        Staged { file, name: Stage::Temporary(temporary) }
    }

    /// Its name as long as it is not finished, if it has one.
    pub(crate) fn temporary_name(&self) -> Option<&CStr> {
        match &self.name {
            Stage::Temporary(name) => Some(name),
            Stage::Final => None,
            Stage::Unnamed(late) => late.get().map(CString::as_c_str),
        }
    }

    /// Begin a file under a name of its own.
    pub(crate) fn temporary(dir: &Dir, mode: u32, names: &TemporaryNames) -> io::Result<Staged> {
        loop {
            let name = names.next();
            let file = match dir.create_new(&name, mode) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                created => created?,
            };
            // Where locks are not to be had, another run may take this for a leftover of a run
            // that died, and the rename at the end fails; the old file stays.
            let _ = file.try_lock();
            if platform::meta(&file)?.nlink > 0 {
                return Ok(Staged { file, name: Stage::Temporary(name) });
            }
            // Another run swept it away before it was locked.
        }
    }

    /// Give a finished file that has no name one of its own, by which it can take the place of another.
    pub(crate) fn name_for_a_moment(&self, dir: &Dir, names: &TemporaryNames) -> io::Result<()> {
        let Stage::Unnamed(late) = &self.name else { return Ok(()) };
        if late.get().is_some() {
            return Ok(());
        }
        let _ = self.file.try_lock(); // as in `temporary`
        loop {
            let name = names.next();
            match dir.link_unnamed(&self.file, &name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                linked => {
                    linked?;
                    late.set(name).expect("a file is finished once");
                    return Ok(());
                }
            }
        }
    }

    /// Give the finished file its name, in place of another by what `over` does with its present name.
    pub(crate) fn commit(
        &self,
        dir: &Dir,
        name: &CStr,
        publish: Publish,
        over: impl FnOnce(&CStr) -> io::Result<Kept>,
    ) -> io::Result<Kept> {
        match &self.name {
            Stage::Final => Ok(()),
            Stage::Unnamed(late) => match late.get() {
                Some(temporary) if publish == Publish::WhenComplete => dir.rename_new(temporary, name),
                Some(temporary) => return over(temporary),
                None => dir.link_unnamed(&self.file, name),
            },
            Stage::Temporary(temporary) if publish == Publish::WhenComplete => {
                dir.rename_new(temporary, name)
            }
            Stage::Temporary(temporary) => return over(temporary),
        }
        .map(|()| Kept::Nothing)
    }

    /// Remove what is there of a file that will not be finished.
    pub(crate) fn discard(&self, dir: &Dir, name: &CStr) -> io::Result<()> {
        let name = match &self.name {
            Stage::Unnamed(late) => match late.get() {
                Some(temporary) => temporary,
                None => return Ok(()),
            },
            Stage::Temporary(temporary) => temporary,
            Stage::Final => name,
        };
        let ours = platform::meta(&self.file)?.id;
        match dir.stat(name) {
            Ok(there) if there.id == ours => dir.remove(name),
            Ok(_) => Ok(()), // somebody has put another in its place
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn id(&self) -> io::Result<FileId> {
        Ok(platform::meta(&self.file)?.id)
    }
}

/// All names of a directory.
pub(crate) fn names_in(dir: &Dir, listing: &mut [MaybeUninit<u8>]) -> io::Result<Names> {
    let dir = dir.open_dir(c".")?;
    let (mut names, mut cursor) = (Names::default(), ListCursor::default());
    while dir.list(listing, &mut cursor, &mut names)? {}
    Ok(names)
}

/// Do something about every name in `dir`, as far as that goes without an error.
pub(crate) fn each_name(
    dir: &Dir,
    buffer: &mut [MaybeUninit<u8>],
    cancel: &Cancel,
    mut about: impl FnMut(&CStr) -> io::Result<()>,
) -> io::Result<()> {
    let mut cursor = ListCursor::default();
    loop {
        let mut names = Names::default();
        if cancel.is_cancelled() || !dir.list(buffer, &mut cursor, &mut names)? {
            return Ok(());
        }
        (0..names.len()).try_for_each(|index| about(names.get(index).0))?;
    }
}

/// Whether a name is one of what a run that died may have left, other than its mark.
pub(crate) fn is_left(name: &CStr) -> bool {
    is_temporary(name) || is_journal(name)
}

/// Remove a temporary that a run which died has left, or its journal.
pub(crate) fn sweep(dir: &Dir, name: &CStr) -> io::Result<()> {
    if is_left(name) { remove_abandoned(dir, name) } else { Ok(()) }
}

/// How many bytes a temporary takes that a run which died has left, if that can be told.
pub(crate) fn abandoned_bytes(dir: &Dir, name: &CStr) -> Option<u64> {
    let is_ours = is_temporary(name) && is_abandoned(dir, name).is_ok_and(|abandoned| abandoned);
    is_ours.then(|| dir.stat(name).ok())?.map(|there| there.allocated)
}

fn remove_abandoned(dir: &Dir, name: &CStr) -> io::Result<()> {
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let is_gone = || dir.stat(name).is_err_and(|error| is_missing(&error));
    match is_abandoned(dir, name).and_then(|abandoned| if abandoned { dir.remove(name) } else { Ok(()) }) {
        // Finished or removed meanwhile, or still open where that keeps others out.
        Err(error) if is_missing(&error) && is_gone() || platform::is_in_use(&error) => Ok(()),
        removed => removed,
    }
}

/// Whether nobody works on a temporary any more.
fn is_abandoned(dir: &Dir, name: &CStr) -> io::Result<bool> {
    let there = dir.stat(name)?;
    match there.kind {
        Kind::File => {
            let file = match dir.open_at_once(name) {
                // Ours have no leases.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                opened => opened?,
            };
            let is_same = platform::meta(&file)?.id == there.id;
            Ok(is_same && file.try_lock().is_ok() && dir.stat(name)?.id == there.id)
        }
        Kind::Directory => Ok(false), // never one of ours
        // Links and special files must not be opened and hold no lock; they last for a few calls.
        _ => Ok(true),
    }
}
