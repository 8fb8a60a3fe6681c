//! What a run is given and does not change.

use std::{ffi::CStr, sync::Arc};

use crate::{
    cancel::Cancel,
    capabilities::ZeroCopyCapabilities,
    entry::Meta,
    error::Fault,
    frames::Coding,
    job::CopyJob,
    options::{Attributes, Delete, Fsync, Sparse},
    plan::LARGE_MIN,
    platform::{self, Mounts, Privileges},
    scheduler::Limiter,
    transfer::Zeros,
    tree::{Descriptors, TemporaryNames},
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

    /// Whether holes of the source are holes of the copy.
    pub(crate) fn keeps_holes(&self) -> bool {
        self.job.data.sparse != Sparse::Never && self.keeps(Attributes::SPARSE)
    }

    /// Whether a file is copied so that a later run can go on with it.
    pub(crate) fn may_resume(&self, meta: &Meta) -> bool {
        self.job.resume && meta.size >= LARGE_MIN
    }
}
