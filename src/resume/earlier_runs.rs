//! What runs before this one have left in a directory: journals, marks, temporaries.

use std::{
    collections::HashSet,
    ffi::CStr,
    mem::MaybeUninit,
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::{
    durability::{Durability, order},
    entry::FileId,
    error::Fault,
    learned::Pair,
    mirror::Extraneous,
    options::Delete,
    outcomes::Teller,
    platform::{self, Dir, Order},
    report::WarningKind,
    resume::Resume,
    setting::Setting,
    space::Space,
    tree::{DirNode, is_internal, is_temporary, staged},
};

/// Which directory is looked through before anything is put into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookedAt {
    /// One of the copy.
    Copy,
    /// That which holds the copy of a single file.
    Holder,
}

/// Looks for what earlier runs have left in directories of the copy.
pub(crate) struct EarlierRuns<'a> {
    pub(crate) setting: &'a Setting,
    /// With several sources: directories of the copy that were looked through.
    pub(crate) swept: &'a Mutex<HashSet<FileId>>,
    pub(crate) extraneous: &'a Extraneous,
    pub(crate) space: &'a Space,
    pub(crate) durability: &'a Durability,
    pub(crate) resume: &'a Resume,
    pub(crate) teller: &'a mut Teller,
    pub(crate) listing: &'a mut [MaybeUninit<u8>],
}

impl EarlierRuns<'_> {
    /// Take note of what runs before this one have left in a directory of the copy.
    pub(crate) fn meet_earlier_runs(
        &mut self,
        parent: &DirNode,
        target: &Dir,
        id: FileId,
        pair: &Pair,
        target_name: &CStr,
    ) -> Result<(), Fault> {
        if parent.place.is_root() {
            if !self.setting.is_dry() {
                self.resume.load_journal(self.listing, target, id)?;
            }
            self.durability.note_above(self.listing, target, pair);
        }
        self.sweep(LookedAt::Copy, target, id, pair, &parent.place.path_in_copy(target_name));
        Ok(())
    }

    /// Remove what runs that died have left in a directory of the copy, as far as that works.
    ///
    /// Once a run, before any of its entries is begun there: what comes later may be this run's own. A
    /// run that only tells counts it as gone.
    pub(crate) fn sweep(&mut self, of: LookedAt, target: &Dir, id: FileId, pair: &Pair, path: &Path) {
        let is_dry = self.setting.is_dry();
        // What lies beside copies is none of theirs.
        let counts = of == LookedAt::Copy && self.setting.job.mirror.delete != Delete::Never;
        // Held throughout: a worker on another source of the same directory waits for the end.
        let mut swept = match self.setting.job.sources.len() {
            1 => None, // each directory is entered once
            _ => Some(self.swept.lock().unwrap_or_else(PoisonError::into_inner)),
        };
        if swept.as_mut().is_some_and(|swept| !swept.insert(id)) {
            return;
        }
        let mut left = Vec::new();
        let is_lost = || order(pair, id.dev) == Order::Lost;
        let swept = staged::each_name(target, self.listing, &self.setting.cancel, |name| {
            if counts && !is_internal(name) {
                self.extraneous.count_there();
            }
            if is_dry {
                if staged::is_left(name) && !is_lost() {
                    self.space.subtract_gone(target, id.dev, name);
                }
                self.durability.markers.note(target, name, pair);
                return Ok(());
            }
            let swept = match staged::is_left(name) && !self.resume.journals.mentions(name) {
                true if is_temporary(name) && is_lost() => {
                    self.durability.leftovers.add(id, name);
                    Ok(())
                }
                true => staged::sweep(target, name),
                false => Ok(()),
            };
            // What another user has left may be his to remove; one's own goes all the same.
            if let Err(error) = swept.and_then(|()| self.durability.markers.take_over(target, id, name, pair))
            {
                left.push((name.to_owned(), error));
            }
            Ok(())
        });
        for (name, error) in left {
            self.teller.warn_of(
                WarningKind::Leftover,
                || path.join(platform::to_os(&name)),
                &error.to_string(),
            );
        }
        if let Err(error) = swept {
            self.teller.warn_of(WarningKind::Leftover, || path.to_owned(), &error.to_string());
        }
    }
}
