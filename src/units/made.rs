//! Which entries of the copy this run has made, where another of its entries might meet them.

use std::{
    collections::{HashMap, HashSet},
    ffi::CStr,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{directory::Reached, entry::Item, node::Node};
use crate::{
    entry::{FileId, Kind, Meta},
    error::{During, Fault, Op},
    scheduler::Worker,
};

/// Inodes that this run has put into one directory of the copy which was there before.
///
/// Needed where two entries can end at one name: several sources of one base name, or two names
/// that a case-folding directory holds for equal. In a directory that the run itself created, any
/// entry that is already there is one of its own, and nothing needs to be remembered.
///
/// By device, because that halves what an inode takes: a directory of a million files keeps a
/// million of them.
#[derive(Debug, Default)]
pub(crate) struct Made(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    inodes: HashMap<u64, HashSet<u64>>,
    /// Of files left as they are that have further names: those tell nothing of this one.
    names: HashSet<Box<CStr>>,
}

impl Made {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn contains(&self, id: FileId, name: &CStr) -> bool {
        self.inodes.get(&id.dev).is_some_and(|made| made.contains(&id.ino))
            || !self.names.is_empty() && self.names.contains(name)
    }

    /// Remember `id`; whether it was not there yet.
    fn insert(&mut self, id: FileId) -> bool {
        self.inodes.entry(id.dev).or_default().insert(id.ino)
    }
}

/// What was made in each directory that several sources are copied into.
#[derive(Debug, Default)]
pub(crate) struct MadeWithin(Mutex<HashMap<FileId, Arc<Made>>>);

impl MadeWithin {
    pub(super) fn directory(&self, id: FileId) -> Arc<Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone()
    }
}

impl Node {
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
            kind if kind != Kind::Directory && found.nlink > 1 => made.names.insert(name.into()),
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
}

impl Node {
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
                self.vouch(name, &reached.found)?;
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

impl Worker {
    /// Give an entry of the copy its name by `give`, in place of what is there where it `replaces`.
    ///
    /// Of all entries of this run that want one name, exactly one gets it: where nothing but a look
    /// beforehand would tell, looking and naming are one step for everybody. `id` is asked only then.
    pub(super) fn name_once<T>(
        &self,
        at: Item<'_>,
        op: Op,
        replaces: bool,
        give: impl FnOnce() -> io::Result<T>,
        id: impl FnOnce(&T) -> io::Result<FileId>,
    ) -> Result<T, Fault> {
        let Item { node, dirs, name } = at;
        let Some(made) = &node.made else {
            return give().map_err(|error| node.creation_fault(op, error));
        };
        let target_name = node.place.target_name(name);
        let mut made = made.lock();
        if replaces && dirs.target.stat(target_name).is_ok_and(|there| made.contains(there.id, target_name)) {
            return Err(collision());
        }
        let given = give().map_err(|error| {
            let is_made = error.kind() == io::ErrorKind::AlreadyExists
                && dirs.target.stat(target_name).is_ok_and(|there| made.contains(there.id, target_name));
            if is_made { collision() } else { Fault::new(op, error) }
        })?;
        made.insert(id(&given).during(Op::Stat)?);
        Ok(given)
    }
}

pub(super) fn collision() -> Fault {
    Fault::refused(Op::Replace, "another entry of this run was copied to that name")
}
