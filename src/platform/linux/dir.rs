//! Directories as only Linux opens and lists them.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd},
    path::Path,
    sync::OnceLock,
};

use nix::{
    fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2},
    libc,
    sys::stat::{Mode, SFlag, mknodat},
    unistd::{Whence, linkat, lseek64},
};
use rustix::{fs::RawDir, io::Errno};

use super::{super::Names, Dir, listed_kind, mode_bits, retried};
use crate::entry::{Kind, Meta};

/// How far a listing has come, for a later [`Dir::list`] on the same or a reopened directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListCursor(u64);

impl Dir {
    /// Continue a directory that was reopened at `cursor`.
    pub(crate) fn seek_list(&self, cursor: ListCursor) -> io::Result<()> {
        #[allow(clippy::cast_possible_wrap, reason = "the kernel's cookie is an off_t")]
        retried(|| lseek64(self, cursor.0 as i64, Whence::SeekSet))?;
        Ok(())
    }

    /// Append the next entries to `names`, up to what `buffer` holds; `false` at the end.
    pub(crate) fn list(
        &self,
        buffer: &mut [MaybeUninit<u8>],
        cursor: &mut ListCursor,
        names: &mut Names,
    ) -> io::Result<bool> {
        let mut listing = RawDir::new(self, buffer);
        let mut any = false;
        while let Some(entry) = listing.next() {
            let entry = match entry {
                Err(Errno::INTR) => continue,
                entry => entry?,
            };
            any = true;
            cursor.0 = entry.next_entry_cookie();
            let name = entry.file_name();
            if name != c"." && name != c".." {
                names.push(name, listed_kind(entry.file_type()));
            }
            if listing.is_buffer_empty() {
                break;
            }
        }
        Ok(any)
    }

    /// Create a file without a name in this directory's filesystem; it vanishes unless linked.
    pub(crate) fn create_unnamed(&self, mode: u32) -> io::Result<File> {
        if !has_proc() {
            return Err(nix::Error::EOPNOTSUPP.into()); // it could not be given its name
        }
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        Ok(retried(|| openat(self, c".", flags, Mode::from_bits_truncate(mode)))?.into())
    }

    /// Create the empty file `name`, which must not exist, without opening it where that can be done.
    pub(crate) fn create_closed(&self, name: &CStr, mode: u32) -> io::Result<()> {
        match retried(|| mknodat(self, name, SFlag::S_IFREG, mode_bits(mode), 0)) {
            // NFS makes no regular files so, nor does a FUSE filesystem that lacks the call.
            Err(nix::Error::EINVAL | nix::Error::ENOSYS | nix::Error::EOPNOTSUPP | nix::Error::EPERM) => {
                self.create_new(name, mode).map(drop)
            }
            made => Ok(made?),
        }
    }

    /// Create the file `name` as a whole copy of `source`, which Linux has no call for.
    pub(crate) fn create_copy(&self, _: &CStr, _: &File, _: &mut dyn FnMut(u64) -> bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Give a file from [`Dir::create_unnamed`] the name `name`, which must not exist.
    pub(crate) fn link_unnamed(&self, file: &File, name: &CStr) -> io::Result<()> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(retried(|| linkat(AT_FDCWD, path.as_str(), self, name, AtFlags::AT_SYMLINK_FOLLOW))?)
    }

    /// Open the directory at `path` below this one without following any symbolic link.
    pub(crate) fn open_beneath(&self, path: &[&CStr]) -> io::Result<Dir> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let whole: usize = path.iter().map(|name| name.count_bytes() + 1).sum();
        if !path.is_empty() && whole < 4096 {
            let joined: Vec<&[u8]> = path.iter().map(|name| name.to_bytes()).collect();
            let joined = CString::new(joined.join(&b'/')).expect("C strings hold no NUL");
            let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
            let how = OpenHow::new().flags(flags).resolve(resolve);
            match retried(|| openat2(self, joined.as_c_str(), how)) {
                // Before Linux 5.6, or forbidden by a seccomp filter: walk instead.
                Err(nix::Error::ENOSYS | nix::Error::EPERM | nix::Error::E2BIG | nix::Error::EAGAIN) => {}
                opened => return Ok(opened?.into()),
            }
        }
        self.walk(path)
    }
}

/// Whether open files can be named through /proc, which a chroot may lack.
pub(super) fn has_proc() -> bool {
    static HAS_PROC: OnceLock<bool> = OnceLock::new();
    *HAS_PROC.get_or_init(|| Path::new("/proc/self/fd").exists())
}

/// A path that leads to an open directory, wherever that is moved.
pub(crate) fn path_of(dir: &Dir) -> io::Result<Vec<u8>> {
    if !has_proc() {
        let why = "it can be named through /proc alone, which is not mounted";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    Ok(format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd()).into_bytes())
}

/// Create a FIFO, a socket or a device node like `source`.
pub(crate) fn make_special(dir: &Dir, name: &CStr, source: &Meta, mode: u32) -> io::Result<()> {
    let kind = match source.kind {
        Kind::Fifo => SFlag::S_IFIFO,
        Kind::Socket => SFlag::S_IFSOCK,
        Kind::CharDevice => SFlag::S_IFCHR,
        Kind::BlockDevice => SFlag::S_IFBLK,
        Kind::File | Kind::Directory | Kind::Symlink => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a special file"));
        }
    };
    Ok(retried(|| mknodat(dir, name, kind, mode_bits(mode), source.rdev as libc::dev_t))?)
}

/// Give the file `existing` of `from` another name, `name` in `to`, if it still is what it is to be; the name cannot
/// come to be another's in between.
pub(crate) fn link_if(
    (from, existing): (&Dir, &CStr),
    (to, name): (&Dir, &CStr),
    is_it: impl FnOnce(&Meta) -> bool,
) -> io::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = retried(|| openat(from, existing, flags, Mode::empty()))?;
    if !is_it(&super::meta(&file)?) {
        return Err(io::ErrorKind::NotFound.into());
    }
    // For root; anybody else names it through /proc (linkat(2)).
    match retried(|| linkat(&file, c"", to, name, AtFlags::AT_EMPTY_PATH)) {
        Err(nix::Error::ENOENT | nix::Error::EPERM | nix::Error::EINVAL) => {}
        linked => return Ok(linked?),
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(retried(|| linkat(AT_FDCWD, path.as_str(), to, name, AtFlags::AT_SYMLINK_FOLLOW))?)
}
