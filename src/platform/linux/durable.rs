//! What is on the device, and since when this filesystem is mounted.

use std::{io, os::fd::AsFd};

use rustix::fs::{AtFlags, StatxFlags, statx, syncfs};

use super::{Dir, retried, said::said};

/// Whether a whole filesystem can be made durable at once.
pub(crate) const SYNCS_FILESYSTEMS: bool = true;

/// `STATX_MNT_ID_UNIQUE` of linux/stat.h: a number that no later mount gets (since Linux 6.8).
const UNIQUE_MOUNT_ID: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// Make everything durable that was written to a filesystem until now (syncfs(2)).
pub(crate) fn sync_filesystem(within: &impl AsFd) -> io::Result<()> {
    Ok(retried(|| syncfs(within))?)
}

/// What stays the same for as long as nothing that was written can have been lost: this boot and this
/// mount. Before Linux 6.8 another mount may get the same number.
pub(crate) fn sitting(dir: &Dir) -> Option<Vec<u8>> {
    let boot = said("/proc/sys/kernel/random/boot_id").ok()?;
    let about = statx(dir, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID | UNIQUE_MOUNT_ID);
    let mount = about.map_or(0, |about| about.stx_mnt_id);
    Some([boot.as_bytes(), &mount.to_le_bytes()].concat())
}

/// Whether a filesystem of this name keeps on its device when a file was last changed, beside when its
/// content was.
pub(crate) fn keeps_change_times(filesystem: Option<&str>) -> bool {
    !matches!(filesystem, Some("vfat" | "msdos" | "exfat"))
}

/// Whether a crash keeps the order in which names were created (as journals do), by the name of the
/// filesystem: then what was created first need not be synchronized to be there.
pub(crate) fn keeps_order(filesystem: Option<&str>) -> bool {
    matches!(filesystem, Some("ext4" | "xfs" | "btrfs" | "tmpfs"))
}
