//! Whether what is to be copied fits into the destination.

use std::{
    collections::BTreeMap,
    ffi::CStr,
    fs::File,
    sync::{Mutex, PoisonError},
};

use super::Space;
use crate::{
    entry::{Kind, Meta},
    frames::Coding,
    learned::Pair,
    method::Method,
    options::{Compression, DataOptions, Sparse},
    outcomes::Teller,
    plan::{self},
    platform::{self, Dir, Room},
    report::WarningKind,
    transfer::{data_within, is_sparse},
    tree::{DirNode, Dirs, EntryRef, abandoned_bytes},
};

/// The least that the copies which a dry run tells of would take, by device: without the blocks of
/// directories and attributes, and of what is written aside before it replaces something.
#[derive(Debug, Default)]
pub(crate) struct SpaceEstimate(Mutex<BTreeMap<u64, Option<Need>>>);

/// What is needed on one filesystem, and what room there is.
#[derive(Debug)]
struct Need {
    room: Room,
    /// Less than none where large files are replaced by small ones.
    bytes: i128,
    inodes: i128,
}

/// What an entry would take.
#[derive(Default)]
struct Takes {
    inodes: u64,
    /// Bytes of content, without holes.
    held: u64,
    /// Bytes of what it replaces.
    frees: u64,
}

impl SpaceEstimate {
    /// Count what a run that died has left in a directory of the copy as gone: it is taken up, or removed.
    pub(crate) fn subtract_gone(&self, dir: &Dir, device: u64, name: &CStr) {
        if let Some(bytes) = abandoned_bytes(dir, name) {
            self.count(dir, device, |need| {
                need.bytes -= i128::from(bytes);
                need.inodes -= 1;
            });
        }
    }

    /// Add to what is needed on the filesystem of `dir`, where it tells of its room.
    fn count(&self, dir: &Dir, device: u64, add: impl FnOnce(&mut Need)) {
        let mut needs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let look = || Some(Need { room: platform::room(dir).ok()?, bytes: 0, inodes: 0 });
        needs.entry(device).or_insert_with(look).as_mut().map(add);
    }
}

impl Space {
    /// Count an entry that would be created below `node`, other than a name for a file that has one.
    pub(crate) fn add_entry(&self, node: &DirNode, dirs: &Dirs) {
        self.expect(node, dirs, Takes { inodes: 1, ..Takes::default() });
    }

    /// Count a file whose copy, in place of what is `found`, would hold `size` bytes.
    pub(crate) fn add_file(
        &self,
        EntryRef { node, dirs, name }: EntryRef<'_>,
        source: &File,
        meta: &Meta,
        size: u64,
        found: Option<&Meta>,
    ) {
        if !self.setting.job.dry_run {
            return;
        }
        let data = &self.setting.job.data;
        let coding = self.setting.coding(name);
        // What compressing leaves, and where zeros are, only reading it all tells.
        let is_unknown = matches!(coding, Some(Coding::Encode(..)))
            || node.pair.compresses
            || data.sparse == Sparse::Always
            || coding.is_none() && may_share(data, &node.pair);
        let held = match coding {
            _ if is_unknown => 0,
            None if self.setting.keeps_holes() && is_sparse(source, meta) => data_within(source, size),
            _ => size,
        };
        self.expect(
            node,
            dirs,
            Takes {
                inodes: found.is_none().into(),
                held,
                // As if none of its other names stayed.
                frees: found.map_or(0, |found| found.allocated),
            },
        );
    }

    fn expect(&self, node: &DirNode, dirs: &Dirs, takes: Takes) {
        if !self.setting.job.dry_run {
            return;
        }
        let name = node.pair.names[1].as_deref();
        self.expected.count(&dirs.target, node.target.id.dev, |need| {
            let block = if name.is_some_and(allocates_blocks) { need.room.block } else { 1 };
            let held = takes.held.checked_next_multiple_of(block).unwrap_or(takes.held);
            need.bytes += i128::from(held) - i128::from(takes.frees);
            need.inodes += i128::from(takes.inodes);
        });
    }

    /// Warn if what a dry run has counted does not fit.
    pub(crate) fn warn_of_expected(&self, teller: &mut Teller) {
        let needs = self.expected.0.lock().unwrap_or_else(PoisonError::into_inner);
        for Need { room, bytes, inodes } in needs.values().flatten() {
            let cause = match (room.free(self.setting.privileges.uses_reserve), room.inodes) {
                (Some(free), _) if *bytes > i128::from(free) => {
                    format!("at least {bytes} bytes are needed, and {free} are free")
                }
                (_, Some(free)) if *inodes > i128::from(free) => {
                    format!("{inodes} inodes are needed, and {free} are free")
                }
                _ => continue,
            };
            self.warn_of_room(teller, &cause);
        }
    }

    /// Warn if a source, `name` in `holder`, is a whole filesystem that has more in use than there is room for
    /// where its copy goes.
    ///
    /// Of anything less than a whole filesystem only counting it all tells how large it is.
    pub(crate) fn warn_of_whole(
        &self,
        teller: &mut Teller,
        (holder, name, meta): (&Dir, &CStr, &Meta),
        (target, copy_name): (&Dir, &CStr),
    ) {
        let job = &self.setting.job;
        let is_plain = job.compression == Compression::None
            && job.data.sparse != Sparse::Always
            && job.selection.wants_all();
        if !is_plain || self.setting.is_dry() || job.limits.preflight || meta.kind != Kind::Directory {
            return;
        }
        let told = || {
            let source = self.whole_filesystem(holder, name, meta)?;
            let copy = target.open_dir(copy_name).ok();
            let copies = copy.as_ref().unwrap_or(target);
            if copies.meta().ok()?.id.dev == meta.id.dev || self.setting.mounts.of(copies)?.compresses {
                return None;
            }
            let (used, room) = (platform::room(&source).ok()?.used, platform::room(copies).ok()?);
            let free = room.free(self.setting.privileges.uses_reserve)?;
            // What the copy has of it already is used there, and may be all that is.
            let may_hold = free.saturating_add(if copy.is_some() { room.used } else { 0 });
            (used > may_hold)
                .then(|| format!("the source's filesystem has {used} bytes in use, and {free} are free"))
        };
        if let Some(cause) = told() {
            self.warn_of_room(teller, &cause);
        }
    }

    /// The directory `name` if it is all of a filesystem whose use is that of its files.
    fn whole_filesystem(&self, holder: &Dir, name: &CStr, meta: &Meta) -> Option<Dir> {
        let above =
            if name == c"." { holder.open_path(c"..").and_then(|above| above.meta()) } else { holder.meta() };
        let above = above.ok()?.id;
        // Above the root there is the root.
        if above.dev == meta.id.dev && above != meta.id {
            return None;
        }
        let dir = holder.open_path(name).ok()?;
        let mount = self.setting.mounts.of(&dir)?;
        // XFS also counts what it keeps for itself, a hundredth of a large one.
        let counts_files = allocates_blocks(&mount.filesystem) && mount.filesystem != "xfs";
        (mount.is_whole && counts_files).then_some(dir)
    }

    fn warn_of_room(&self, teller: &mut Teller, cause: &str) {
        let path = self.setting.job.target.path().to_owned();
        teller.warn_of(WarningKind::Room, || path, cause);
    }
}

/// Whether files may come to share their blocks instead of taking any.
fn may_share(data: &DataOptions, pair: &Pair) -> bool {
    /// They share within one filesystem; the first two under several device numbers, one for each subvolume.
    const SHARE: [&str; 7] = ["btrfs", "bcachefs", "xfs", "zfs", "ocfs2", "apfs", "refs"];
    if !plan::may_reflink(data) {
        return false;
    }
    match &pair.names {
        [Some(from), Some(to)] => {
            let may_be_one = pair.same_filesystem || from == to && SHARE[..2].contains(&to.as_str());
            may_be_one && SHARE.contains(&to.as_str())
        }
        // Unknown; where whole copies are shared ones they mostly can be.
        _ => pair.same_filesystem && platform::WHOLE_COPY == Some(Method::Reflink),
    }
}

/// Whether a filesystem gives each file blocks of its own, as long as they are, and counts what it gives.
fn allocates_blocks(filesystem: &str) -> bool {
    ["ext2", "ext3", "ext4", "xfs", "tmpfs", "f2fs", "vfat", "exfat", "ntfs3"].contains(&filesystem)
}
