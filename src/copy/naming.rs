//! Giving entries of the copy their names, so that none of a run replaces another of it.

use std::{ffi::CStr, io};

use super::reach::Reached;
use crate::{
    copy::Copier,
    entry::{FileId, Kind, Meta},
    error::{During, Fault, Op, Sided},
    options::Compression,
    tree::{DirNode, Item, Made, Staged},
};

impl DirNode {
    /// Refuse to put an entry where this run has put another.
    pub(super) fn refuse_made(&self, name: &CStr, found: &Meta) -> Result<(), Fault> {
        let is_made = || self.made.as_ref().is_some_and(|made| made.lock().contains(found.id, name));
        if self.is_ours || is_made() { Err(collision()) } else { Ok(()) }
    }

    /// Note that this run answers for what it found as the copy's entry `name`, and that no other of
    /// its entries does yet.
    pub(super) fn vouch(&self, name: &CStr, found: &Meta) -> Result<(), Fault> {
        let Some(made) = &self.made else { return Ok(()) };
        let mut made = made.lock();
        let is_first = match found.kind {
            kind if kind != Kind::Directory && found.nlink > 1 => made.claim(name, kind).is_none(),
            _ => made.insert(found.id),
        };
        if is_first { Ok(()) } else { Err(collision()) }
    }

    /// Say what a failed creation means in a directory where nothing else was.
    pub(super) fn creation_fault(&self, op: Op, error: io::Error) -> Fault {
        if error.kind() == io::ErrorKind::AlreadyExists && (!self.existed || self.is_ours) {
            let who = "another entry of this run, or another program, has put something there meanwhile";
            return Fault::refused(Op::Replace, who);
        }
        Fault::new(op, error)
    }

    /// Reach a child directory of the copy by `reach`; whether this run made it for another source.
    ///
    /// Two entries of one source never share a directory; those of `several` sources are merged.
    pub(super) fn merge_once(
        &self,
        several: bool,
        name: &CStr,
        reach: impl FnOnce() -> Result<Reached, Fault>,
    ) -> Result<(Reached, bool), Fault> {
        match &self.made {
            _ if !several => {
                let reached = reach()?;
                match &self.made {
                    Some(made) if !reached.existed => {
                        // It may have the inode of an entry that failed and was removed.
                        made.lock().insert(reached.found.id);
                    }
                    _ => self.vouch(name, &reached.found)?,
                }
                Ok((reached, false))
            }
            // All that lies in this directory is this run's.
            None => reach().map(|reached| {
                let is_ours = reached.existed;
                (reached, is_ours)
            }),
            Some(made) => {
                let mut made = made.lock();
                let reached = reach()?;
                let is_ours = reached.existed && made.contains(reached.found.id, name);
                if !reached.existed {
                    made.insert(reached.found.id);
                }
                Ok((reached, is_ours))
            }
        }
    }
}

impl Copier {
    /// Give an entry of the copy its name, `target_name`, by `give`, in place of what is there where it `replaces`.
    ///
    /// Of all entries of this run that want one name, exactly one gets it: where nothing but a look
    /// beforehand would tell, looking and naming are one step for everybody. `id` is asked only then.
    pub(super) fn name_once<T>(
        &self,
        at: Item<'_>,
        target_name: &CStr,
        op: Op,
        replaces: bool,
        give: impl FnOnce() -> io::Result<T>,
        id: impl FnOnce(&T) -> io::Result<FileId>,
    ) -> Result<T, Fault> {
        let Item { node, dirs, .. } = at;
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
                    self.run.durability.markers.owe();
                }
                return Err(Fault::new(Op::Stat, error).in_copy());
            }
        }
        Ok(given)
    }
}

impl Copier {
    /// Whether a file of this size, which takes the place of another, has no name until it is finished.
    pub(super) fn names_late(&self, at: Item<'_>, size: u64) -> Result<bool, Fault> {
        /// Of smaller ones little is left where a run dies, and they cost up to a fifth more so (ext4, xfs, btrfs).
        const LATE_MIN: u64 = 1 << 20;
        let Item { node, dirs, .. } = at;
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

    /// As [`name_once`](Self::name_once), of a run that only tells what it would do.
    ///
    /// What else would end at one name is up to the filesystem, and shows in what is there.
    pub(super) fn tell_once(&self, at: Item<'_>, kind: Kind) -> Result<(), Fault> {
        let name = at.node.place.target_name(at.name, kind);
        let Some(made) = self.told_in(at.node) else { return Ok(()) };
        match made.lock().claim(&name, kind) {
            None => Ok(()),
            Some(_) if at.node.is_absent && !at.node.is_ours => {
                Err(at.node.creation_fault(Op::Replace, io::ErrorKind::AlreadyExists.into()))
            }
            Some(_) => Err(collision()),
        }
    }

    /// As [`tell_once`](Self::tell_once), of a directory that is not there; whether the run has told of it already.
    pub(super) fn tell_directory_once(&self, parent: &DirNode, name: &CStr) -> bool {
        self.told_in(parent).is_some_and(|made| made.lock().claim(name, Kind::Directory).is_some())
    }

    /// Refuse to tell of a directory where the run has told of something else.
    pub(super) fn refuse_told(&self, parent: &DirNode, name: &CStr) -> Result<(), Fault> {
        let told = self.told_in(parent).and_then(|made| made.lock().names.get(name).copied());
        match told {
            Some(kind) if kind != Kind::Directory => Err(in_the_way(kind)),
            _ => Ok(()),
        }
    }

    /// Where a run remembers what it told of, if two of its entries can have one name: those of sources of
    /// one base name, and those that get a suffix.
    fn told_in<'a>(&self, node: &'a DirNode) -> Option<&'a Made> {
        let can = !self.run.tree.namesakes.are_none() || self.setting.job.compression != Compression::None;
        node.made.as_deref().filter(|_| can)
    }
}

/// Refuse to make a directory where a `kind` of entry is.
pub(super) fn in_the_way(kind: Kind) -> Fault {
    Fault::in_the_way(Op::CreateDirectory, format!("{} is in the way", kind.described()))
}

fn collision() -> Fault {
    Fault::refused(Op::Replace, "another entry of this run was copied to that name")
}
