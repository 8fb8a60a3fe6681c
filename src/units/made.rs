//! Which entries of the copy this run has made, where another of its entries might meet them.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use crate::entry::FileId;

/// Inodes of copies that this run made.
///
/// Needed where two sources can end at one name: several sources of one base name, or two names
/// that a case-folding directory holds for equal. In a directory that the run itself created, any
/// entry that is already there is one of its own, and nothing needs to be remembered.
///
/// By device, because that halves what an inode takes: a directory of a million files keeps a
/// million of them.
#[derive(Debug, Default)]
pub(crate) struct Made(Mutex<HashMap<u64, HashSet<u64>>>);

impl Made {
    pub(crate) fn insert(&self, id: FileId) {
        self.0.lock().expect("inserting does not panic").entry(id.dev).or_default().insert(id.ino);
    }

    pub(crate) fn contains(&self, id: FileId) -> bool {
        let made = self.0.lock().expect("looking does not panic");
        made.get(&id.dev).is_some_and(|made| made.contains(&id.ino))
    }
}
