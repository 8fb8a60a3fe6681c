//! Which entries of the copy this run has made, where another of its entries might meet them.

use std::{
    collections::{HashMap, HashSet},
    ffi::CStr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::spellings::Spellings;
use crate::entry::{FileId, Kind, Meta};

/// Inodes that this run has put into one directory of the copy which was there before.
///
/// Needed where two entries can end at one name: several sources of one base name, or two names
/// that a case-folding directory holds for equal. In a directory that the run itself created, any
/// entry that is already there is one of its own, and nothing needs to be remembered.
///
/// By device, because that halves what an inode takes: a directory of a million files keeps a
/// million of them.
#[derive(Debug, Default)]
pub(crate) struct CreatedByDirectory {
    known: Mutex<Known>,
    /// How names are spelled there, once it mattered and if its filesystem folds case.
    pub(crate) spellings: OnceLock<Option<Spellings>>,
}

#[derive(Debug, Default)]
pub(crate) struct Known {
    inodes: HashMap<u64, HashSet<u64>>,
    /// Of files left as they are that have further names, which tell nothing of this one; and of all
    /// that a run tells of which makes nothing.
    pub(crate) names: HashMap<Box<CStr>, Kind>,
}

impl CreatedByDirectory {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this run made what is called `name`, or left it as it is, however it spells that.
    pub(crate) fn answers_for(&self, there: &Meta, name: &CStr) -> bool {
        let spellings = self.spellings.get().and_then(Option::as_ref);
        self.lock().answers_for(there, name) || spellings.is_some_and(|spellings| spellings.answer_for(name))
    }
}

impl Known {
    pub(crate) fn contains(&self, id: FileId, name: &CStr) -> bool {
        self.has(id) || !self.names.is_empty() && self.names.contains_key(name)
    }

    /// Whether this run made what is called `name`, or left it as it is.
    fn answers_for(&self, there: &Meta, name: &CStr) -> bool {
        // Of a file with several names, some may be extraneous.
        let is_one = there.kind == Kind::Directory || there.nlink == 1;
        is_one && self.has(there.id) || self.names.contains_key(name)
    }

    fn has(&self, id: FileId) -> bool {
        self.inodes.get(&id.dev).is_some_and(|made| made.contains(&id.ino))
    }

    /// Remember the name of a `kind`; the kind of what is known by it already, if anything.
    pub(crate) fn claim(&mut self, name: &CStr, kind: Kind) -> Option<Kind> {
        let known = self.names.get(name).copied();
        if known.is_none() {
            self.names.insert(name.into(), kind);
        }
        known
    }

    /// Remember `id`; whether it was not there yet.
    pub(crate) fn insert(&mut self, id: FileId) -> bool {
        self.inodes.entry(id.dev).or_default().insert(id.ino)
    }
}

/// What was made in each directory that several sources are copied into.
#[derive(Debug, Default)]
pub(crate) struct CreatedEntries(Mutex<HashMap<FileId, Arc<CreatedByDirectory>>>);

impl CreatedEntries {
    pub(crate) fn directory(&self, id: FileId) -> Arc<CreatedByDirectory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone()
    }
}
