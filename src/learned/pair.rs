//! Two filesystems that files are copied between.

use std::sync::{OnceLock, atomic::AtomicBool};

use super::{created_modes::CreatedModes, large::Large, route::Writing, threshold::Threshold};
use crate::{entry::Granularity, method::Method, platform::Order, storage::Storage};

/// Two filesystems that files are copied between, and what they turned out to be like.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) same_filesystem: bool,
    /// That of the source and of the destination.
    pub(crate) storages: [Storage; 2],
    /// The one of them that decides how long a copy waits.
    pub(crate) storage: Storage,
    /// What the source's filesystem calls itself, and the destination's.
    pub(crate) names: [Option<String>; 2],
    /// Whether reads of the source's filesystem, and writes of the destination's, may fall short in the middle of a
    /// file.
    falls_short: [bool; 2],
    /// Whether the destination may keep files in fewer blocks than they are long.
    pub(crate) compresses: bool,
    /// Whether the destination numbers its files so that one of them has one number for as long as a run takes.
    pub(crate) is_numbered: bool,
    /// Whether the destination holds names for equal that differ in case alone, once it mattered.
    pub(crate) folds: OnceLock<bool>,
    /// What a crash leaves of the order of changes at the destination, once it mattered.
    pub(crate) order: OnceLock<Order>,
    /// The error number, where there is one, of each method that was refused.
    refused: [OnceLock<Option<i32>>; Method::ALL.len()],
    /// From which size on the kernel moves bytes, where nobody has said.
    pub(crate) threshold: Threshold,
    /// Whether the source's filesystem turned out to have no extended attributes.
    pub(crate) source_lacks_xattrs: AtomicBool,
    /// What becomes of the modes that its files are created with.
    pub(crate) created_modes: CreatedModes,
    /// The ways that large files go, by when they are written to their device.
    large: [Large; Writing::ALL.len()],
    /// The step of the destination's modification times, once it mattered.
    pub(crate) granularity: OnceLock<Granularity>,
    /// Whether the destination's files may get their names when they are finished, once it mattered.
    pub(crate) names_late: OnceLock<bool>,
}

impl Pair {
    pub(crate) fn new(same_filesystem: bool, storage: Storage) -> Pair {
        Pair {
            same_filesystem,
            storages: [storage; 2],
            storage,
            names: [None, None],
            falls_short: [false; 2],
            compresses: false,
            is_numbered: true,
            folds: OnceLock::new(),
            order: OnceLock::new(),
            refused: Default::default(),
            threshold: Threshold::new(),
            source_lacks_xattrs: AtomicBool::new(false),
            created_modes: CreatedModes::default(),
            large: Default::default(),
            granularity: OnceLock::new(),
            names_late: OnceLock::new(),
        }
    }

    /// Two filesystems on these storages, one of them if both are the same.
    pub(crate) fn between(same_filesystem: bool, from: Storage, to: Storage) -> Pair {
        Pair { storages: [from, to], ..Pair::new(same_filesystem, from.slower(to)) }
    }

    /// The same, knowing what the source's filesystem calls itself, and the destination's.
    pub(crate) fn named(self, source: Option<String>, destination: Option<String>) -> Pair {
        let names = [source, destination];
        // What serves may read or write less than it is asked for (`direct_io` in libfuse's fuse_common.h).
        let is_served = |name: &str| name.starts_with("fuse") || name == "virtiofs";
        let falls_short = [0, 1]
            .map(|side| names[side].as_deref().map_or(self.storages[side] == Storage::Remote, is_served));
        Pair { names, falls_short, ..self }
    }

    /// The same, knowing whether the destination compresses.
    pub(crate) fn compressing(self, compresses: bool) -> Pair {
        Pair { compresses, ..self }
    }

    /// The same, knowing whether the destination's numbers of files can be relied on.
    pub(crate) fn numbered(self, is_numbered: bool) -> Pair {
        Pair { is_numbered, ..self }
    }

    /// The way that large files go, which are written to their device then.
    pub(crate) fn large(&self, writing: Writing) -> &Large {
        &self.large[writing as usize]
    }

    /// Whether the destination writes all that memory has of a file before it makes that longer (xfs,
    /// `xfs_setattr_size`); others fill with zeros what they make longer.
    pub(crate) fn writes_before_it_grows(&self) -> bool {
        self.names[1].as_deref() == Some("xfs")
    }

    /// Whether files of the destination never share blocks with others, so that a kernel's copy is one.
    pub(crate) fn never_shares(&self) -> bool {
        const WITHOUT: [&str; 8] = ["ext2", "ext3", "ext4", "tmpfs", "ramfs", "vfat", "exfat", "f2fs"];
        self.names[1].as_deref().is_some_and(|name| WITHOUT.contains(&name))
    }

    /// Never try `method` between these two again.
    pub(crate) fn refuse(&self, method: Method, errno: Option<i32>) {
        // The first of several that were refused at once tells.
        let _ = self.refused[method.index()].set(errno);
    }

    pub(crate) fn refuses(&self, method: Method) -> bool {
        self.refused[method.index()].get().is_some() || self.distrusts(method)
    }

    /// Whether `method` would take a read or a write that fell short for a whole one, and copy other bytes.
    ///
    /// Splicing reads the page cache, which a short read fills up with zeros, even of files that are opened to go
    /// past it (`fuse_short_read` and `fuse_splice_read`); a ring goes on where a call stopped by a position that
    /// FUSE does not move (`__io_read`, `fuse_direct_IO`): seen on Linux 6.18.
    pub(crate) fn distrusts(&self, method: Method) -> bool {
        let [reads, writes] = self.falls_short;
        match method {
            Method::Sendfile | Method::Splice => reads,
            // Between two filesystems it splices.
            Method::CopyFileRange => reads && !self.same_filesystem,
            Method::IoUring => reads || writes,
            Method::Reflink | Method::Buffered | Method::System => false,
        }
    }

    /// Whether `method` is to be kept away from the source's pages in memory, where a filesystem lets the kernel
    /// splice in its place.
    pub(crate) fn must_be_direct(&self, method: Method) -> bool {
        method == Method::CopyFileRange && self.falls_short[0]
    }

    /// What was refused, with its error number.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (Method, Option<i32>)> + '_ {
        Method::ALL.into_iter().zip(&self.refused).filter_map(|(method, errno)| Some((method, *errno.get()?)))
    }
}
