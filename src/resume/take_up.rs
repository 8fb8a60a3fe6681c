//! Going on inside large files that an earlier run has left unfinished.
//!
//! With `--resume` a large file is written under a temporary's name, and each step of it that is in place is
//! written down with the digest of what the source has there. A later run checks what is in place by those
//! digests, and copies the rest.

use std::{ffi::CStr, io, mem::MaybeUninit, path::PathBuf, sync::Arc};

use crate::{
    durability::Durability,
    entry::{FileId, Kind, Meta},
    error::{During, Fault, Op, Sided},
    outcomes::Teller,
    platform::{self, Dir},
    report::WarningKind,
    resume::{
        JournalEntry, Journals, Resume, Sides,
        check::digest_of_range,
        journal::{self, InPlace, SourceState, Unfinished},
        journals::{Journal, open_ours},
    },
    setting::Setting,
    tree::{DirNode, EntryRef, Staged, staged},
    verify::Verifier,
};

/// What is there of a file that an earlier run has begun.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) entered: JournalEntry,
    pub(crate) ranges: Vec<InPlace>,
    /// Whether the source may be another by now, though its size and time are what they were: then it is compared as
    /// well.
    pub(crate) is_doubtful: bool,
}

/// The directory whose journal an entry of `node` is written down in, and the path from there.
fn home(node: &Arc<DirNode>, name: &CStr) -> (Arc<DirNode>, Vec<u8>) {
    let mut at = node.clone();
    while let Some(parent) = at.parent.clone().filter(|parent| !parent.place.is_root()) {
        at = parent;
    }
    let mut path = node.place.names_down();
    if !path.is_empty() {
        path.remove(0); // that of the directory itself
    }
    let target_name = node.place.target_name(name, Kind::File);
    path.push(&target_name);
    let key = journal::key(&path);
    (at, key)
}

impl Resume {
    pub(crate) fn new(setting: Arc<Setting>) -> Resume {
        Resume { setting, journals: Journals::default() }
    }

    /// Read what an earlier run has left in a directory that may have a journal.
    pub(crate) fn load_journal(
        &self,
        listing: &mut [MaybeUninit<u8>],
        dir: &Dir,
        id: FileId,
    ) -> Result<(), Fault> {
        if !self.setting.job.resume {
            return Ok(());
        }
        let loaded = self.journals.load(dir, id, self.setting.user, listing, &self.setting.cancel);
        loaded.during(Op::List).in_copy()
    }

    /// A step of a large file is in place: write that down.
    pub(crate) fn enter_step(
        &self,
        verifier: &mut Verifier<'_>,
        entered: Option<&JournalEntry>,
        file: Sides<'_>,
        (from, to): (u64, u64),
    ) -> Result<(), Fault> {
        let Some(entered) = entered.filter(|_| from < to) else { return Ok(()) };
        if let Some(digest) = digest_of_range(verifier, file, file.source, from, to)? {
            self.journals.add(entered, InPlace { from, to, digest });
        }
        Ok(())
    }

    /// Go on with what an earlier run has left of a file, if that can be.
    pub(crate) fn take_up(
        &self,
        durability: &Durability,
        at: EntryRef<'_>,
        meta: &Meta,
    ) -> Result<Option<(Staged, Resumed)>, Fault> {
        let EntryRef { node, dirs, name } = at;
        let (home, path) = home(node, name);
        let home = (home.target.id.dev, home.target.id.ino);
        let Some(file) = self.journals.unfinished(home, &path) else { return Ok(None) };
        let entered = JournalEntry { home, path, number: file.number };
        if file.source.looks_like(meta)
            && let Some(there) =
                open_ours(&dirs.target, &file.temporary, self.setting.user).during(Op::CreateFile)?
            && platform::meta(&there).during(Op::Stat).in_copy()?.id.ino == file.copy
        {
            return Ok(Some((
                Staged::taken_up(there, file.temporary),
                Resumed { entered, ranges: file.ranges, is_doubtful: file.source != SourceState::of(meta) },
            )));
        }
        // The source is another by now, or what was there of the copy.
        self.journals.remove(&entered);
        if durability.keeps_old(&node.pair, node.target.id.dev) {
            // It may be what another has replaced, whose name is not durable yet.
            dirs.target.sync().during(Op::Sync).in_copy()?;
        }
        staged::sweep(&dirs.target, &file.temporary).during(Op::Remove)?;
        Ok(None)
    }

    /// Write down that a file is begun; where that cannot be done, it cannot be gone on with.
    pub(crate) fn enter_in_journal(
        &self,
        at: EntryRef<'_>,
        meta: &Meta,
        staged: &Staged,
    ) -> Option<JournalEntry> {
        let (node, path) = home(at.node, at.name);
        let home = (node.target.id.dev, node.target.id.ino);
        let begun = (|| {
            let temporary = staged.temporary_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
            let (source, copy) = (SourceState::of(meta), staged.id()?.ino);
            let file = Unfinished { number: 0, source, copy, temporary, ranges: Vec::new() };
            let make = || {
                Ok((
                    node.dirs().map_err(|fault| fault.cause)?.target.duplicate()?,
                    self.setting.temporaries.next_with(".journal"),
                ))
            };
            self.journals.begin(home, path, file, make)
        })();
        begun
            .inspect_err(|error: &io::Error| tracing::debug!(%error, "a file could not be written down"))
            .ok()
    }

    /// All that a directory holds is done, whose journal this is.
    pub(crate) fn close_journal(&self, teller: &mut Teller, node: &DirNode) {
        let journal = self.journals.take((node.target.id.dev, node.target.id.ino));
        journal.into_iter().for_each(|journal| self.close(teller, journal, node.place.path_in_copy(c"")));
    }

    /// The run is over: close the journals that are left.
    pub(crate) fn close_journals(&self, teller: &mut Teller, is_cancelled: bool) {
        for journal in self.journals.take_all() {
            if !is_cancelled || journal.is_empty() {
                self.close(teller, journal, self.setting.job.target.path().to_owned());
            }
        }
    }

    fn close(&self, teller: &mut Teller, journal: Journal, path: PathBuf) {
        // What failed may have kept this run from files that a later one will go on with.
        let is_certain = !teller.has_failed();
        if (is_certain || journal.is_empty())
            && let Err(error) = journal.close()
        {
            teller.warn_of(WarningKind::Leftover, || path, &error.to_string());
        }
    }
}
