//! Metadata by descriptor, and its translation from and to the system's structures.

use std::{
    ffi::{CStr, CString, OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::PathBuf,
    time::Duration,
};

use nix::{
    libc,
    sys::{
        resource::{Resource, getrlimit},
        stat::{FileStat, Mode, fchmod, fstat, futimens},
        time::TimeSpec,
    },
    unistd::{Gid, Uid, fchown, geteuid},
};
use rustix::{
    io::{Errno, fcntl_dupfd_cloexec, pread, pwrite},
    time::{ClockId, clock_gettime},
};

use super::{Dir, retried};
use crate::{
    entry::{FileId, Kind, Meta, Stamp},
    platform::imp::Pinned,
};

/// Something whose metadata can be read and set.
#[derive(Clone, Copy)]
pub(crate) enum Handle<'a> {
    /// An open file or directory.
    Open(&'a dyn AsDescriptor),
    /// An entry by name: itself, not what it may link to; never opened. For reading alone: who may write
    /// to its directory may put another in its place.
    Entry(&'a Dir, &'a CStr),
    /// An entry that is held without being opened.
    Pinned(&'a Pinned),
}

/// `AsFd`, for either a file or a directory.
pub(crate) trait AsDescriptor {
    fn descriptor(&self) -> BorrowedFd<'_>;
}

impl<T: AsFd> AsDescriptor for T {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Handle<'_> {
    pub(crate) fn meta(self) -> io::Result<Meta> {
        match self {
            Handle::Open(file) => meta(&file.descriptor()),
            Handle::Entry(dir, name) => dir.stat(name),
            Handle::Pinned(pinned) => pinned.meta(),
        }
    }

    pub(crate) fn set_owner(self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        match self {
            Handle::Open(file) => {
                let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
                Ok(retried(|| fchown(file.descriptor(), uid, gid))?)
            }
            Handle::Entry(dir, name) => dir.pin(name)?.set_owner(uid, gid),
            Handle::Pinned(pinned) => pinned.set_owner(uid, gid),
        }
    }

    pub(crate) fn set_mode(self, mode: u32) -> io::Result<()> {
        match self {
            Handle::Open(file) => Ok(retried(|| fchmod(file.descriptor(), mode_bits(mode)))?),
            Handle::Entry(dir, name) => dir.pin(name)?.set_mode(mode),
            Handle::Pinned(pinned) => pinned.set_mode(mode),
        }
    }

    pub(crate) fn set_times(self, accessed: Stamp, modified: Stamp) -> io::Result<()> {
        match self {
            Handle::Open(file) => {
                let (accessed, modified) = (to_timespec(accessed), to_timespec(modified));
                Ok(retried(|| futimens(file.descriptor(), &accessed, &modified))?)
            }
            Handle::Entry(dir, name) => dir.pin(name)?.set_times(accessed, modified),
            Handle::Pinned(pinned) => pinned.set_times(accessed, modified),
        }
    }
}

pub(crate) fn meta(file: &impl AsFd) -> io::Result<Meta> {
    Ok(to_meta(&retried(|| fstat(file))?))
}

pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    // No file reaches further, and a call that would is refused (rw_verify_area of the kernel).
    const END: u64 = i64::MAX as u64;
    let most = usize::try_from(END.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
    Ok(pread(file, &mut buffer[..most], offset)?)
}

pub(crate) fn write_all_at(file: &File, mut buffer: &[u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match pwrite(file, buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                buffer = &buffer[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Make a file this long; what is added is a hole.
pub(crate) fn set_size(file: &File, size: u64) -> io::Result<()> {
    file.set_len(size)
}

/// A second descriptor of what is open.
pub(super) fn second(of: &impl AsFd) -> io::Result<OwnedFd> {
    /// Above those of standard input, output and error.
    const LEAST: i32 = 3;
    Ok(retried(|| fcntl_dupfd_cloexec(of, LEAST))?)
}

/// Close a second descriptor of a written file: some network filesystems first tell of errors then (close(2)).
pub(crate) fn close_second(file: &File) -> io::Result<()> {
    Ok(nix::unistd::close(second(file)?)?)
}

/// How long the calling thread has computed so far, in the kernel too (clock_gettime(2)).
pub(crate) fn thread_time() -> Option<Duration> {
    computed(ClockId::ThreadCPUTime)
}

/// How long all threads of the process have (clock_gettime(2)).
pub(crate) fn process_time() -> Option<Duration> {
    computed(ClockId::ProcessCPUTime)
}

fn computed(clock: ClockId) -> Option<Duration> {
    let time = clock_gettime(clock);
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

/// The user that owns what this process creates.
pub(crate) fn effective_user() -> u32 {
    geteuid().as_raw()
}

/// Permission bits as the system's calls take them.
pub(crate) fn mode_bits(mode: u32) -> Mode {
    #[allow(clippy::unnecessary_cast, reason = "mode_t has another width on macOS")]
    Mode::from_bits_truncate(mode as libc::mode_t)
}

pub(in crate::platform) fn to_timespec(stamp: Stamp) -> TimeSpec {
    #[allow(clippy::unnecessary_cast, reason = "time_t has another width on other targets")]
    TimeSpec::new(stamp.secs as libc::time_t, stamp.nanos.into())
}

pub(super) fn kind_of(mode: libc::mode_t) -> Kind {
    match mode & libc::S_IFMT {
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFLNK => Kind::Symlink,
        libc::S_IFIFO => Kind::Fifo,
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFCHR => Kind::CharDevice,
        libc::S_IFBLK => Kind::BlockDevice,
        _ => Kind::File,
    }
}

#[allow(
    clippy::unnecessary_cast,
    clippy::cast_lossless,
    reason = "the fields' widths differ between systems"
)]
pub(super) fn to_meta(stat: &FileStat) -> Meta {
    let stamp = |secs: libc::time_t, nanos: i64| Stamp { secs: secs as i64, nanos: nanos as u32 };
    Meta {
        kind: kind_of(stat.st_mode),
        mode: (stat.st_mode & 0o7777) as u32,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: stat.st_size as u64,
        allocated: stat.st_blocks as u64 * 512,
        accessed: stamp(stat.st_atime, stat.st_atime_nsec as i64),
        modified: stamp(stat.st_mtime, stat.st_mtime_nsec as i64),
        changed: stamp(stat.st_ctime, stat.st_ctime_nsec as i64),
        id: FileId { dev: stat.st_dev as u64, ino: stat.st_ino as u64 },
        nlink: stat.st_nlink as u64,
        rdev: stat.st_rdev as u64,
    }
}

/// An encoded name as the standard library takes it.
pub(crate) fn to_os(name: &CStr) -> &OsStr {
    OsStr::from_bytes(name.to_bytes())
}

/// A name as this platform's functions take it.
pub(crate) fn to_name(name: &OsStr) -> io::Result<CString> {
    Ok(CString::new(name.as_bytes())?)
}

/// A path that came from a file, as bytes.
pub(crate) fn path_of_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    Some(OsString::from_vec(bytes).into())
}

/// How many more files this process may open, as far as it can tell.
pub(crate) fn free_descriptors() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(256, |(soft, _)| soft);
    let used = match std::fs::read_dir("/dev/fd") {
        Err(error) if super::is_out_of_descriptors(&error) => return 0,
        used => used.map_or(16, Iterator::count),
    };
    usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(used)
}
