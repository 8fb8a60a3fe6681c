//! Entries that are not opened, and yet held: whatever is put in their places is not touched.

use std::{
    ffi::{CStr, CString},
    fs::{self, File, Permissions},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    thread,
    time::Duration,
};

use nix::{
    fcntl::{OFlag, open, openat},
    sys::stat::Mode,
    unistd::{Gid, Uid, fchownat},
};
use rustix::{
    fs::{
        AtFlags, CWD, Timespec, Timestamps, XattrFlags, getxattr, listxattr, removexattr, setxattr, utimensat,
    },
    io::Errno,
};

use super::{Dir, O_QUIET, dir::has_proc, meta, retried, to_os};
use crate::{
    entry::{Kind, Meta, Stamp},
    platform::unix::fill,
};

/// An entry of a directory, by a descriptor that neither reads nor waits (open(2), `O_PATH`).
///
/// What is done to it is done to that inode, wherever its name has gone.
#[derive(Debug)]
pub(crate) struct Pinned(OwnedFd);

impl AsFd for Pinned {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Dir {
    /// Hold the entry `name` itself, which need not be readable and is not waited for.
    pub(crate) fn pin(&self, name: &CStr) -> io::Result<Pinned> {
        self.pin_with(name, OFlag::O_NOFOLLOW)
    }

    fn pin_with(&self, name: &CStr, flags: OFlag) -> io::Result<Pinned> {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC | flags;
        Ok(Pinned(retried(|| openat(self, name, flags, Mode::empty()))?))
    }

    /// Open a regular file which somebody holds a lease on (fcntl(2)), as Samba and NFS servers do: the
    /// kernel asks him to let go, and makes him after 45 s (proc(5), `lease-break-time`).
    ///
    /// What waits must be no FIFO, so the inode that was looked at is opened, and not its name again.
    pub(crate) fn open_leased(&self, name: &CStr, flags: OFlag) -> io::Result<File> {
        let pinned = self.pin_with(name, flags & OFlag::O_NOFOLLOW)?;
        if pinned.meta()?.kind != Kind::File {
            return Err(nix::Error::EAGAIN.into());
        }
        match pinned.open(flags - OFlag::O_NONBLOCK - OFlag::O_NOFOLLOW) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.open_in_time(name, flags),
            opened => opened,
        }
    }

    /// Open a file again and again until nothing keeps it from being opened, or too long has passed.
    fn open_in_time(&self, name: &CStr, flags: OFlag) -> io::Result<File> {
        const LOOK: Duration = Duration::from_millis(100);
        const LOOKS: u32 = 600;
        for _ in 0..LOOKS {
            match retried(|| openat(self, name, flags, Mode::empty())) {
                Err(nix::Error::EAGAIN) => thread::sleep(LOOK),
                opened => return Ok(opened?.into()),
            }
        }
        Err(nix::Error::EAGAIN.into())
    }
}

impl Pinned {
    pub(crate) fn meta(&self) -> io::Result<Meta> {
        meta(&self.0)
    }

    /// Open a regular file that is held, with `flags` of open(2), waiting for what keeps it from being opened.
    fn open(&self, flags: OFlag) -> io::Result<File> {
        let path = self.path()?;
        if let Some(quiet) = O_QUIET {
            match retried(|| open(path.as_c_str(), flags | quiet, Mode::empty())) {
                Err(nix::Error::EPERM) => {} // only an owner may leave no trace
                opened => return Ok(opened?.into()),
            }
        }
        Ok(retried(|| open(path.as_c_str(), flags, Mode::empty()))?.into())
    }

    pub(crate) fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        let flags = nix::fcntl::AtFlags::AT_EMPTY_PATH;
        Ok(retried(|| fchownat(&self.0, c"", uid, gid, flags))?)
    }

    /// Set the mode of what is no symbolic link, which Linux lets nobody do (symlink(7)).
    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        match self.path() {
            Ok(path) => fs::set_permissions(to_os(&path), Permissions::from_mode(mode)),
            Err(_) => system::set_mode(&self.0, mode),
        }
    }

    pub(crate) fn set_times(&self, accessed: Stamp, modified: Stamp) -> io::Result<()> {
        let to_timespec = |stamp: Stamp| Timespec { tv_sec: stamp.secs, tv_nsec: stamp.nanos.into() };
        let times =
            Timestamps { last_access: to_timespec(accessed), last_modification: to_timespec(modified) };
        match retried(|| utimensat(&self.0, c"", &times, AtFlags::EMPTY_PATH)) {
            // Before Linux 5.8.
            Err(Errno::INVAL) => {
                let path = self.path()?;
                Ok(retried(|| utimensat(CWD, path.as_c_str(), &times, AtFlags::empty()))?)
            }
            done => Ok(done?),
        }
    }

    pub(crate) fn list_xattrs(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let path = self.path()?;
        fill(buffer, |space| listxattr(&path, space))
    }

    pub(crate) fn xattr(&self, attribute: &CStr, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let path = self.path()?;
        fill(buffer, |space| getxattr(&path, attribute, space))
    }

    pub(crate) fn set_xattr(&self, attribute: &CStr, value: &[u8]) -> io::Result<()> {
        let path = self.path()?;
        Ok(retried(|| setxattr(&path, attribute, value, XattrFlags::empty()))?)
    }

    pub(crate) fn remove_xattr(&self, attribute: &CStr) -> io::Result<()> {
        let path = self.path()?;
        Ok(retried(|| removexattr(&path, attribute))?)
    }

    /// A path that leads to it, a symbolic link included, and to nothing else (proc(5)).
    fn path(&self) -> io::Result<CString> {
        if !has_proc() {
            let why = "it can be named through /proc alone, which is not mounted";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        Ok(CString::new(path).expect("a number holds no NUL"))
    }
}

mod system {
    #![allow(unsafe_code)]
    use std::{
        io,
        os::fd::{AsRawFd, OwnedFd},
    };

    use nix::libc;

    /// Of asm-generic/unistd.h. Where numbers begin elsewhere (MIPS, Alpha), it is no call at all.
    const FCHMODAT2: libc::c_long = 452;

    /// Set the mode of what a descriptor holds (fchmodat2(2), since Linux 6.6).
    pub(super) fn set_mode(of: &OwnedFd, mode: u32) -> io::Result<()> {
        // SAFETY: the descriptor is open for as long as the borrow lasts, the path is a literal that
        // ends in NUL, and the kernel only reads it.
        let done =
            unsafe { libc::syscall(FCHMODAT2, of.as_raw_fd(), c"".as_ptr(), mode, libc::AT_EMPTY_PATH) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
