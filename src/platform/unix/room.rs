//! What room a filesystem has.

use std::io;

use rustix::fs::{StatVfsMountFlags, fstatvfs};

use super::{Dir, retried};
use crate::platform::Room;

/// What room the filesystem of a directory has left (statvfs(3)).
pub(crate) fn room(dir: &Dir) -> io::Result<Room> {
    let about = retried(|| fstatvfs(dir))?;
    Ok(Room {
        // Memory without a limit, and servers that do not know, say that they have no blocks at all.
        bytes: (about.f_blocks > 0).then_some(about.f_bavail.saturating_mul(about.f_frsize)),
        reserved: about.f_bfree.saturating_sub(about.f_bavail).saturating_mul(about.f_frsize),
        used: about.f_blocks.saturating_sub(about.f_bfree).saturating_mul(about.f_frsize),
        block: about.f_frsize.max(1),
        // Those that make inodes as they need them say that there are none at all.
        inodes: (about.f_files > 0).then_some(about.f_favail),
        is_read_only: Some(about.f_flag.contains(StatVfsMountFlags::RDONLY)),
    })
}
