//! Which mount something lies in.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{AtFlags, StatxFlags, statx};

use super::{Dir, said::said};

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
    let about = said(&format!("/proc/self/fdinfo/{}", dir.as_fd().as_raw_fd())).ok()?;
    about.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(|number| number.trim().to_owned())
}
