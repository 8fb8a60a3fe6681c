//! Whether what is to be copied fits into the destination.

use std::{
    ffi::CStr,
    sync::{
        OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use super::Node;
use crate::{
    entry::{Kind, Meta},
    job::CopyJob,
    method::Method,
    options::{Compression, Reflink, Sparse},
    plan::Pair,
    platform::{self, Dir, Room},
    report::Loss,
    scheduler::Worker,
};

/// What the copies that a dry run tells of would take of the destination's filesystem, without the blocks
/// of directories, and of what is written aside before it replaces something.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    destination: OnceLock<Option<Destination>>,
    /// Less than none where large files are replaced by small ones.
    bytes: AtomicI64,
    inodes: AtomicU64,
}

#[derive(Debug)]
struct Destination {
    dev: u64,
    room: Room,
}

impl Worker {
    /// What room there is at the destination, if that can be told.
    pub(crate) fn room(&self) -> Option<Room> {
        platform::room(&self.directory_of_copies()?).ok()
    }

    /// Count an entry that would be created below `node`, other than a name for a file that has one.
    pub(super) fn expect_entry(&self, node: &Node) {
        if self.destination_of(node).is_some() {
            self.context.expected.inodes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Count the blocks of a file whose copy, in place of what is `found`, would hold `size` bytes.
    pub(super) fn expect_file(&self, node: &Node, meta: &Meta, size: u64, found: Option<&Meta>) {
        let Some(destination) = self.destination_of(node) else { return };
        if found.is_none() {
            self.context.expected.inodes.fetch_add(1, Ordering::Relaxed);
        }
        let job = &self.context.job;
        // How small they become is told by compressing them.
        let is_compressed = matches!(job.compression, Compression::Zstd { .. } | Compression::Lz4);
        if is_compressed || may_share(job, &node.pair) {
            return;
        }
        let is_as_it_is = size == meta.size;
        let held = match job.data.sparse {
            Sparse::Never => size,
            Sparse::Auto | Sparse::Always if is_as_it_is => size.min(meta.allocated),
            Sparse::Auto | Sparse::Always => size,
        };
        let block = if allocates_blocks(node.pair.names[1].as_deref()) { destination.room.block } else { 1 };
        let takes = held.checked_next_multiple_of(block).unwrap_or(held);
        // Its blocks are let go of with its last name.
        let frees = found.filter(|found| found.nlink == 1).map_or(0, |found| found.allocated);
        self.context.expected.bytes.fetch_add(takes.cast_signed() - frees.cast_signed(), Ordering::Relaxed);
    }

    /// What the copies go to, if what is created below `node` lies there too.
    fn destination_of(&self, node: &Node) -> Option<&Destination> {
        if !self.context.job.dry_run {
            return None;
        }
        let look = || {
            let dir = self.directory_of_copies()?;
            Some(Destination { dev: dir.meta().ok()?.id.dev, room: platform::room(&dir).ok()? })
        };
        let destination = self.context.expected.destination.get_or_init(look).as_ref();
        destination.filter(|destination| destination.dev == node.target.id.dev)
    }

    /// Warn if what a dry run has counted does not fit.
    pub(super) fn warn_of_expected(&mut self) {
        let expected = &self.context.expected;
        let Some(Some(Destination { room, .. })) = expected.destination.get() else { return };
        let bytes = u64::try_from(expected.bytes.load(Ordering::Relaxed)).unwrap_or(0);
        let inodes = expected.inodes.load(Ordering::Relaxed);
        let cause = match (room.bytes, room.inodes) {
            (Some(free), _) if bytes > free => {
                format!("at least {bytes} bytes are needed, and {free} are free")
            }
            (_, Some(free)) if inodes > free => format!("{inodes} inodes are needed, and {free} are free"),
            _ => return,
        };
        self.warn_of_room(&cause);
    }

    /// Warn if the directory `name`, a source whose copy may be there already, is a whole filesystem that has
    /// more in use than the destination has room for.
    ///
    /// Of anything less than a whole filesystem only counting it all tells how large it is.
    pub(super) fn warn_of_whole(&mut self, holder: &Dir, name: &CStr, meta: &Meta, has_copy: bool) {
        let job = &self.context.job;
        let is_plain = job.compression == Compression::None && job.selection.wants_all();
        if !is_plain || self.is_dry() || meta.kind != Kind::Directory {
            return;
        }
        let told = || {
            let source = whole_filesystem(holder, name, meta)?;
            let copies = self.directory_of_copies()?;
            if copies.meta().ok()?.id.dev == meta.id.dev {
                return None;
            }
            let (source, room) = (platform::room(&source).ok()?, platform::room(&copies).ok()?);
            // What the copy has of it already is used there, and may be all that is.
            let (used, free) = (source.used, room.bytes?);
            let may_hold = free.saturating_add(if has_copy { room.used } else { 0 });
            (used > may_hold)
                .then(|| format!("the source's filesystem has {used} bytes in use, and {free} are free"))
        };
        if let Some(cause) = told() {
            self.warn_of_room(&cause);
        }
    }

    fn warn_of_room(&mut self, cause: &str) {
        let path = self.context.job.target.path().to_owned();
        self.warn_of(Loss::Room, || path, cause);
    }
}

/// The directory `name` if it is all of a filesystem whose use is that of its files.
fn whole_filesystem(holder: &Dir, name: &CStr, meta: &Meta) -> Option<Dir> {
    let above =
        if name == c"." { holder.open_path(c"..").and_then(|above| above.meta()) } else { holder.meta() };
    let above = above.ok()?.id;
    // Above the root there is the root.
    if above.dev == meta.id.dev && above != meta.id {
        return None;
    }
    let dir = holder.open_path(name).ok()?;
    let mount = platform::mount_of(&dir)?;
    (mount.is_whole && allocates_blocks(Some(&mount.filesystem))).then_some(dir)
}

/// Whether files may come to share their blocks instead of taking any.
fn may_share(job: &CopyJob, pair: &Pair) -> bool {
    /// They share within one filesystem; the first two under several device numbers, one for each subvolume.
    const SHARE: [&str; 7] = ["btrfs", "bcachefs", "xfs", "zfs", "ocfs2", "apfs", "refs"];
    let [Some(from), Some(to)] = &pair.names else {
        // Unknown; where whole copies are shared ones they mostly can be.
        return pair.same_filesystem && platform::WHOLE_COPY == Some(Method::Reflink);
    };
    let may_be_one = pair.same_filesystem || from == to && SHARE[..2].contains(&to.as_str());
    job.data.reflink != Reflink::Never
        && job.data.sparse != Sparse::Never
        && job.compression == Compression::None
        && may_be_one
        && SHARE.contains(&to.as_str())
}

/// Whether a filesystem gives each file blocks of its own, as long as they are, and counts what it gives.
fn allocates_blocks(filesystem: Option<&str>) -> bool {
    let known = ["ext2", "ext3", "ext4", "xfs", "tmpfs", "f2fs", "vfat", "exfat", "ntfs3"];
    filesystem.is_some_and(|name| known.contains(&name))
}
