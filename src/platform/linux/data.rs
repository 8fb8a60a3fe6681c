//! Moving bytes between open files.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    Error as Errno,
    fcntl::{
        FallocateFlags, FcntlArg, OFlag, PosixFadviseAdvice, SpliceFFlags, copy_file_range, fallocate, fcntl,
        posix_fadvise, splice,
    },
    sys::{
        sendfile::sendfile64,
        statfs::{BTRFS_SUPER_MAGIC, fstatfs},
    },
    unistd::{Whence, lseek64, pipe2},
};
use rustix::{
    fs::fstatvfs,
    io::{ReadWriteFlags, preadv2},
};

use super::retried;

mod ioctl {
    #![allow(unsafe_code)]
    use super::{AsRawFd, File, io};

    /// `struct file_clone_range` of linux/fs.h.
    #[repr(C)]
    #[derive(Debug)]
    pub(super) struct FileCloneRange {
        pub(super) source: i64,
        pub(super) source_offset: u64,
        pub(super) source_length: u64,
        pub(super) destination_offset: u64,
    }

    nix::ioctl_write_ptr!(ficlonerange, 0x94, 13, FileCloneRange);

    pub(super) fn clone_range(destination: &File, range: &FileCloneRange) -> io::Result<()> {
        // SAFETY: both descriptors are open for as long as the borrows last, and the kernel only
        // reads the structure, which outlives the call.
        unsafe { ficlonerange(destination.as_raw_fd(), range) }?;
        Ok(())
    }
}

/// Share all blocks of `source` with the empty file `destination` (ioctl_ficlone(2)).
pub(crate) fn clone_file(source: &File, destination: &File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(destination, source)?)
}

/// Share the blocks of one range; offsets must be aligned to blocks, but for the end of the file.
pub(crate) fn clone_range(source: &File, destination: &File, offset: u64, length: u64) -> io::Result<()> {
    let range = ioctl::FileCloneRange {
        source: source.as_raw_fd().into(),
        source_offset: offset,
        source_length: length,
        destination_offset: offset,
    };
    ioctl::clone_range(destination, &range)
}

/// Copy up to `length` bytes at `offset` inside the kernel (copy_file_range(2)).
pub(crate) fn copy_range(source: &File, destination: &File, offset: u64, length: u64) -> io::Result<u64> {
    let (mut from, mut to) = (signed(offset)?, signed(offset)?);
    let copied = copy_file_range(source, Some(&mut from), destination, Some(&mut to), clamped(length))?;
    Ok(copied as u64)
}

/// Copy up to `length` bytes at `offset` to the same place of `destination` (sendfile(2)).
///
/// Moves `destination`'s file position, so only one thread may use it on one file.
pub(crate) fn send_range(source: &File, destination: &File, offset: u64, length: u64) -> io::Result<u64> {
    lseek64(destination, signed(offset)?, Whence::SeekSet)?;
    let mut from = signed(offset)?;
    Ok(sendfile64(destination, source, Some(&mut from), clamped(length))? as u64)
}

/// A pipe for [`splice_range`].
#[derive(Debug)]
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    pub(crate) fn new() -> io::Result<Pipe> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        Ok(Pipe { read, write })
    }
}

/// Copy up to `length` bytes at `offset` through `pipe` (splice(2)); the pipe is empty afterwards.
///
/// A failure to write what the pipe already holds is final for the range: the pipe must be dropped.
pub(crate) fn splice_range(
    source: &File,
    destination: &File,
    pipe: &Pipe,
    offset: u64,
    length: u64,
) -> io::Result<u64> {
    let flags = SpliceFFlags::SPLICE_F_MOVE;
    let mut from = signed(offset)?;
    let mut to = signed(offset)?;
    let filled = splice(source, Some(&mut from), &pipe.write, None, clamped(length), flags)?;
    let mut left = filled;
    while left > 0 {
        match splice(&pipe.read, None, destination, Some(&mut to), left, flags) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => left -= written,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(filled as u64)
}

/// Whether the content of a file of `size` bytes lies in the page cache, as far as a few looks tell.
pub(crate) fn is_cached(file: &File, size: u64) -> bool {
    const LOOKS: u64 = 16;
    let is_there = |look: u64| {
        let mut byte = [0];
        let buffers = &mut [IoSliceMut::new(&mut byte)];
        // Answers EAGAIN where it would have to wait for the device (readv(2)).
        preadv2(file, buffers, size / LOOKS * look, ReadWriteFlags::NOWAIT).is_ok()
    };
    (0..LOOKS).all(is_there)
}

/// Whether a filesystem may compress what is written, which it does neither with reserved blocks nor
/// with direct I/O.
pub(crate) fn may_compress(file: &File) -> bool {
    retried(|| fstatfs(file)).is_ok_and(|about| about.filesystem_type() == BTRFS_SUPER_MAGIC)
}

/// Reserve the blocks of a range that is about to be written; a filesystem may decline.
pub(crate) fn reserve(file: &File, length: u64) -> io::Result<()> {
    if may_compress(file) {
        return Err(io::ErrorKind::Unsupported.into()); // what is reserved there is never compressed
    }
    let length = signed(length)?;
    Ok(retried(|| fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, length))?)
}

/// Refuse a file of `length` bytes that the filesystem has no room for, without reserving any.
pub(crate) fn check_room(file: &File, length: u64) -> io::Result<()> {
    let about = retried(|| fstatvfs(file))?;
    let is_short = about.f_blocks > 0 && about.f_bavail.saturating_mul(about.f_frsize) < length;
    if is_short { Err(Errno::ENOSPC.into()) } else { Ok(()) }
}

/// Let reads and writes of `file`, by whatever descriptor of it, go past the page cache or not
/// (`O_DIRECT`, open(2)); then what they move must be whole blocks.
pub(crate) fn set_direct(file: &File, direct: bool) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(retried(|| fcntl(file, FcntlArg::F_GETFL))?);
    // First, since the other flag may be refused: a ring does not wait for files that are not to
    // block, which on regular files means nothing otherwise.
    let flags = flags - OFlag::O_NONBLOCK - OFlag::O_DIRECT;
    retried(|| fcntl(file, FcntlArg::F_SETFL(flags)))?;
    if direct {
        retried(|| fcntl(file, FcntlArg::F_SETFL(flags | OFlag::O_DIRECT)))?;
    }
    Ok(())
}

/// The same of reads, from now on and for everybody who has the descriptor: nobody's call meets it the other way once
/// it is so.
pub(crate) fn stay_direct(file: &File) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(retried(|| fcntl(file, FcntlArg::F_GETFL))?);
    if !flags.contains(OFlag::O_DIRECT) {
        retried(|| fcntl(file, FcntlArg::F_SETFL(flags | OFlag::O_DIRECT)))?;
    }
    Ok(())
}

/// Let go of what the page cache holds of a file (`POSIX_FADV_DONTNEED`, posix_fadvise(2)); what is not
/// on its device yet stays.
pub(crate) fn drop_cached(file: &File) -> io::Result<()> {
    Ok(posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}

/// The system's own copy of a whole file, which Linux does not have.
pub(crate) fn copy_whole(_: &File, _: &File, _: u64, _: u64) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

fn signed(offset: u64) -> io::Result<i64> {
    i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(Errno::EOVERFLOW as i32))
}

fn clamped(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
