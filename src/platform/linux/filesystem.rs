//! What kind of storage a filesystem lies on.

use std::os::fd::AsFd;

use nix::sys::{
    stat::{major, minor},
    statfs::{self, fstatfs},
};

use super::{retried, said::said};
use crate::storage::Storage;

/// Filesystems whose requests wait for a server, with the magic numbers of linux/magic.h that
/// nix does not name.
fn is_remote(magic: statfs::FsType) -> bool {
    const CEPH: i64 = 0x00c3_6400;
    const SMB2: i64 = 0xfe53_4d42;
    const CIFS: i64 = 0xff53_4d42;
    const V9FS: i64 = 0x0102_1997;
    const AFS: i64 = 0x5346_414f;
    const LUSTRE: i64 = 0x0bd0_0bd0;
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        reason = "the width differs between C libraries"
    )]
    let number = magic.0 as i64 & 0xffff_ffff;
    magic == statfs::NFS_SUPER_MAGIC
        || magic == statfs::FUSE_SUPER_MAGIC
        || magic == statfs::SMB_SUPER_MAGIC
        || [CEPH, SMB2, CIFS, V9FS, AFS, LUSTRE].contains(&number)
}

/// Where the filesystem of `file` keeps its data; `dev` is the file's device.
pub(crate) fn storage(file: &impl AsFd, dev: u64) -> Storage {
    match retried(|| fstatfs(file)) {
        Ok(stat) if is_remote(stat.filesystem_type()) => return Storage::Remote,
        Ok(stat) if stat.filesystem_type() == statfs::TMPFS_MAGIC => return Storage::Solid,
        _ => {}
    }
    // A partition has its disk's queue one directory up (Documentation/ABI/stable/sysfs-block).
    let device = format!("/sys/dev/block/{}:{}", major(dev), minor(dev));
    let rotational = ["queue/rotational", "../queue/rotational"]
        .into_iter()
        .find_map(|attribute| said(&format!("{device}/{attribute}")).ok());
    match rotational.as_deref().map(str::trim) {
        Some("0") => Storage::Solid,
        Some("1") => Storage::Rotational,
        _ => Storage::Unknown,
    }
}

/// Whether the filesystem of this name numbers its files itself, each for as long as it has it.
///
/// FAT numbers what it has in memory, and FUSE what it is asked for by name, unless its filesystem does better.
pub(crate) fn numbers_files(filesystem: Option<&str>) -> bool {
    const DO: [&str; 24] = [
        "bcachefs", "btrfs", "ceph", "ecryptfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "gfs2", "hfsplus",
        "jfs", "lustre", "nfs", "nfs4", "nilfs2", "ocfs2", "overlay", "ramfs", "reiserfs", "tmpfs", "ubifs",
        "xfs", "zfs",
    ];
    filesystem.is_some_and(|name| DO.contains(&name))
}

/// Whether a directory holds names for equal that differ in case alone, where that is a directory's own property
/// (`FS_CASEFOLD_FL`, ioctl_iflags(2)).
pub(crate) fn folds_case(dir: &impl AsFd) -> bool {
    const CASEFOLD: u32 = 0x4000_0000;
    rustix::fs::ioctl_getflags(dir).is_ok_and(|flags| flags.bits() & CASEFOLD != 0)
}
