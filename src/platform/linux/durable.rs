//! What is on the device, and since when this filesystem is mounted.

use std::{fs, io, os::fd::AsFd};

use nix::sys::stat::{major, minor};
use rustix::fs::{AtFlags, StatxFlags, statx, syncfs};

use super::{Dir, retried, said::said};
use crate::platform::Order;

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

/// What a crash leaves of the order in which a filesystem of this name was changed; `dev` is its device.
///
/// The driver of ext4 is that of ext2 as well, and of ext4 that was made without a journal.
pub(crate) fn order(filesystem: Option<&str>, dev: u64) -> Order {
    match filesystem {
        Some("xfs" | "btrfs" | "tmpfs" | "ext3") => Order::Kept,
        Some("ext4") if has_journal(dev).unwrap_or(false) => Order::Kept,
        Some("ext2" | "ext4") => Order::Lost,
        Some("vfat" | "msdos" | "exfat" | "hfs" | "hfsplus" | "minix" | "ntfs3" | "udf" | "ufs") => {
            Order::Lost
        }
        _ => Order::Unknown,
    }
}

/// Whether an ext4 filesystem has a journal, where that can be told.
fn has_journal(dev: u64) -> Option<bool> {
    let device = fs::read_link(format!("/sys/dev/block/{}:{}", major(dev), minor(dev))).ok()?;
    let device = device.file_name()?.to_str()?;
    // `<none>`, or the number of the thread that writes it.
    let task = said(&format!("/sys/fs/ext4/{device}/journal_task"));
    task.map(|task| task.trim().parse::<u32>().is_ok()).ok().or_else(|| {
        // Before Linux 5.1; without a journal nothing is said of `data=`.
        let options = said(&format!("/proc/fs/ext4/{device}/options")).ok()?;
        Some(options.lines().any(|option| option.starts_with("data=")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_cannot_tell_whether_there_is_a_journal_does_without() {
        let no_device = 0;
        assert_eq!(has_journal(no_device), None);
        for (filesystem, expected) in [
            (Some("xfs"), Order::Kept),
            (Some("ext3"), Order::Kept),
            (Some("ext4"), Order::Lost),
            (Some("ext2"), Order::Lost),
            (Some("vfat"), Order::Lost),
            (Some("exfat"), Order::Lost),
            (Some("fuseblk"), Order::Unknown),
            (None, Order::Unknown),
        ] {
            assert_eq!(order(filesystem, no_device), expected, "{filesystem:?}");
        }
    }
}
