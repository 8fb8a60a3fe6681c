//! Giving entries of the copy their names, so that none of a run replaces another of it.

mod target_dir;

use std::{ffi::CStr, io};

pub(crate) use target_dir::{OpenedTarget, TargetDirs, claim_directory, look_at_target_dir};

use crate::{
    durability::RunMarkers,
    entry::{FileId, Kind},
    error::{During, Fault, Op, Sided},
    options::Compression,
    setting::Setting,
    tree::{CreatedByDirectory, DirNode, EntryRef, Namesakes, Staged, collision, in_the_way},
};

/// Gives entries of the copy their names.
pub(crate) struct Naming<'a> {
    pub(crate) setting: &'a Setting,
    pub(crate) namesakes: &'a Namesakes,
    pub(crate) markers: &'a RunMarkers,
}

impl Naming<'_> {
    /// Give an entry of the copy its name, `target_name`, by `give`, in place of what is there where it `replaces`.
    ///
    /// Of all entries of this run that want one name, exactly one gets it: where nothing but a look
    /// beforehand would tell, looking and naming are one step for everybody. `id` is asked only then.
    pub(crate) fn publish_exclusively<T>(
        &self,
        at: EntryRef<'_>,
        target_name: &CStr,
        op: Op,
        replaces: bool,
        give: impl FnOnce() -> io::Result<T>,
        id: impl FnOnce(&T) -> io::Result<FileId>,
    ) -> Result<T, Fault> {
        let EntryRef { node, dirs, .. } = at;
        let Some(made) = &node.made else {
            return give().map_err(|error| node.creation_fault(op, error));
        };
        let mut made = made.lock();
        if replaces && dirs.target.stat(target_name).is_ok_and(|there| made.contains(there.id, target_name)) {
            return Err(collision());
        }
        let given = give().map_err(|error| {
            let is_made = error.kind() == io::ErrorKind::AlreadyExists
                && dirs.target.stat(target_name).is_ok_and(|there| made.contains(there.id, target_name));
            if is_made { collision() } else { Fault::new(op, error) }
        })?;
        match id(&given) {
            Ok(id) => {
                made.insert(id);
            }
            Err(error) => {
                // It is not finished, and has the name of what is.
                if !replaces && dirs.target.remove(target_name).is_err() {
                    self.markers.owe();
                }
                return Err(Fault::new(Op::Stat, error).in_copy());
            }
        }
        Ok(given)
    }

    /// Whether a file of this size, which takes the place of another, has no name until it is finished.
    pub(crate) fn names_late(&self, at: EntryRef<'_>, size: u64) -> Result<bool, Fault> {
        /// Of smaller ones little is left where a run dies, and they cost up to a fifth more so (ext4, xfs, btrfs).
        const LATE_MIN: u64 = 1 << 20;
        let EntryRef { node, dirs, .. } = at;
        if size < LATE_MIN {
            return Ok(false);
        }
        let known = &node.pair.names_late;
        if let Some(names_late) = known.get() {
            return Ok(*names_late);
        }
        let can = Staged::can_be_named_late(&dirs.target, &self.setting.temporaries);
        let can = can.during(Op::CreateFile).in_copy()?;
        Ok(*known.get_or_init(|| can))
    }

    /// As [`publish_exclusively`](Self::publish_exclusively), of a run that only tells what it would do.
    ///
    /// What else would end at one name is up to the filesystem, and shows in what is there.
    pub(crate) fn tell_once(&self, at: EntryRef<'_>, kind: Kind) -> Result<(), Fault> {
        let name = at.node.place.target_name(at.name, kind);
        let Some(made) = self.told_in(at.node) else { return Ok(()) };
        match made.lock().claim(&name, kind) {
            None => Ok(()),
            Some(_) if at.node.target_dir.is_absent() && !at.node.target_dir.is_of_other_source() => {
                Err(at.node.creation_fault(Op::Replace, io::ErrorKind::AlreadyExists.into()))
            }
            Some(_) => Err(collision()),
        }
    }

    /// As [`tell_once`](Self::tell_once), of a directory that is not there; whether the run has told of it already.
    pub(crate) fn tell_directory_once(&self, parent: &DirNode, name: &CStr) -> bool {
        self.told_in(parent).is_some_and(|made| made.lock().claim(name, Kind::Directory).is_some())
    }

    /// Refuse to tell of a directory where the run has told of something else.
    pub(crate) fn refuse_told(&self, parent: &DirNode, name: &CStr) -> Result<(), Fault> {
        let told = self.told_in(parent).and_then(|made| made.lock().names.get(name).copied());
        match told {
            Some(kind) if kind != Kind::Directory => Err(in_the_way(kind)),
            _ => Ok(()),
        }
    }

    /// Where a run remembers what it told of, if two of its entries can have one name: those of sources of
    /// one base name, and those that get a suffix.
    fn told_in<'a>(&self, node: &'a DirNode) -> Option<&'a CreatedByDirectory> {
        let can = !self.namesakes.are_none() || self.setting.job.compression != Compression::None;
        node.made.as_deref().filter(|_| can)
    }
}
