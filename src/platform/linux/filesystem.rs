//! What kind of storage a filesystem lies on.

use std::{fs, os::fd::AsFd};

use nix::sys::{
    stat::{major, minor},
    statfs::{self, fstatfs},
};

use super::retried;
use crate::plan::Storage;

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
        .find_map(|attribute| fs::read_to_string(format!("{device}/{attribute}")).ok());
    match rotational.as_deref().map(str::trim) {
        Some("0") => Storage::Solid,
        Some("1") => Storage::Rotational,
        _ => Storage::Unknown,
    }
}
