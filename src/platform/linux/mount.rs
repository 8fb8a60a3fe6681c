//! What is mounted where.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd},
};

use rustix::fs::{AtFlags, StatxFlags, statx};

use super::Dir;
use crate::platform::Mount;

/// The number of the mount that `dir` lies in; two that are bound from one filesystem differ.
pub(crate) fn mount_number(dir: &Dir) -> Option<u64> {
    match statx(dir, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID) {
        Ok(about) if about.stx_mask & StatxFlags::MNT_ID.bits() != 0 => Some(about.stx_mnt_id),
        // Before Linux 5.8, or where a filter forbids the call.
        _ => said_number(dir)?.parse().ok(),
    }
}

/// What proc(5) says is the number of the mount that `dir` lies in.
fn said_number(dir: &Dir) -> Option<String> {
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", dir.as_fd().as_raw_fd())).ok()?;
    about.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(|number| number.trim().to_owned())
}

/// The mount that `dir` lies in (proc(5)).
pub(crate) fn mount_of(dir: &Dir) -> Option<Mount> {
    find(&fs::read_to_string("/proc/self/mountinfo").ok()?, &said_number(dir)?)
}

/// The mount with this id, in the text of /proc/self/mountinfo.
fn find(mounts: &str, id: &str) -> Option<Mount> {
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(id))?;
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let filesystem = after.next()?.to_owned();
    // `compress=zstd` of btrfs, `compress_algorithm=` of f2fs; what is said of zfs lies elsewhere.
    let compresses = filesystem == "zfs" || after.nth(1).is_some_and(|options| options.contains("compress"));
    Some(Mount { filesystem, is_whole: before.split(' ').nth(3) == Some("/"), compresses })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_found_by_its_number() {
        let mounts = "21 28 0:19 / /proc rw,nosuid - proc proc rw\n\
                      35 28 0:32 / /mnt/a\\040- rw shared:3 master:1 - fuse.bindfs /x rw\n\
                      5 1 8:1 /data / rw - ext4 /dev/sda1 rw\n";
        let found = |id| find(mounts, id).map(|mount| (mount.filesystem, mount.is_whole));
        assert_eq!(found("35"), Some(("fuse.bindfs".to_owned(), true)));
        assert_eq!(found("5"), Some(("ext4".to_owned(), false)), "bound from a directory");
        assert_eq!(found("3"), None);
        let compresses =
            |options| find(&format!("7 1 0:9 / /m rw - btrfs /dev/sdb {options}\n"), "7").unwrap().compresses;
        assert!(compresses("rw,compress-force=zstd:3,space_cache=v2") && !compresses("rw,space_cache=v2"));
    }
}
