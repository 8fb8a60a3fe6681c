//! Questions about a filesystem that a copy itself never asks, put by really trying.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
};

use nix::fcntl::{FcntlArg, OFlag, OpenHow, ResolveFlag, fcntl, openat2};
use rustix::fs::{AtFlags, StatxFlags, statx};

use super::{ACCESS_ACL, Dir, Handle};
use crate::platform::DirectIo;

/// Try to set an extended attribute of the user's.
pub(crate) fn can_set_xattr(file: &File) -> io::Result<()> {
    Handle::Open(file).set_xattr(c"user.orbit", b"probe")
}

/// Try to set an access ACL that says more than the mode can.
pub(crate) fn can_set_acl(file: &File) -> io::Result<()> {
    const VERSION: u32 = 2;
    const NOBODY: u32 = u32::MAX;
    // Tag, permissions and id of each entry (linux/posix_acl_xattr.h): the owner, user 1, the
    // owning group, the mask, everybody else.
    let entries: [(u16, u16, u32); 5] =
        [(0x01, 6, NOBODY), (0x02, 4, 1), (0x04, 4, NOBODY), (0x10, 4, NOBODY), (0x20, 0, NOBODY)];
    let mut acl = VERSION.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        acl.extend_from_slice(&tag.to_le_bytes());
        acl.extend_from_slice(&permissions.to_le_bytes());
        acl.extend_from_slice(&id.to_le_bytes());
    }
    Handle::Open(file).set_xattr(ACCESS_ACL, &acl)
}

/// Whether `file` takes direct I/O: as the kernel says, or where it does not, by writing some.
///
/// Overwrites the beginning of `file`.
pub(crate) fn direct_io(file: &File) -> io::Result<DirectIo> {
    match statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN) {
        Ok(answer) if answer.stx_mask & StatxFlags::DIOALIGN.bits() != 0 => {
            return match (answer.stx_dio_mem_align, answer.stx_dio_offset_align) {
                (0, 0) => Err(nix::Error::EINVAL.into()), // as open(2) would say
                (memory, offset) => Ok(DirectIo { memory_alignment: memory, offset_alignment: offset }),
            };
        }
        _ => {} // before Linux 6.1, or a filesystem that does not say
    }
    let flags = OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL)?);
    fcntl(file, FcntlArg::F_SETFL(flags | OFlag::O_DIRECT))?;
    let least = [512_u32, 4096].into_iter().map(|alignment| (alignment, write_aligned(file, alignment)));
    let mut refusal = None;
    let mut found = None;
    for (alignment, written) in least {
        match written {
            Ok(()) => {
                found = Some(DirectIo { memory_alignment: alignment, offset_alignment: alignment });
                break;
            }
            Err(error) => refusal = Some(error),
        }
    }
    fcntl(file, FcntlArg::F_SETFL(flags))?;
    found.ok_or_else(|| refusal.expect("an alignment that is not found was refused"))
}

/// Write one block whose place, length and buffer are aligned to `alignment` bytes and no more.
fn write_aligned(file: &File, alignment: u32) -> io::Result<()> {
    let alignment = alignment as usize;
    let room = vec![0; alignment * 4];
    let aligned = room.as_ptr().align_offset(alignment * 2);
    let start = aligned + alignment;
    file.write_all_at(&room[start..start + alignment], alignment as u64)
}

/// Try to open a directory by a path that may not leave it (openat2(2)).
pub(crate) fn can_open_beneath(dir: &Dir) -> io::Result<()> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_BENEATH);
    openat2(dir, c".", how)?;
    Ok(())
}

/// Why the administrator lets nobody, or not everybody, use `io_uring`, if that is so.
pub(crate) fn ring_is_disabled() -> Option<String> {
    let setting = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    match setting.trim() {
        "0" => None,
        value => Some(format!("kernel.io_uring_disabled is {value}")),
    }
}
