//! The plain form of what only Linux answers, and does: nobody knows, and nothing is done.

use std::{ffi::CStr, fs::File, io};

use super::{Dir, Memory, Mount};
use crate::{
    entry::Meta,
    platform::{DirectIo, Order},
};

fn unknown<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "not probed on this system"))
}

/// How much memory files may take, of which nobody knows.
pub(crate) fn memory() -> Option<Memory> {
    None
}

/// A system writes what it was given as it sees fit.
pub(crate) fn begin_writeback(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

pub(crate) fn await_writeback(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

pub(crate) fn forget(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

/// What is mounted, of which nobody knows here.
#[derive(Debug, Default)]
pub(crate) struct Mounts(());

impl Mounts {
    pub(crate) fn of(&self, _: &Dir) -> Option<Mount> {
        None
    }
}

/// Devices alone tell one mount from another.
pub(crate) fn mount_number(_: &Dir) -> Option<u64> {
    None
}

/// Whether the names of a directory are encrypted, and cannot be read.
pub(crate) fn is_locked(_: &Dir) -> bool {
    false
}

/// Whether this process may make a device node.
pub(crate) fn may_make_device(_: &Meta) -> bool {
    super::privileges().gives_away
}

pub(crate) fn surely_lacks_xattrs(_: &Dir, _: &CStr) -> bool {
    false
}

pub(crate) fn can_set_xattr(_: &File) -> io::Result<()> {
    unknown()
}

pub(crate) fn can_set_acl(_: &File) -> io::Result<()> {
    unknown()
}

pub(crate) fn direct_io(_: &File) -> io::Result<DirectIo> {
    unknown()
}

pub(crate) fn stay_direct(_: &File) -> io::Result<()> {
    Ok(())
}

pub(crate) fn set_direct(_: &File, _: bool) -> io::Result<()> {
    unknown()
}

pub(crate) fn drop_cached(_: &File) -> io::Result<()> {
    unknown()
}

pub(crate) fn is_cached(_: &File, _: u64) -> bool {
    false
}

pub(crate) fn may_compress(_: &File) -> bool {
    false
}

pub(crate) fn can_open_beneath(_: &Dir) -> io::Result<()> {
    unknown()
}

pub(crate) fn ring_is_disabled() -> Option<String> {
    None
}

/// The priority of a worker's I/O, which is not changed here.
pub(crate) fn begin_idle_io() -> i32 {
    0
}

pub(crate) fn end_idle_io(_: i32) {}

/// Whether a whole filesystem can be made durable at once.
pub(crate) const SYNCS_FILESYSTEMS: bool = false;

pub(crate) fn sync_filesystem<T>(_: &T) -> io::Result<()> {
    unknown()
}

/// What stays the same while nothing that was written can have been lost: that is not known here.
pub(crate) fn sitting(_: &Dir) -> Option<Vec<u8>> {
    None
}

pub(crate) fn keeps_change_times(_: Option<&str>) -> bool {
    false
}

pub(crate) fn order(_: Option<&str>, _: u64) -> Order {
    Order::Unknown
}

pub(crate) fn check_room(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}

/// Numbers tell here which names are one file, whatever the filesystem.
pub(crate) fn numbers_files(_: Option<&str>) -> bool {
    true
}

/// Nobody knows; numbers tell instead, but of files with several names.
pub(crate) fn folds_case(_: &Dir) -> bool {
    true
}

pub(crate) fn link_if(
    (from, existing): (&Dir, &CStr),
    (to, name): (&Dir, &CStr),
    is_it: impl FnOnce(&Meta) -> bool,
) -> io::Result<()> {
    match is_it(&from.stat(existing)?) {
        true => to.link_from(from, existing, name),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}
