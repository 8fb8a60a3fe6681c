//! The end of a regular file: checked, given its attributes, made durable where that is wanted, and named.

use std::{ffi::CStr, io};

use super::entry::Disposition;
use crate::{
    copy::Copier,
    durability::OldName,
    entry::{FileId, Kind},
    error::{During, Fault, Op, Sided},
    fidelity::{MetadataTarget, UNFINISHED_BEFORE},
    fill::FileInProgress,
    guard::caught,
    method::Method,
    options::{Attributes, Fsync, Verify},
    platform::{self, Handle},
    space::is_room_refused,
    storage::Storage,
    transfer::{FillResult, RESERVE_MIN},
    tree::{Dirs, EntryRef, Kept, Publish},
    verify::{Digests, no_digest},
};

/// What is said of a file whose source did not stand still.
const CHANGED: &str =
    "it changed while it was copied; the copy lacks its time, so that the next run copies it again";

impl Copier {
    /// The content is in place: see whether it is right and the source stood still, and give the copy the
    /// rest.
    pub(super) fn finish(
        &mut self,
        at: EntryRef<'_>,
        filling: &FileInProgress,
        filled: FillResult,
        moved: &[u64; Method::ALL.len()],
        digests: Option<Digests>,
    ) -> Result<Disposition, Fault> {
        let finished = caught(|| {
            let finished = self.finish_attributes(at, filling, filled, digests)?;
            self.name_for_a_moment(at, filling)?;
            let is_synced = self.setting.syncs_each()
                && !self.run.durability.keeps_old(&at.node.pair, at.node.target.id.dev);
            if self.is_trusted_by_name(filling) && self.setting.job.fsync != Fsync::None && !is_synced {
                filling.staged.file.sync_data().during(Op::Sync)?;
            }
            Ok((finished, self.give_name(at, filling)?))
        });
        match finished {
            Ok(((has_changed, id), kept)) => {
                self.let_go_of_old(at, Kind::File, kept);
                self.tell_finished(at, filling, moved, has_changed);
                Ok(id.map_or(Disposition::Skipped, Disposition::Copied))
            }
            Err(fault) => {
                let target_name = at.node.place.target_name(at.name, Kind::File);
                Err(self.discard(at.dirs, &target_name, filling, fault))
            }
        }
    }

    /// Give a file that is finished, and is to take the place of something else, a name of its own.
    ///
    /// Before it is made durable: a filesystem that does not keep an order could lose its number of names. And
    /// xfs takes twice as long where that comes after (its list of files without names is on the device by then).
    pub(super) fn name_for_a_moment(&self, at: EntryRef<'_>, filling: &FileInProgress) -> Result<(), Fault> {
        let is_late = match filling.publish {
            Publish::Now => false,
            // Naming it may be forbidden where making it was not.
            Publish::WhenComplete => {
                let EntryRef { node, name, .. } = at;
                self.is_in_the_way(node, &node.place.target_name(name, Kind::File))
            }
            Publish::Replacing => true,
        };
        if !is_late {
            return Ok(());
        }
        let dirs = at.dirs;
        filling.staged.name_for_a_moment(&dirs.target, &self.setting.temporaries).during(Op::Rename)
    }

    /// Give a file that is finished its name, where it does not have it yet.
    pub(super) fn give_name(&mut self, at: EntryRef<'_>, filling: &FileInProgress) -> Result<Kept, Fault> {
        let EntryRef { node, dirs, name } = at;
        let FileInProgress { staged, publish, .. } = filling;
        let mut kept = Kept::Nothing;
        if *publish != Publish::Now {
            let target_name = &*node.place.target_name(name, Kind::File);
            self.make_way(at, target_name)?;
            let over = |temporary: &CStr| {
                self.run.durability.rename_over(node, &dirs.target, temporary, target_name)
            };
            let commit = || staged.commit(&dirs.target, target_name, *publish, over);
            let replaces = *publish == Publish::Replacing;
            kept =
                self.naming()
                    .publish_exclusively(at, target_name, Op::Rename, replaces, commit, |_| staged.id())?;
        }
        if self.setting.syncs_each() {
            // The file's own metadata, and then what names it (fsync(2)).
            staged.file.sync_all().during(Op::Sync)?;
            dirs.target.sync().during(Op::Sync)?;
        }
        Ok(kept)
    }

    /// Tell of a file that has its name.
    pub(super) fn tell_finished(
        &mut self,
        at: EntryRef<'_>,
        filling: &FileInProgress,
        moved: &[u64; Method::ALL.len()],
        has_changed: bool,
    ) {
        let EntryRef { node, name, .. } = at;
        self.teller.count_file(moved, filling.declined());
        self.teller.note_methods(moved);
        let job = &self.setting.job;
        if job.digest_all
            && job.verify.digest().is_some()
            && self.teller.notes.digest.is_none()
            && !has_changed
        {
            return self.fail(node, name, Some(Kind::File), no_digest());
        }
        let bytes = moved.iter().sum();
        if has_changed {
            self.teller.record_changed(&node.place, name, filling.done, bytes);
            return self.fail(node, name, Some(Kind::File), Fault::changed(Op::Copy, CHANGED));
        }
        self.teller.record(&node.place, name, Kind::File, filling.done, bytes);
    }

    /// See whether the content is right and the source stood still, and set the attributes; whether it did
    /// not stand still, and which inode the copy is where that matters.
    pub(super) fn finish_attributes(
        &mut self,
        at: EntryRef<'_>,
        filling: &FileInProgress,
        filled: FillResult,
        digests: Option<Digests>,
    ) -> Result<(bool, Option<FileId>), Fault> {
        let EntryRef { node, name, .. } = at;
        let FileInProgress { source, staged, meta, mode, .. } = filling;
        // Before the source is looked at again: what changes until then is a change, and no mismatch.
        let digests = if digests.is_some() {
            digests
        } else {
            self.verifier().digests(at, [source, &staged.file], meta, filled)?
        };
        // Files of sysfs say 4096 bytes whatever they hold, and have no blocks; where there are
        // blocks, an early end is a change even if a server has not told of it yet.
        let ended_early = filled == FillResult::Short && meta.allocated > 0;
        let now = if ended_early {
            None
        } else {
            self.verifier().has_stood_still(name, [source, &staged.file], meta, filled)?
        };
        let has_changed = now.is_none();
        let (content, stored) = match filled {
            FillResult::Coded { content, stored } => (content, stored),
            _ => (meta.size, meta.size),
        };
        match digests {
            _ if has_changed => {}
            Some(digests) => self.verifier().compare_digests(digests, content)?,
            None if self.setting.job.verify == Verify::Size && stored >= RESERVE_MIN => {
                self.verifier().compare_sizes(&staged.file, stored)?;
            }
            None => {}
        }
        if node.pair.storage == Storage::Remote {
            // Some servers report a full disk only now (close(2)), and the times say that all is well.
            // A second descriptor's close flushes as well, and leaves the first for what follows.
            platform::close_second(&staged.file).during(Op::Close)?;
        }
        if self.setting.syncs_each() {
            // Before the times, which say that it is all there.
            staged.file.sync_data().during(Op::Sync)?;
        }
        self.fidelity().attributes(&MetadataTarget {
            node,
            name,
            from: Handle::Open(source),
            to: Handle::Open(&staged.file),
            meta: now.as_ref().unwrap_or(meta),
            found: None,
            created: Some(*mode),
            replaces: filling.replaces.as_deref(),
            times: !has_changed,
        })?;
        if has_changed && self.setting.keeps(Attributes::TIMESTAMPS) {
            // Its own time could be the source's: both were written within a tick of one clock.
            let modified = meta.modified.seconds_before(UNFINISHED_BEFORE);
            Handle::Open(&staged.file).set_times(meta.accessed, modified).during(Op::SetTimes)?;
        }
        let id = match filling.group {
            Some(_) => Some(staged.id().during(Op::Stat).in_copy()?),
            None => None,
        };
        Ok((has_changed, id))
    }

    /// Remove what is there of a copy that failed.
    pub(super) fn discard(
        &mut self,
        dirs: &Dirs,
        target_name: &CStr,
        filling: &FileInProgress,
        fault: Fault,
    ) -> Fault {
        if is_room_refused(&fault.cause) {
            let needed = filling.meta.size.min(filling.meta.allocated);
            self.run.space.lacks(needed);
        }
        match filling.staged.discard(&dirs.target, target_name) {
            Ok(()) => fault,
            Err(error) => {
                self.run.durability.markers.owe();
                let both =
                    format!("{}; and what was copied of it could not be removed: {error}", fault.cause);
                Fault { cause: io::Error::other(both), ..fault }
            }
        }
    }

    /// What an entry has replaced, where that was kept; where it could not be, a warning says so.
    pub(super) fn old(&mut self, at: EntryRef<'_>, kind: Kind, kept: Kept) -> Option<OldName> {
        self.run.durability.old(&mut self.teller, at, kind, kept)
    }

    /// An entry has its name: let go of what it has replaced, as soon as that may go.
    pub(super) fn let_go_of_old(&mut self, at: EntryRef<'_>, kind: Kind, kept: Kept) {
        if let Some(old) = self.old(at, kind, kept) {
            self.let_go_of_all(vec![old]);
        }
    }

    /// Make the names durable that others have now, and remove what these stood for.
    pub(super) fn let_go_of_all(&mut self, olds: Vec<OldName>) {
        self.run.durability.let_go_of_all(&mut self.teller, &olds);
        olds.into_iter().for_each(|old| self.finish_if_last(old.node));
    }
}
