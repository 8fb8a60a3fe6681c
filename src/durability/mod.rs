//! What lasts: markers of runs that were cut off, what is replaced, and what a power cut may have taken.

mod kept_names;
mod lost_data;
mod markers;
mod unfinished;

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub(crate) use kept_names::{Leftovers, OldName, order};
pub(crate) use markers::RunMarkers;

use crate::{
    error::{Fault, Op},
    options::Fsync,
    outcomes::Teller,
    platform::{self, Dir},
    setting::Setting,
    space::Space,
};

/// What is to last of a run's copies, and what of earlier runs may not have.
#[derive(Debug)]
pub(crate) struct Durability {
    setting: Arc<Setting>,
    pub(crate) leftovers: Leftovers,
    pub(crate) markers: RunMarkers,
    /// Filesystems that are to be durable in the end, by device.
    filesystems: Mutex<BTreeMap<u64, Dir>>,
}

impl Durability {
    /// Nothing done yet.
    pub(crate) fn new(setting: Arc<Setting>) -> Durability {
        Durability {
            setting,
            leftovers: Leftovers::default(),
            markers: RunMarkers::new(),
            filesystems: Mutex::default(),
        }
    }

    /// Filesystems that are to be durable in the end, by device.
    pub(crate) fn filesystems(&self) -> MutexGuard<'_, BTreeMap<u64, Dir>> {
        self.filesystems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Make the filesystems durable that have copies of this run, where that is wanted.
    pub(crate) fn sync_filesystems(&self, space: &Space, teller: &mut Teller) {
        if self.setting.job.fsync != Fsync::End {
            return;
        }
        let filesystems = mem::take(&mut *self.filesystems());
        for dir in filesystems.into_values() {
            if let Err(error) = platform::sync_filesystem(&dir) {
                let path = self.setting.job.target.path().to_owned();
                let failure = Fault::new(Op::Sync, error).at(path);
                space.stop_if_hopeless(teller, None, &failure);
                teller.fail_to_sync(failure);
            }
        }
    }
}
