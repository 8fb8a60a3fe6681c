//! An entry of the copy that is acted on, whatever happens to its name meanwhile.

use std::{ffi::CStr, fs::File, io, mem::MaybeUninit};

use super::attributes::LEAST;
use crate::{
    entry::{Kind, Meta},
    error::{During, Fault, Op, Sided},
    platform::{self, Dir, Handle, Pinned},
    setting::Setting,
    tree::{DirNode, Dirs, Staged, each_name},
};

/// Said of what somebody else has put where an entry of the copy was made.
const REPLACED: &str = "something else was put in its place meanwhile";

/// An entry that is held: open where it is a file that can be opened at once, and pinned otherwise.
pub(crate) enum Held {
    Open(File),
    Pinned(Pinned),
}

impl Held {
    /// Hold the entry `name` of `dir`, never waiting for anything.
    pub(crate) fn of(dir: &Dir, name: &CStr, kind: Kind) -> io::Result<Held> {
        match kind {
            Kind::File => match dir.open_at_once(name) {
                Ok(file) => Ok(Held::Open(file)),
                // It may not be read, or somebody has a lease on it.
                Err(_) => dir.pin(name).map(Held::Pinned),
            },
            _ => dir.pin(name).map(Held::Pinned),
        }
    }

    pub(crate) fn handle(&self) -> Handle<'_> {
        match self {
            Held::Open(file) => Handle::Open(file),
            Held::Pinned(pinned) => Handle::Pinned(pinned),
        }
    }
}

/// Hold what was just made as `name` in a directory of the copy, like `source`.
///
/// Where others may give names there, it may be something of theirs by now, or a name that they gave to
/// something of root's.
pub(crate) fn hold_made(
    setting: &Setting,
    node: &DirNode,
    dirs: &Dirs,
    name: &CStr,
    source: &Meta,
    op: Op,
) -> Result<Pinned, Fault> {
    let pinned = dirs.target.pin(name).during(op)?;
    if setting.is_open_to_strangers(&node.target) {
        let made = pinned.meta().during(Op::Stat).in_copy()?;
        let is_alike = made.kind == source.kind && (!made.kind.is_special() || made.rdev == source.rdev);
        if !is_alike || made.nlink != 1 || !is_ours(setting, dirs, &made).during(op)? {
            return Err(Fault::refused(op, REPLACED));
        }
    }
    Ok(pinned)
}

/// See that a directory which was made with `mode` is the one that was opened, or as good as that, since
/// who may give names beside it may have put another there; what it is then.
pub(crate) fn check_made(
    setting: &Setting,
    listing: &mut [MaybeUninit<u8>],
    dirs: &Dirs,
    made: &Dir,
    mode: u32,
) -> Result<Meta, Fault> {
    let found = made.meta().during(Op::Stat).in_copy()?;
    let mut is_empty = true;
    let again = made.open_dir(c".").during(Op::CreateDirectory)?; // which is listed from its beginning
    let listed = each_name(&again, listing, &setting.cancel, |_| {
        is_empty = false;
        Ok(())
    });
    listed.during(Op::List).in_copy()?;
    if !is_empty || !is_ours(setting, dirs, &found).during(Op::CreateDirectory)? {
        return Err(Fault::refused(Op::CreateDirectory, REPLACED));
    }
    if found.mode & 0o777 & !mode != 0 {
        // An empty one of ours, which others must not enter yet. Some filesystems know no modes.
        match Handle::Open(made).set_mode(mode) {
            Err(error) if !platform::is_not_kept(&error) => return Err(Fault::new(Op::SetMode, error)),
            _ => return made.meta().during(Op::Stat).in_copy(),
        }
    }
    Ok(found)
}

/// Whether something belongs to whom everything belongs that this process creates there.
pub(crate) fn is_ours(setting: &Setting, dirs: &Dirs, there: &Meta) -> io::Result<bool> {
    if there.uid == setting.user {
        return Ok(true);
    }
    // Some filesystems give everything to one user. What is created open is known for certain.
    let names = &setting.temporaries;
    let staged = Staged::unnamed(&dirs.target, LEAST, names)?;
    let owner = platform::meta(&staged.file).map(|meta| meta.uid);
    staged.discard(&dirs.target, c"")?;
    Ok(owner? == there.uid)
}
