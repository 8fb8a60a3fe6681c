//! Open directories; everything below them is named relative to them.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::Path,
};

use nix::{
    fcntl::{AtFlags, OFlag, open, openat, readlinkat, renameat},
    sys::stat::{Mode, fstat, fstatat, mkdirat},
    unistd::{UnlinkatFlags, fsync, linkat, symlinkat, unlinkat},
};
use rustix::{
    fs::{FileType, RenameFlags, renameat_with},
    io::Errno,
};

use super::{
    metadata::{mode_bits, second, to_meta},
    retried,
};
use crate::{
    entry::{Kind, Meta},
    platform::imp,
};

/// An open directory.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    /// Whether entries that are links are taken for what they lead to.
    follows: bool,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<OwnedFd> for Dir {
    fn from(fd: OwnedFd) -> Dir {
        Dir { fd, follows: false }
    }
}

impl Dir {
    /// Never waiting for a FIFO's writer.
    const READABLE: OFlag =
        OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);
    const LISTABLE: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

    /// Open a directory that the caller names, following symbolic links as every command does.
    ///
    /// One that may be searched but not read serves for naming things below it, and cannot be listed.
    pub(crate) fn open(path: &Path) -> io::Result<Dir> {
        match retried(|| open(path, Self::LISTABLE, Mode::empty())) {
            Err(nix::Error::EACCES) => {
                let flags = imp::O_NAMING | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
                Ok(retried(|| open(path, flags, Mode::empty()))?.into())
            }
            opened => Ok(opened?.into()),
        }
    }

    /// The same directory, in which entries that are links are taken for what they lead to, and in what
    /// is opened through it.
    pub(crate) fn following(self) -> io::Result<Dir> {
        Ok(Dir { follows: true, ..self })
    }

    pub(crate) fn follows(&self) -> bool {
        self.follows
    }

    fn no_follow(&self) -> OFlag {
        if self.follows { OFlag::empty() } else { OFlag::O_NOFOLLOW }
    }

    /// Open the directory `name`, never through a symbolic link unless this directory follows them.
    ///
    /// On both sides the access time is left alone: of a copy's directory that turns out to be as
    /// it should, nothing changes.
    pub(crate) fn open_dir(&self, name: &CStr) -> io::Result<Dir> {
        let fd = self.open_quietly(name, Self::LISTABLE | self.no_follow())?;
        Ok(Dir { fd, follows: self.follows })
    }

    /// Open for reading, leaving the access time alone where the system lets us.
    fn open_quietly(&self, name: &CStr, flags: OFlag) -> io::Result<OwnedFd> {
        if let Some(quiet) = imp::O_QUIET {
            match retried(|| open_at(&self.fd, name, flags | quiet, 0)) {
                Err(rustix::io::Errno::PERM) => {} // only an owner may leave no trace
                opened => return Ok(opened?),
            }
        }
        Ok(retried(|| open_at(&self.fd, name, flags, 0))?)
    }

    /// Open the directory `name` for naming things below it, which needs no read permission.
    pub(crate) fn open_path(&self, name: &CStr) -> io::Result<Dir> {
        let flags = imp::O_NAMING | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(retried(|| openat(&self.fd, name, flags, Mode::empty()))?.into())
    }

    /// A second descriptor of this directory.
    pub(crate) fn duplicate(&self) -> io::Result<Dir> {
        Ok(Dir { fd: second(&self.fd)?, follows: self.follows })
    }

    /// Make the names in it durable, and what it is itself (fsync(2)).
    pub(crate) fn sync(&self) -> io::Result<()> {
        match retried(|| fsync(&self.fd)) {
            // Filesystems without anything to make durable, and directories open for naming alone.
            Err(nix::Error::EINVAL | nix::Error::EBADF) => Ok(()),
            done => Ok(done?),
        }
    }

    pub(crate) fn meta(&self) -> io::Result<Meta> {
        Ok(to_meta(&retried(|| fstat(&self.fd))?))
    }

    /// Metadata of the entry `name` itself, not of what it may link to unless this directory follows links.
    pub(crate) fn stat(&self, name: &CStr) -> io::Result<Meta> {
        if self.follows { self.stat_through(name) } else { self.stat_itself(name) }
    }

    /// Metadata of the entry `name` itself, also where links are followed.
    pub(crate) fn stat_itself(&self, name: &CStr) -> io::Result<Meta> {
        Ok(to_meta(&retried(|| fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW))?))
    }

    /// Metadata of what the entry `name` leads to, through symbolic links.
    pub(crate) fn stat_through(&self, name: &CStr) -> io::Result<Meta> {
        Ok(to_meta(&retried(|| fstatat(&self.fd, name, AtFlags::empty()))?))
    }

    /// Open a source file for reading: no link that is not followed, never waiting for a FIFO's writer.
    pub(crate) fn open_source(&self, name: &CStr) -> io::Result<File> {
        let flags = Self::READABLE | self.no_follow();
        match self.open_quietly(name, flags) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.open_leased(name, flags),
            opened => Ok(opened?.into()),
        }
    }

    /// Create the file `name`, which must not exist, less what the umask takes from `mode`.
    pub(crate) fn create_new(&self, name: &CStr, mode: u32) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(retried(|| open_at(&self.fd, name, flags, mode))?.into())
    }

    /// Open an existing file to read it or to make it durable, waiting while somebody has a lease on it.
    pub(crate) fn open_existing(&self, name: &CStr) -> io::Result<File> {
        match self.open_at_once(name) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.open_leased(name, Self::READABLE | OFlag::O_NOFOLLOW)
            }
            opened => opened,
        }
    }

    /// Open an existing file to correct its metadata, never waiting for anything.
    pub(crate) fn open_at_once(&self, name: &CStr) -> io::Result<File> {
        let flags = Self::READABLE | OFlag::O_NOFOLLOW;
        Ok(retried(|| openat(&self.fd, name, flags, Mode::empty()))?.into())
    }

    /// Open an existing file to go on writing to it.
    pub(crate) fn open_writable(&self, name: &CStr) -> io::Result<File> {
        let flags =
            OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(retried(|| openat(&self.fd, name, flags, Mode::empty()))?.into())
    }

    pub(crate) fn make_dir(&self, name: &CStr, mode: u32) -> io::Result<()> {
        Ok(retried(|| mkdirat(&self.fd, name, mode_bits(mode)))?)
    }

    pub(crate) fn read_link(&self, name: &CStr) -> io::Result<CString> {
        let target = retried(|| readlinkat(&self.fd, name))?;
        CString::new(target.into_vec()).map_err(io::Error::from)
    }

    pub(crate) fn make_symlink(&self, target: &CStr, name: &CStr) -> io::Result<()> {
        Ok(retried(|| symlinkat(target, &self.fd, name))?)
    }

    /// Give the entry `existing` of `other` a second name here.
    pub(crate) fn link_from(&self, other: &Dir, existing: &CStr, name: &CStr) -> io::Result<()> {
        Ok(retried(|| linkat(&other.fd, existing, &self.fd, name, AtFlags::empty()))?)
    }

    /// Rename within this directory, atomically replacing `to`.
    pub(crate) fn rename(&self, from: &CStr, to: &CStr) -> io::Result<()> {
        Ok(retried(|| renameat(&self.fd, from, &self.fd, to))?)
    }

    /// Let `from` and `to` of this directory change places, atomically; `false` where the filesystem cannot.
    ///
    /// As [`rename`](Self::rename) it refuses to replace a directory.
    pub(crate) fn exchange(&self, from: &CStr, to: &CStr) -> io::Result<bool> {
        let exchange = || retried(|| renameat_with(self, from, self, to, RenameFlags::EXCHANGE));
        match exchange() {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => return Ok(false),
            done => done?,
        }
        if self.stat(from).is_ok_and(|there| there.kind == Kind::Directory) {
            exchange()?;
            return Err(Errno::ISDIR.into());
        }
        Ok(true)
    }

    /// Rename within this directory, failing when `to` exists.
    pub(crate) fn rename_new(&self, from: &CStr, to: &CStr) -> io::Result<()> {
        match retried(|| renameat_with(self, from, self, to, RenameFlags::NOREPLACE)) {
            // The filesystem cannot promise it (Linux says EINVAL, macOS ENOTSUP).
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => match self.link_from(self, from, to) {
                Ok(()) => self.remove(from),
                // Nor has it links, as FAT through FUSE has none: nothing is left but to look first.
                Err(error) if imp::is_no_more_links(&error) => match self.stat(to) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => self.rename(from, to),
                    Err(error) => Err(error),
                    Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                },
                Err(error) => Err(error),
            },
            done => Ok(done?),
        }
    }

    pub(crate) fn remove(&self, name: &CStr) -> io::Result<()> {
        Ok(retried(|| unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir))?)
    }

    /// Remove the empty directory `name`.
    pub(crate) fn remove_dir(&self, name: &CStr) -> io::Result<()> {
        Ok(retried(|| unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir))?)
    }

    /// Open the directory at `path` below this one, name by name and never through a symbolic link.
    pub(crate) fn walk(&self, path: &[&CStr]) -> io::Result<Dir> {
        let mut at = self.open_path(c".")?;
        for name in path {
            at = at.open_path(name)?;
        }
        Ok(at)
    }

    /// A path that names the entry `name` for calls which take no directory descriptor.
    pub(crate) fn path_to(&self, name: &CStr) -> io::Result<CString> {
        let mut path = imp::path_of(self)?;
        path.push(b'/');
        path.extend_from_slice(name.to_bytes());
        Ok(CString::new(path).expect("a C string's bytes hold no NUL"))
    }
}

/// The kind of an entry as a listing gives it; not every filesystem does.
pub(crate) fn listed_kind(file_type: FileType) -> Option<Kind> {
    match file_type {
        FileType::RegularFile => Some(Kind::File),
        FileType::Directory => Some(Kind::Directory),
        FileType::Symlink => Some(Kind::Symlink),
        FileType::Fifo => Some(Kind::Fifo),
        FileType::Socket => Some(Kind::Socket),
        FileType::CharacterDevice => Some(Kind::CharDevice),
        FileType::BlockDevice => Some(Kind::BlockDevice),
        FileType::Unknown => None,
    }
}

/// openat(2), without being a point where a thread may be cancelled (pthreads(7)), as it is in the C library: that
/// takes a hundred instructions, and nobody cancels threads here.
fn open_at(dir: &OwnedFd, name: &CStr, flags: OFlag, mode: u32) -> rustix::io::Result<OwnedFd> {
    let flags = rustix::fs::OFlags::from_bits_retain(flags.bits().cast_unsigned());
    rustix::fs::openat(dir, name, flags, rustix::fs::Mode::from_raw_mode(mode as rustix::fs::RawMode))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_change_places_and_a_directory_keeps_its_own() {
        let temp = tempfile::TempDir::new().unwrap();
        let read = |name| fs::read(temp.path().join(name)).unwrap();
        for name in ["one", "other"] {
            fs::write(temp.path().join(name), name).unwrap();
        }
        fs::create_dir(temp.path().join("dir")).unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        if !dir.exchange(c"one", c"other").unwrap() {
            return; // not on this filesystem
        }
        assert_eq!((&*read("one"), &*read("other")), (&b"other"[..], &b"one"[..]));
        let refused = dir.exchange(c"one", c"dir").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::IsADirectory);
        assert!(read("one") == b"other" && temp.path().join("dir").is_dir());
        assert_eq!(dir.exchange(c"one", c"none").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
