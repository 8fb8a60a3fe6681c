//! One entry of a directory, whatever it is.

use std::{ffi::CStr, io, sync::Arc};

use crate::{
    copy::Copier,
    entry::{FileId, Kind, Meta},
    error::{During, Fault, Op},
    event::Done,
    transfer::Watch,
    tree::{DirNode, Dirs, EntryRef, is_internal},
};

/// How an entry was dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handled {
    /// It is done, or will be by units that are on their way.
    Done,
    /// It is not what it was listed as, but this.
    KindChanged(Kind),
}

/// What became of the first name of a link group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// Its copy is this inode, and further names can be linked to it.
    Copied(FileId),
    /// It was left out; another name has to be the first.
    Skipped,
    /// Its bytes are still being moved; whoever ends that will say.
    Pending,
}

/// How often an entry that found no room is tried again, where something may make room.
const LOOKS_FOR_ROOM: u32 = 8;

impl Copier {
    /// Deal with an entry that was listed as `listed`.
    ///
    /// `open` are the directories of `node`, where somebody has them at hand.
    pub(crate) fn entry(
        &mut self,
        node: &Arc<DirNode>,
        open: Option<&Dirs>,
        name: &CStr,
        listed: Option<Kind>,
    ) {
        // A directory of such a name is not ours.
        if is_internal(name) && listed != Some(Kind::Directory) {
            return self.teller.record(&node.place, name, Kind::File, Done::Skipped, 0);
        }
        let has_rules = self.setting.job.selection.has_rules();
        let excluded = if has_rules { self.run.choice.is_excluded(node, name, listed) } else { Ok(false) };
        let done = match excluded {
            Ok(true) => {
                self.teller.outcomes.totals.excluded += 1;
                Ok(())
            }
            Ok(false) if self.run.space.is_stopped(node) => {
                self.leave_untried(node);
                Ok(())
            }
            Ok(false) => {
                self.attempt(node, open, name, listed, 0);
                Ok(())
            }
            Err(fault) => Err(fault),
        };
        if let Err(fault) = done {
            self.fail(node, name, listed, fault);
        }
    }

    /// Try an entry, `tried` times before; where it may be tried once more, it will be.
    ///
    /// A panic is for the caller to catch.
    pub(crate) fn attempt(
        &mut self,
        node: &Arc<DirNode>,
        open: Option<&Dirs>,
        name: &CStr,
        listed: Option<Kind>,
        tried: u32,
    ) {
        self.teller.allow(0);
        self.teller.notes.tried = tried;
        let done = self.measured(|copier| {
            let mut done = copier.try_entry(node, open, name, listed, &mut None);
            // Other workers may fill it again meanwhile.
            for _ in 0..LOOKS_FOR_ROOM {
                match &done {
                    Err(fault) if copier.makes_room(fault) => {
                        done = copier.try_entry(node, open, name, listed, &mut None);
                    }
                    _ => break,
                }
            }
            done
        });
        if let Err(fault) = done {
            self.fail_or_retry(node, name, listed, tried, fault);
        }
    }

    pub(super) fn try_entry(
        &mut self,
        node: &Arc<DirNode>,
        open: Option<&Dirs>,
        name: &CStr,
        listed: Option<Kind>,
        group_to_lead: &mut Option<FileId>,
    ) -> Result<(), Fault> {
        const LOOKS: usize = 3;
        let opened;
        let dirs = match open {
            Some(dirs) => dirs,
            None => {
                opened = node.dirs()?;
                &*opened
            }
        };
        let at = EntryRef { node, dirs, name };
        let mut kind = match listed {
            Some(kind) if kind != Kind::Symlink || !dirs.source.follows() => kind,
            _ => dirs.source.stat(name).during(Op::Stat)?.kind,
        };
        for _ in 0..LOOKS {
            node.chosen.refuse_behind(name, kind)?;
            let handled = match kind {
                Kind::File => self.regular(at, group_to_lead)?,
                Kind::Directory => self.enter(at)?,
                Kind::Symlink => self.symlink(at, group_to_lead)?,
                _ => self.special(at, group_to_lead)?,
            };
            match handled {
                Handled::Done => return Ok(()),
                Handled::KindChanged(other) => kind = other,
            }
        }
        Err(Fault::changed(Op::Copy, "it changes its type all the time"))
    }

    /// Look up what the copy's directory has under `name`.
    pub(super) fn found(&self, node: &DirNode, dirs: &Dirs, name: &CStr) -> Result<Option<Meta>, Fault> {
        if self.setting.is_dry() && node.is_cleared(name) || self.is_in_the_way(node, name) {
            return Ok(None);
        }
        match dirs.target.stat(name) {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::new(Op::Replace, error)),
        }
    }

    /// Count an entry that is not tried.
    pub(super) fn leave_untried(&mut self, node: &Arc<DirNode>) {
        self.run.extraneous.count_failed(node.place.source_index());
        self.teller.outcomes.totals.untried += 1;
    }
}
