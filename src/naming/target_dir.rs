//! The copy's directory: found, or made.

use std::{
    ffi::CStr,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    mem::MaybeUninit,
};

use crate::{
    entry::{FileId, Kind, Meta},
    error::{During, Fault, Op, Sided},
    fidelity::{check_made, is_ours},
    options::Attributes,
    platform::{Dir, Handle},
    refusal::Refusal,
    setting::{OWNERS, Setting},
    tree::{DirNode, Dirs, in_the_way},
};

/// The copy's directory, open.
pub(crate) struct OpenedTarget {
    pub(crate) target: Dir,
    pub(crate) found: Meta,
    /// Whether it was there already.
    pub(crate) existed: bool,
    /// The mode it had, where it had to be opened up to work in it.
    pub(crate) opened_up: Option<u32>,
}

/// Opens directories of the copy, and makes those that are not there.
pub(crate) struct TargetDirs<'a> {
    pub(crate) setting: &'a Setting,
    /// Whether directories of several sources are merged.
    pub(crate) merges: bool,
    pub(crate) listing: &'a mut [MaybeUninit<u8>],
}

impl TargetDirs<'_> {
    /// Open the copy's directory, created first where it is not there yet.
    pub(crate) fn open_or_create(
        &mut self,
        parent: &DirNode,
        dirs: &Dirs,
        name: &CStr,
        meta: &Meta,
    ) -> Result<OpenedTarget, Fault> {
        let mode = if self.setting.keeps(Attributes::MODE) { OWNERS } else { meta.mode & 0o777 | OWNERS };
        let existed = self.make_directory(parent, dirs, name, mode)?;
        let (target, opened_up) = match self.open_target(dirs, name, existed) {
            // The umask took from its owner what is needed to work in it.
            Err(fault) if !existed && fault.cause.kind() == io::ErrorKind::PermissionDenied => {
                (self.open_up_directory(dirs, name)?, None)
            }
            opened => opened?,
        };
        let may_be_anothers = !existed && self.setting.is_open_to_strangers(&parent.target);
        let mut found = match may_be_anothers {
            true => check_made(self.setting, self.listing, dirs, &target, mode)?,
            false => target.meta().during(Op::Stat).in_copy()?,
        };
        if !existed && found.mode & OWNERS != OWNERS && !self.setting.privileges.overrides_modes {
            Handle::Open(&target).set_mode(found.mode | OWNERS).during(Op::SetMode)?;
            found.mode |= OWNERS;
        }
        if found.id == meta.id {
            return Err(Fault::refused(Op::Copy, Refusal::SameDirectory));
        }
        Ok(OpenedTarget { target, found, existed, opened_up })
    }

    /// Create the copy's directory; whether it was there already.
    fn make_directory(&self, parent: &DirNode, dirs: &Dirs, name: &CStr, mode: u32) -> Result<bool, Fault> {
        // Directories of several sources are merged, whichever of them made theirs first.
        let may_exist = parent.target_dir.existed() || self.merges;
        match dirs.target.make_dir(name, mode) {
            Ok(()) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && may_exist => {
                match dirs.target.stat(name).during(Op::Stat).in_copy()?.kind {
                    Kind::Directory => Ok(true),
                    kind => Err(in_the_way(kind)),
                }
            }
            Err(error) => Err(parent.creation_fault(Op::CreateDirectory, error)),
        }
    }

    /// Open the copy's directory; one that its mode closes to its owner is opened up until the end,
    /// and the mode it had comes with it.
    fn open_target(&self, dirs: &Dirs, name: &CStr, existed: bool) -> Result<(Dir, Option<u32>), Fault> {
        if existed && !self.setting.privileges.overrides_modes {
            let there = dirs.target.stat(name).during(Op::Stat).in_copy()?;
            if there.mode & OWNERS != OWNERS && there.uid == self.setting.user {
                return Ok((self.open_up_directory(dirs, name)?, Some(there.mode)));
            }
        }
        Ok((dirs.target.open_dir(name).during(Op::CreateDirectory)?, None))
    }

    /// Open a directory of ours whose mode keeps us out, after giving us what we need.
    fn open_up_directory(&self, dirs: &Dirs, name: &CStr) -> Result<Dir, Fault> {
        let pinned = dirs.target.pin(name).during(Op::CreateDirectory)?;
        let there = pinned.meta().during(Op::Stat).in_copy()?;
        let replaced = || Fault::refused(Op::CreateDirectory, Refusal::Replaced);
        if there.kind != Kind::Directory
            || !is_ours(self.setting, dirs, &there).during(Op::CreateDirectory)?
        {
            return Err(replaced());
        }
        pinned.set_mode(there.mode | OWNERS).during(Op::SetMode)?;
        let opened = dirs.target.open_dir(name).during(Op::CreateDirectory)?;
        if opened.meta().during(Op::Stat).in_copy()?.id != there.id {
            return Err(replaced());
        }
        Ok(opened)
    }
}

/// What is there of the copy's directory, which is not touched; where nothing is, or a run that only counts has
/// no use for it, its parent stands for it.
pub(crate) fn look_at_target_dir(
    parent: &DirNode,
    dirs: &Dirs,
    name: &CStr,
    meta: &Meta,
    only_counts: bool,
) -> Result<OpenedTarget, Fault> {
    let absent = || {
        let target = dirs.target.duplicate().during(Op::Open).in_copy()?;
        // On the filesystem of its parent, with a number that no directory there is likely to have,
        // and that any other source's directory of its path has too.
        let FileId { dev, ino } = parent.target.id;
        let mut hasher = DefaultHasher::new();
        (ino, name).hash(&mut hasher);
        let id = FileId { dev, ino: hasher.finish() | 1 << 63 };
        Ok(OpenedTarget { target, found: Meta { id, ..*meta }, existed: false, opened_up: None })
    };
    if parent.target_dir.is_absent() || only_counts || parent.is_cleared(name) {
        return absent();
    }
    match dirs.target.stat(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => absent(),
        Err(error) => Err(Fault::new(Op::CreateDirectory, error)),
        Ok(found) if found.id == meta.id => Err(Fault::refused(Op::Copy, Refusal::SameDirectory)),
        Ok(found) if found.kind == Kind::Directory => {
            let target = dirs.target.open_dir(name).during(Op::CreateDirectory)?;
            let found = target.meta().during(Op::Stat).in_copy()?;
            Ok(OpenedTarget { target, found, existed: true, opened_up: None })
        }
        Ok(found) => Err(in_the_way(found.kind)),
    }
}

/// Reach a child directory of `parent` in the copy by `reach`; whether this run made it for another source.
///
/// Two entries of one source never share a directory; those of `several` sources are merged.
pub(crate) fn claim_directory(
    parent: &DirNode,
    several: bool,
    name: &CStr,
    reach: impl FnOnce() -> Result<OpenedTarget, Fault>,
) -> Result<(OpenedTarget, bool), Fault> {
    match &parent.made {
        _ if !several => {
            let reached = reach()?;
            match &parent.made {
                Some(made) if !reached.existed => {
                    // It may have the inode of an entry that failed and was removed.
                    made.lock().insert(reached.found.id);
                }
                _ => parent.claim_existing(name, &reached.found)?,
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
