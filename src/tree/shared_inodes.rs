//! Files of the copy that have several names.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::entry::FileId;

/// What a run knows of files of the copy that had several names when it came to them.
#[derive(Debug, Default)]
pub(crate) struct SharedFiles {
    known: Mutex<Known>,
    has_lost_names: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    /// The source's inode that each stands for.
    sources: HashMap<FileId, FileId>,
    /// Those that lost or gained a name, which has moved their change times.
    renamed: HashSet<FileId>,
}

impl SharedFiles {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the copy's inode stands for this source inode, and for no other.
    pub(crate) fn stands_for(&self, copy: FileId, source: FileId) -> bool {
        *self.known().sources.entry(copy).or_insert(source) == source
    }

    /// Note that a name of the copy's inode is given to something else.
    pub(crate) fn lost_a_name(&self, copy: FileId) {
        self.known().renamed.insert(copy);
        self.has_lost_names.store(true, Ordering::Release);
    }

    /// Whether the change time of the copy's inode says nothing, because of what this run did.
    pub(crate) fn has_lost_a_name(&self, copy: FileId) -> bool {
        self.has_lost_names.load(Ordering::Acquire) && self.known().renamed.contains(&copy)
    }
}
