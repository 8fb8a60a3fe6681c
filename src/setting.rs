//! What a run is given and does not change.

use std::sync::Arc;

use crate::{
    cancel::Cancel,
    capabilities::ZeroCopyCapabilities,
    entry::Meta,
    job::CopyJob,
    platform::{self, Mounts, Privileges},
    scheduler::Limiter,
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
}
