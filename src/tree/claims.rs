//! Which entries of the copy this run answers for, so that none of it replaces another.

use std::{ffi::CStr, io};

use super::DirNode;
use crate::{
    entry::{Kind, Meta},
    error::{Fault, Op},
    refusal::Refusal,
};

impl DirNode {
    /// Refuse to put an entry where this run has put another.
    pub(crate) fn refuse_made(&self, name: &CStr, found: &Meta) -> Result<(), Fault> {
        let is_made = || self.made.as_ref().is_some_and(|made| made.lock().contains(found.id, name));
        if self.target_dir.is_of_other_source() || is_made() { Err(collision()) } else { Ok(()) }
    }

    /// Note that this run answers for what it found as the copy's entry `name`, and that no other of
    /// its entries does yet.
    pub(crate) fn claim_existing(&self, name: &CStr, found: &Meta) -> Result<(), Fault> {
        let Some(made) = &self.made else { return Ok(()) };
        let mut made = made.lock();
        let is_first = match found.kind {
            kind if kind != Kind::Directory && found.nlink > 1 => made.claim(name, kind).is_none(),
            _ => made.insert(found.id),
        };
        if is_first { Ok(()) } else { Err(collision()) }
    }

    /// Say what a failed creation means in a directory where nothing else was.
    pub(crate) fn creation_fault(&self, op: Op, error: io::Error) -> Fault {
        if error.kind() == io::ErrorKind::AlreadyExists
            && (!self.target_dir.existed() || self.target_dir.is_of_other_source())
        {
            let who = "another entry of this run, or another program, has put something there meanwhile";
            return Fault::refused(Op::Replace, who);
        }
        Fault::new(op, error)
    }
}

/// Refuse to make a directory where a `kind` of entry is.
pub(crate) fn in_the_way(kind: Kind) -> Fault {
    Fault::in_the_way(Op::CreateDirectory, format!("{} is in the way", kind.described()))
}

/// Another entry of the run has that name.
pub(crate) fn collision() -> Fault {
    Fault::refused(Op::Replace, Refusal::Collision)
}
