//! Directories as only Linux opens and lists them.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    mem::MaybeUninit,
    os::fd::AsRawFd,
};

use nix::{
    fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag, openat, openat2, renameat2},
    sys::stat::Mode,
    unistd::{Whence, linkat, lseek64},
};
use rustix::fs::{FileType, RawDir};

use super::{super::Names, Dir};
use crate::entry::Kind;

/// How far a listing has come, for a later [`Dir::list`] on the same or a reopened directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListCursor(u64);

impl Dir {
    /// Continue a directory that was reopened at `cursor`.
    pub(crate) fn seek_list(&self, cursor: ListCursor) -> io::Result<()> {
        #[allow(clippy::cast_possible_wrap, reason = "the kernel's cookie is an off_t")]
        lseek64(self, cursor.0 as i64, Whence::SeekSet)?;
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
            let entry = entry?;
            any = true;
            cursor.0 = entry.next_entry_cookie();
            let name = entry.file_name();
            if name != c"." && name != c".." {
                names.push(name, kind_of(entry.file_type()));
            }
            if listing.is_buffer_empty() {
                break;
            }
        }
        Ok(any)
    }

    /// Create a file without a name in this directory's filesystem; it vanishes unless linked.
    pub(crate) fn create_unnamed(&self, mode: u32) -> io::Result<File> {
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        Ok(openat(self, c".", flags, Mode::from_bits_truncate(mode))?.into())
    }

    /// Give a file from [`Dir::create_unnamed`] the name `name`, which must not exist.
    pub(crate) fn link_unnamed(&self, file: &File, name: &CStr) -> io::Result<()> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(linkat(AT_FDCWD, path.as_str(), self, name, AtFlags::AT_SYMLINK_FOLLOW)?)
    }

    /// Rename within this directory, failing when `to` exists.
    pub(crate) fn rename_new(&self, from: &CStr, to: &CStr) -> io::Result<()> {
        match renameat2(self, from, self, to, RenameFlags::RENAME_NOREPLACE) {
            Err(nix::Error::EINVAL | nix::Error::ENOSYS) => {
                self.link_from(self, from, to)?;
                self.remove(from)
            }
            done => Ok(done?),
        }
    }

    /// Open the directory at `path` below this one without following any symbolic link.
    pub(crate) fn open_beneath(&self, path: &[&CStr]) -> io::Result<Dir> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let whole: usize = path.iter().map(|name| name.count_bytes() + 1).sum();
        if !path.is_empty() && whole < 4096 {
            let joined: Vec<&[u8]> = path.iter().map(|name| name.to_bytes()).collect();
            let joined = CString::new(joined.join(&b'/')).expect("C strings hold no NUL");
            let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
            match openat2(self, joined.as_c_str(), OpenHow::new().flags(flags).resolve(resolve)) {
                // Before Linux 5.6, or forbidden by a seccomp filter: walk instead.
                Err(nix::Error::ENOSYS | nix::Error::EPERM | nix::Error::E2BIG | nix::Error::EAGAIN) => {}
                opened => return Ok(opened?.into()),
            }
        }
        let mut at = self.open_path(c".")?;
        for name in path {
            at = at.open_path(name)?;
        }
        Ok(at)
    }
}

fn kind_of(file_type: FileType) -> Option<Kind> {
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
