//! Giving entries of the copy their names, so that none of a run replaces another of it.

use std::{ffi::CStr, io};

use super::{entry::Item, node::Node, reach::Reached};
use crate::{
    entry::{FileId, Kind, Meta},
    error::{During, Fault, Op},
    scheduler::Worker,
};

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
        made.insert(id(&given).during(Op::Stat)?);
        Ok(given)
    }
}

impl Worker {
    /// As [`name_once`](Self::name_once), of a run that only tells what it would do.
    ///
    /// Only sources of one base name are asked about: what else would end at one name is up to the
    /// filesystem, and shows in what is there.
    pub(super) fn tell_once(&self, at: Item<'_>, kind: Kind) -> Result<(), Fault> {
        let name = at.node.place.target_name(at.name, kind);
        match self.told_before(at.node, &name, kind) {
            None => Ok(()),
            Some(_) => Err(collision()),
        }
    }

    /// As [`tell_once`](Self::tell_once), of a directory that is not there; whether the run has told of it already.
    pub(super) fn tell_directory_once(&self, parent: &Node, name: &CStr) -> Result<bool, Fault> {
        match self.told_before(parent, name, Kind::Directory) {
            None => Ok(false),
            Some(Kind::Directory) => Ok(true),
            Some(kind) => Err(in_the_way(kind)),
        }
    }

    fn told_before(&self, node: &Node, name: &CStr, kind: Kind) -> Option<Kind> {
        let made = node.made.as_ref().filter(|_| !self.context.namesakes.are_none())?;
        made.lock().claim(name, kind)
    }
}

/// Refuse to make a directory where a `kind` of entry is.
pub(super) fn in_the_way(kind: Kind) -> Fault {
    Fault::refused(Op::CreateDirectory, format!("{} is in the way", kind.described()))
}

fn collision() -> Fault {
    Fault::refused(Op::Replace, "another entry of this run was copied to that name")
}
