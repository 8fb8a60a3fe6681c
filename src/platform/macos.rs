//! macOS.
//!
//! What can be shared with Linux lies in `unix`, where tests run; this file is only type-checked.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io::{self, Seek},
    mem::{self, MaybeUninit},
    os::fd::AsFd,
};

use nix::{
    fcntl::{AtFlags, OFlag},
    libc,
    mount::MntFlags,
    sys::{
        stat::{FchmodatFlags, SFlag, UtimensatFlags, fchmodat, fstat, mknod, utimensat},
        statfs::fstatfs,
    },
    unistd::{Gid, Uid, fchownat, geteuid, mkfifo},
};
use rustix::fs::{CloneFlags, XattrFlags, fclonefileat, getpath, lremovexattr, lsetxattr};

pub(crate) use super::unix::*;
use super::{Names, Privileges, unix::to_timespec};
use crate::{
    entry::{Kind, Meta, Stamp},
    method::Method,
    storage::Storage,
};

/// Opens without touching the access time, which macOS does not have.
pub(crate) const O_QUIET: Option<OFlag> = None;
/// Opens a directory for naming what is below it.
pub(crate) const O_NAMING: OFlag = OFlag::O_RDONLY;
/// Calls that move bytes inside the system, in the order in which they are tried.
pub(crate) const KERNEL_METHODS: &[Method] = &[Method::System];
/// The method by which a file can be created as a whole copy of another.
pub(crate) const WHOLE_COPY: Option<Method> = Some(Method::Reflink);
/// Linux's name for an access ACL, which no file has here: macOS keeps its ACLs elsewhere.
pub(crate) const ACCESS_ACL: &CStr = c"system.posix_acl_access";
/// Linux's name for a default ACL, which no file has here.
pub(crate) const DEFAULT_ACL: &CStr = c"system.posix_acl_default";
/// Other names of ACLs, which no file has here.
pub(crate) const ACL_ALIASES: &[&CStr] = &[];

/// Whether a directory has been listed: it is listed in one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListCursor {
    is_at_end: bool,
}

impl Dir {
    /// Continue a directory that was reopened at `cursor`.
    pub(crate) fn seek_list(&self, _: ListCursor) -> io::Result<()> {
        Ok(())
    }

    /// Create the empty file `name`, which must not exist.
    pub(crate) fn create_closed(&self, name: &CStr, mode: u32) -> io::Result<()> {
        self.create_new(name, mode).map(drop)
    }

    /// Append all entries to `names`; `false` when that was done before.
    pub(crate) fn list(
        &self,
        _: &mut [MaybeUninit<u8>],
        cursor: &mut ListCursor,
        names: &mut Names,
    ) -> io::Result<bool> {
        if mem::replace(&mut cursor.is_at_end, true) {
            return Ok(false);
        }
        for entry in rustix::fs::Dir::read_from(self)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                names.push(name, listed_kind(entry.file_type()));
            }
        }
        Ok(true)
    }

    /// Create the file `name`, which must not exist, as a clone of `source` (clonefile(2)).
    ///
    /// The clone has the source's mode, without setuid and setgid, and its extended attributes and
    /// times; not its owner, nor its ACL.
    pub(crate) fn create_copy(
        &self,
        name: &CStr,
        source: &File,
        _: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<()> {
        // With these flags a clone could not be finished, nor removed (chflags(2)).
        const FIXED: u32 = libc::UF_IMMUTABLE | libc::UF_APPEND | libc::SF_IMMUTABLE | libc::SF_APPEND;
        if fstat(source)?.st_flags & FIXED != 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "its flags forbid changing a clone"));
        }
        Ok(fclonefileat(source, self, name, CloneFlags::NOOWNERCOPY)?)
    }

    /// Create a file without a name, which macOS does not have.
    pub(crate) fn create_unnamed(&self, _: u32) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Give a file from [`Dir::create_unnamed`] a name.
    pub(crate) fn link_unnamed(&self, _: &File, _: &CStr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Open the directory at `path` below this one without following any symbolic link.
    pub(crate) fn open_beneath(&self, path: &[&CStr]) -> io::Result<Dir> {
        self.walk(path)
    }
}

/// The path of an open directory, as it is called now (fcntl(2), `F_GETPATH`).
pub(crate) fn path_of(dir: &Dir) -> io::Result<Vec<u8>> {
    Ok(getpath(dir)?.into_bytes())
}

/// An entry of a directory, which macOS holds by its name alone: there is no descriptor of what is not
/// opened.
#[derive(Debug)]
pub(crate) struct Pinned {
    dir: Dir,
    name: CString,
}

impl Dir {
    /// Keep the entry `name` itself.
    pub(crate) fn pin(&self, name: &CStr) -> io::Result<Pinned> {
        Ok(Pinned { dir: self.duplicate()?, name: name.to_owned() })
    }

    /// Linux's leases are not here.
    pub(crate) fn open_leased(&self, _: &CStr, _: OFlag) -> io::Result<File> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Pinned {
    pub(crate) fn meta(&self) -> io::Result<Meta> {
        self.dir.stat_itself(&self.name)
    }

    pub(crate) fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        let name = self.name.as_c_str();
        Ok(retried(|| fchownat(&self.dir, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW))?)
    }

    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        let name = self.name.as_c_str();
        Ok(retried(|| fchmodat(&self.dir, name, mode_bits(mode), FchmodatFlags::NoFollowSymlink))?)
    }

    pub(crate) fn set_times(&self, accessed: Stamp, modified: Stamp) -> io::Result<()> {
        let (accessed, modified) = (to_timespec(accessed), to_timespec(modified));
        let (name, flags) = (self.name.as_c_str(), UtimensatFlags::NoFollowSymlink);
        Ok(retried(|| utimensat(&self.dir, name, &accessed, &modified, flags))?)
    }

    pub(crate) fn list_xattrs(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        Handle::Entry(&self.dir, &self.name).list_xattrs(buffer)
    }

    pub(crate) fn xattr(&self, attribute: &CStr, buffer: &mut Vec<u8>) -> io::Result<usize> {
        Handle::Entry(&self.dir, &self.name).xattr(attribute, buffer)
    }

    pub(crate) fn set_xattr(&self, attribute: &CStr, value: &[u8]) -> io::Result<()> {
        let path = self.dir.path_to(&self.name)?;
        Ok(retried(|| lsetxattr(&path, attribute, value, XattrFlags::empty()))?)
    }

    pub(crate) fn remove_xattr(&self, attribute: &CStr) -> io::Result<()> {
        let path = self.dir.path_to(&self.name)?;
        Ok(retried(|| lremovexattr(&path, attribute))?)
    }
}

/// What this process may do beyond what modes and owners allow.
pub(crate) fn privileges() -> Privileges {
    Privileges::all_if(geteuid().is_root())
}

/// Create a FIFO or a device node like `source`; a socket cannot be created by name.
pub(crate) fn make_special(dir: &Dir, name: &CStr, source: &Meta, mode: u32) -> io::Result<()> {
    let path = dir.path_to(name)?;
    let kind = match source.kind {
        Kind::Fifo => return Ok(mkfifo(path.as_c_str(), mode_bits(mode))?),
        Kind::CharDevice => SFlag::S_IFCHR,
        Kind::BlockDevice => SFlag::S_IFBLK,
        Kind::Socket => return Err(io::ErrorKind::Unsupported.into()),
        Kind::File | Kind::Directory | Kind::Symlink => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a special file"));
        }
    };
    #[allow(clippy::cast_possible_truncation, reason = "it came from a dev_t")]
    Ok(mknod(path.as_c_str(), kind, mode_bits(mode), source.rdev as libc::dev_t)?)
}

/// Where the filesystem of `file` keeps its data, as far as macOS says.
pub(crate) fn storage(file: &impl AsFd, _: u64) -> Storage {
    match fstatfs(file) {
        Ok(stat) if !stat.flags().contains(MntFlags::MNT_LOCAL) => Storage::Remote,
        _ => Storage::Unknown,
    }
}

mod system {
    #![allow(unsafe_code)]
    use std::{fs::File, io, os::fd::AsRawFd, ptr};

    use nix::libc;

    /// Copy what is left of `source` from its position to that of `destination` (copyfile(3)).
    pub(super) fn copy_data(source: &File, destination: &File) -> io::Result<()> {
        let (from, to) = (source.as_raw_fd(), destination.as_raw_fd());
        // SAFETY: both descriptors are open for as long as the borrows last, and the call allows a
        // null state.
        match unsafe { libc::fcopyfile(from, to, ptr::null_mut(), libc::COPYFILE_DATA) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Copy a whole file of `length` bytes (`fcopyfile`); it knows no ranges, nor how to stop.
///
/// So it serves only where one call of the size that can be waited for is all of the file.
pub(crate) fn copy_whole(source: &File, destination: &File, offset: u64, length: u64) -> io::Result<u64> {
    if offset != 0 || meta(source)?.size != length {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a part of a file"));
    }
    let (mut from, mut to) = (source, destination);
    from.rewind()?;
    to.rewind()?;
    system::copy_data(source, destination)?;
    Ok(meta(destination)?.size.min(length))
}

/// Share all blocks with an open file, which macOS does only with one it creates.
pub(crate) fn clone_file(_: &File, _: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Share the blocks of a range, which macOS does not.
pub(crate) fn clone_range(_: &File, _: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Linux's `copy_file_range`.
pub(crate) fn copy_range(_: &File, _: &File, _: u64, _: u64) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Linux's `sendfile`: that of macOS only sends to sockets.
pub(crate) fn send_range(_: &File, _: &File, _: u64, _: u64) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A pipe for [`splice_range`].
#[derive(Debug)]
pub(crate) struct Pipe;

impl Pipe {
    pub(crate) fn new() -> io::Result<Pipe> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Linux's `splice`.
pub(crate) fn splice_range(_: &File, _: &File, _: &Pipe, _: u64, _: u64) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Reserve the blocks of a range that is about to be written: left to the writes.
pub(crate) fn reserve(_: &File, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
