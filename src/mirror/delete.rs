//! Deleting what only the copy has, a directory at a time, whatever its depth.

use std::{
    ffi::CStr,
    io,
    sync::{Arc, atomic::Ordering},
};

use super::{Deleter, extraneous::check_source};
use crate::{
    entry::{FileId, Kind, Meta},
    error::{During, Fault, Op, Sided},
    event::Done,
    guard::caught,
    options::{Attributes, Delete},
    platform::{self, Dir, Handle, ListCursor, Names},
    refusal::Refusal,
    report::WarningKind,
    select::Ignores,
    setting::OWNERS,
    transfer::{Watch, cancelled},
    tree::{CreatedByDirectory, DirPath, ExtraneousIn},
};

/// What a walk does with what it comes across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Count,
    Tell,
    Delete,
}

/// What a walk came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Walked {
    /// How many entries are extraneous, or were deleted.
    pub(crate) entries: u64,
    /// Whether none of those that it was to go through is left.
    pub(crate) is_all: bool,
}

/// A directory that is being deleted, and those above it.
struct Level {
    place: Arc<DirPath>,
    id: FileId,
    names: Arc<Names>,
    next: usize,
    /// Whether everything in it is gone so far.
    is_emptied: bool,
    /// The mode it gets back if it stays, where it was opened up.
    mode_to_restore: Option<u32>,
}

/// What lies under a name.
enum Found {
    /// Nothing: somebody else has deleted it.
    Nothing,
    /// Something that stays, and the directories above it.
    Stays,
    Directory(Dir, Level),
    Other(Kind),
}

/// What holds for all that is deleted below one directory.
struct Bounds<'a> {
    within: &'a ExtraneousIn,
    does: Does,
    mount: Option<u64>,
}

impl Deleter<'_> {
    /// Delete the extraneous entries of one directory of the copy, and give it back its times.
    pub(crate) fn delete(&mut self, within: &ExtraneousIn) {
        if let Err(fault) = caught(|| self.try_delete(within)) {
            self.fail(fault.at(within.place.path_in_copy(c"")));
        }
        self.end_deletion();
    }

    /// Delete these entries, or say that they would be; whether all are gone.
    pub(crate) fn try_delete(&mut self, within: &ExtraneousIn) -> Result<bool, Fault> {
        // It may have been empty already, and about to be removed, when it was looked at.
        check_source(within)?;
        if self.setting.job.dry_run {
            return Ok(self.walk_extraneous(within, Does::Tell)?.is_all);
        }
        let dir = open_again(within)?;
        let mode_to_restore = self.let_in(&dir, &dir.meta().during(Op::Stat).in_copy()?)?;
        let walked = self.walk_extraneous(within, Does::Delete);
        if let Some(mode) = mode_to_restore {
            Handle::Open(&dir).set_mode(mode).during(Op::SetMode)?;
        }
        if self.setting.keeps(Attributes::TIMESTAMPS) && self.setting.job.mirror.delete == Delete::After {
            let Meta { accessed, modified, .. } = within.source;
            if let Err(error) = Handle::Open(&dir).set_times(accessed, modified) {
                let path = || within.place.path_in_copy(c"");
                self.teller.warn_of(WarningKind::Times, path, &error.to_string());
            }
        }
        walked.map(|walked| walked.is_all)
    }

    /// Let this process work in a directory of its own that its mode keeps it from; the mode it had then.
    fn let_in(&self, dir: &Dir, meta: &Meta) -> Result<Option<u32>, Fault> {
        let is_closed = meta.mode & OWNERS != OWNERS && meta.uid == self.setting.user;
        if !is_closed || self.setting.privileges.overrides_modes {
            return Ok(None);
        }
        Handle::Open(dir).set_mode(meta.mode | OWNERS).during(Op::SetMode)?;
        Ok(Some(meta.mode))
    }

    /// Go through all that is extraneous in a directory, what directories hold before themselves.
    ///
    /// One directory is open at a time, whatever the depth; going up is through `..`, and only to the
    /// directory that was left.
    pub(crate) fn walk_extraneous(&mut self, within: &ExtraneousIn, does: Does) -> Result<Walked, Fault> {
        let mut dir = open_again(within)?;
        let bounds = Bounds { within, does, mount: platform::mount_number(&dir) };
        let mut entries = 0;
        let (place, names) = (within.place.clone(), within.names.clone());
        let mut levels =
            vec![Level { place, id: within.id, names, next: 0, is_emptied: true, mode_to_restore: None }];
        loop {
            let depth = levels.len();
            let level = levels.last_mut().expect("the last one ends the walk");
            if self.teller.is_cancelled() {
                return Err(Fault::new(Op::Remove, cancelled()));
            }
            if level.next < level.names.len() {
                let names = level.names.clone();
                let (name, _) = names.get(level.next);
                level.next += 1;
                match self.look_below(&dir, level, name, depth == 1, &bounds) {
                    Ok(Found::Nothing) => {}
                    Ok(Found::Stays) => level.is_emptied = false,
                    Ok(Found::Directory(below, inside)) => {
                        dir = below;
                        levels.push(inside);
                    }
                    Ok(Found::Other(kind)) => {
                        let is_gone = self.remove(&dir, &level.place, name, kind, does);
                        level.is_emptied &= is_gone;
                        entries += u64::from(is_gone);
                    }
                    Err(fault) if does == Does::Count => return Err(fault),
                    Err(fault) => {
                        level.is_emptied = false;
                        let path = level.place.path_in_copy(name);
                        self.fail(fault.at(path));
                    }
                }
                continue;
            }
            let through = levels.pop().expect("it was there a moment ago");
            let Some(above) = levels.last_mut() else {
                return Ok(Walked { entries, is_all: through.is_emptied });
            };
            if let (false, Some(mode)) = (through.is_emptied, through.mode_to_restore) {
                Handle::Open(&dir).set_mode(mode).during(Op::SetMode)?;
            }
            let up = dir.open_dir(c"..").during(Op::Open).in_copy()?;
            if up.meta().during(Op::Stat).in_copy()?.id != above.id {
                return Err(Fault::refused(Op::Remove, "a directory was moved while it was deleted"));
            }
            dir = up;
            let is_gone = through.is_emptied
                && self.remove(&dir, &above.place, through.place.name(), Kind::Directory, does);
            above.is_emptied &= is_gone;
            entries += u64::from(is_gone);
        }
    }

    /// Look at an entry without following it, and list it if it is a directory.
    fn look_below(
        &mut self,
        dir: &Dir,
        level: &Level,
        name: &CStr,
        is_top: bool,
        bounds: &Bounds<'_>,
    ) -> Result<Found, Fault> {
        let Bounds { within, does, mount } = *bounds;
        let meta = match dir.stat(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            found => found.during(Op::Remove)?,
        };
        let answers_for = |made: &Arc<CreatedByDirectory>| made.answers_for(&meta, name);
        if is_top && within.made.as_ref().is_some_and(answers_for) {
            return Ok(Found::Stays);
        }
        if self.is_kept(&level.place, within.ignores.as_deref(), name, meta.kind) {
            return Ok(Found::Stays);
        }
        if meta.kind != Kind::Directory {
            return Ok(Found::Other(meta.kind));
        }
        let refused = |why: &str| match does {
            Does::Count => Ok(Found::Stays), // as nothing will be done about it
            Does::Tell | Does::Delete => Err(Fault::refused(Op::Remove, why)),
        };
        if meta.id.dev != level.id.dev {
            return refused("another filesystem is mounted there");
        }
        let (below, mode_to_restore) = match dir.open_dir(name) {
            // Its mode keeps its own owner out.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && does == Does::Delete => {
                let is_ours = meta.uid == self.setting.user && !self.setting.privileges.overrides_modes;
                if !is_ours {
                    return Err(Fault::new(Op::Remove, error));
                }
                let pinned = dir.pin(name).during(Op::Remove)?;
                if pinned.meta().during(Op::Remove)?.id != meta.id {
                    return Err(Fault::refused(Op::Remove, Refusal::Replaced));
                }
                pinned.set_mode(meta.mode | OWNERS).during(Op::Remove)?;
                (dir.open_dir(name).during(Op::Remove)?, Some(meta.mode))
            }
            below => (below.during(Op::Remove)?, None),
        };
        let there = below.meta().during(Op::Remove)?;
        if there.id != meta.id {
            return Err(Fault::refused(Op::Remove, Refusal::Replaced));
        }
        if platform::mount_number(&below) != mount {
            return refused("another part of this filesystem is mounted there");
        }
        let opened_up = if does == Does::Delete { self.let_in(&below, &there)? } else { None };
        let mut names = Names::default();
        let mut cursor = ListCursor::default();
        while below.list(self.listing, &mut cursor, &mut names).during(Op::List).in_copy()? {}
        let inside = Level {
            place: Arc::new(DirPath::below(&level.place, name)),
            id: meta.id,
            names: Arc::new(names),
            next: 0,
            is_emptied: true,
            mode_to_restore: mode_to_restore.or(opened_up),
        };
        Ok(Found::Directory(below, inside))
    }

    /// Whether a rule keeps an entry that only the copy has.
    fn is_kept(&self, place: &DirPath, ignores: Option<&Ignores>, name: &CStr, kind: Kind) -> bool {
        let compression = self.setting.job.compression;
        !self.setting.job.mirror.delete_excluded
            && !compression.is_wanted(name, |name| self.choice.wants_at(place, ignores, name, kind))
    }

    /// Remove one entry, or act as if; whether it is gone.
    fn remove(&mut self, dir: &Dir, place: &Arc<DirPath>, name: &CStr, kind: Kind, does: Does) -> bool {
        let removed = match does {
            Does::Count => return true,
            Does::Tell => Ok(()),
            Does::Delete if kind == Kind::Directory => dir.remove_dir(name),
            Does::Delete => dir.remove(name),
        };
        match removed {
            Ok(()) => {
                self.extraneous.deleted.fetch_add(1, Ordering::Relaxed);
                self.teller.record(place, name, kind, Done::Deleted, 0);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                self.fail(Fault::new(Op::Remove, error).at(place.path_in_copy(name)));
                return false;
            }
        }
        true
    }
}

/// The directory whose entries are to be deleted, if it is still the one that was looked at.
fn open_again(within: &ExtraneousIn) -> Result<Dir, Fault> {
    let opened = within.place.open_target().and_then(|dir| dir.open_dir(c"."));
    let dir = opened.during(Op::Open).in_copy()?;
    if dir.meta().during(Op::Stat).in_copy()?.id != within.id {
        return Err(Fault::refused(Op::Remove, "its directory was replaced meanwhile"));
    }
    Ok(dir)
}
