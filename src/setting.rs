//! What a run is given and does not change.

use std::{
    ffi::CStr,
    fs::File,
    sync::{Arc, OnceLock},
};

use crate::{
    cancel::Cancel,
    capabilities::ZeroCopyCapabilities,
    entry::Meta,
    error::Fault,
    frames::Coding,
    job::{CopyJob, Target},
    options::{Attributes, Delete, Fsync, Sparse},
    plan::LARGE_MIN,
    platform::{self, Dir, Mounts, Privileges, Room},
    scheduler::Limiter,
    transfer::{ASK_MIN, Zeros},
    tree::{Descriptors, SplitPath, TemporaryNames},
};

/// What a run is given and does not change: its job, what its process may do, and what its engine lends it.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) job: CopyJob,
    pub(crate) capabilities: ZeroCopyCapabilities,
    pub(crate) cancel: Cancel,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) descriptors: Arc<Descriptors>,
    pub(crate) mounts: Arc<Mounts>,
    pub(crate) temporaries: TemporaryNames,
    pub(crate) privileges: Privileges,
    /// Who runs this.
    pub(crate) user: u32,
    /// The directory that holds the copies; open once, however many sources there are.
    pub(crate) target: OnceLock<Arc<Dir>>,
}

/// Rights of the group, which may be an ACL's mask, and of all others.
pub(crate) const OTHERS_WRITE: u32 = 0o022;

/// What the owner of a directory needs to work in it.
pub(crate) const OWNERS: u32 = 0o700;

impl Setting {
    pub(crate) fn new(
        job: CopyJob,
        cancel: Cancel,
        descriptors: Arc<Descriptors>,
        mounts: Arc<Mounts>,
    ) -> Setting {
        Setting {
            capabilities: ZeroCopyCapabilities::detect(),
            limiter: Arc::new(Limiter::new(job.limits, cancel.bell().clone())),
            descriptors,
            mounts,
            temporaries: TemporaryNames::new(),
            privileges: platform::privileges(),
            user: platform::effective_user(),
            target: OnceLock::new(),
            job,
            cancel,
        }
    }

    /// Whether others than root and who runs this may write to something, or give names in a directory.
    pub(crate) fn is_open_to_strangers(&self, meta: &Meta) -> bool {
        !self.trusts(meta.uid) || meta.mode & OTHERS_WRITE != 0
    }

    /// Whether a user can do no more than harm himself: who runs this, and root, who may do anything.
    pub(crate) fn trusts(&self, uid: u32) -> bool {
        uid == self.user || uid == 0
    }

    pub(crate) fn keeps(&self, attribute: Attributes) -> bool {
        self.job.preserve.keeps(attribute)
    }

    /// Whether the run only says what it would do, or only deletes: then nothing is copied.
    pub(crate) fn is_dry(&self) -> bool {
        self.job.dry_run || self.job.mirror.delete == Delete::Only
    }

    /// What is done to the content of the source's file `name` on its way.
    pub(crate) fn coding(&self, name: &CStr) -> Option<Coding> {
        self.job.compression.coding_of(name)
    }

    /// Whether each file is made durable by itself.
    pub(crate) fn syncs_each(&self) -> bool {
        match self.job.fsync {
            Fsync::None | Fsync::Auto => false,
            Fsync::File => true,
            Fsync::End => !platform::SYNCS_FILESYSTEMS,
        }
    }

    /// Whether further names of this entry become hard links.
    pub(crate) fn is_linked(&self, meta: &Meta) -> bool {
        meta.nlink > 1 && self.job.preserve.keeps(Attributes::LINKS)
    }

    pub(crate) fn zeros(&self) -> Zeros {
        match self.job.data.sparse {
            Sparse::Always => Zeros::LeaveOut,
            Sparse::Auto | Sparse::Never => Zeros::Write,
        }
    }

    /// Whether the same is tried again after `fault`.
    pub(crate) fn may_retry(&self, fault: &Fault, tried: u32) -> bool {
        tried < self.job.retry.times && fault.is_transient() && !self.cancel.is_cancelled()
    }

    /// Whether a file has holes that are to be kept.
    ///
    /// Blocks that were reserved and never written are holes too, though they count as allocated;
    /// they are asked for only in files that are large against the cost of asking.
    pub(crate) fn seeks_data(&self, source: &File, meta: &Meta) -> bool {
        let may_skip = self.job.data.sparse != Sparse::Never && self.keeps(Attributes::SPARSE);
        let all = Some((0, meta.size));
        may_skip
            && (meta.is_sparse()
                || meta.size >= ASK_MIN
                    && platform::next_data(source, 0, meta.size).is_ok_and(|data| data != all))
    }

    /// Whether a file is copied so that a later run can go on with it.
    pub(crate) fn may_resume(&self, meta: &Meta) -> bool {
        self.job.resume && meta.size >= LARGE_MIN
    }
}

/// Where the copies go.
impl Setting {
    /// The one copy, as far as it is a directory that is there, or else the directory that holds all copies:
    /// where something is mounted on the copy itself, room is to be looked for there.
    pub(crate) fn directory_of_copies(&self) -> Option<Dir> {
        let holder = self.target.get()?;
        let job = &self.job;
        let name = match (&job.target, &job.sources[..]) {
            (Target::Exact(path), _) => SplitPath::of_target(path).ok().map(|to| to.name),
            (Target::Within(_), [source]) => SplitPath::of(source).ok().map(|from| from.base),
            (Target::Within(_), _) => None,
        };
        let copy = name.and_then(|name| holder.open_dir(&name).ok());
        copy.or_else(|| holder.duplicate().ok())
    }

    /// What room there is at the destination, if that can be told.
    pub(crate) fn room(&self) -> Option<Room> {
        platform::room(&self.directory_of_copies()?).ok()
    }

    /// Whether the destination has become read-only, which the error of a call alone does not say.
    pub(crate) fn is_read_only(&self) -> bool {
        self.room().and_then(|room| room.is_read_only).unwrap_or(true) || self.refuses_files()
    }

    /// Whether nothing can be created at the destination because it is read-only: ext4 that has met with an
    /// error is, and does not say so (`EXT4_FLAGS_EMERGENCY_RO` of the kernel's fs/ext4/ext4.h).
    fn refuses_files(&self) -> bool {
        let refusal = self.directory_of_copies().and_then(|dir| dir.create_unnamed(0o600).err());
        refusal.is_some_and(|error| error.kind() == std::io::ErrorKind::ReadOnlyFilesystem)
    }
}
