//! Finished files that wait to replace others: made durable together, then given their names.
//!
//! A rename may reach the device before what was written to the file, and then neither the old content is
//! there after a power cut nor the new.

use std::{
    collections::HashSet,
    ffi::CString,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::entry::Disposition;
use crate::{
    copy::{Copier, Unit},
    digest::Digest,
    durability::OldName,
    entry::Kind,
    error::{During, Fault, Op},
    event::Differs,
    fill::FileInProgress,
    guard::caught,
    method::Method,
    options::Fsync,
    platform,
    transfer::{FillResult, Watch},
    tree::{DirNode, EntryRef, PlaceToWait, Publish},
};

/// Finished files that wait to replace others.
#[derive(Debug, Default)]
pub(crate) struct Replacements {
    waiting: Mutex<Waiting>,
    is_any: AtomicBool,
    was_any: AtomicBool,
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct Waiting {
    files: Vec<Replacement>,
    bytes: u64,
    since: Option<Instant>,
}

/// A finished file that lacks nothing but its name.
#[derive(Debug)]
struct Replacement {
    node: Arc<DirNode>,
    name: CString,
    filling: FileInProgress,
    moved: [u64; Method::ALL.len()],
    has_changed: bool,
    digest: Option<Digest>,
    differs: Differs,
    tried: u32,
    measured_since: Option<Instant>,
    _place: PlaceToWait,
}

impl Replacements {
    /// Files that wait for each other at most: the more, the fewer times the device is waited for.
    const FILES_MAX: usize = 128;
    /// Bytes of them at most, which take room beside what they replace.
    const BYTES_MAX: u64 = 64 << 20;
    /// How long the first of them waits for others.
    const PATIENCE: Duration = Duration::from_secs(5);

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any wait.
    pub(super) fn are_any(&self) -> bool {
        !self.lock().files.is_empty()
    }

    fn take(&self) -> Vec<Replacement> {
        self.is_any.store(false, Ordering::Relaxed);
        mem::take(&mut *self.lock()).files
    }
}

impl Copier {
    /// Fewer files are made durable one by one, without what else the filesystem has to write.
    pub(super) const FEW: usize = 4;

    /// A place where a finished file waits for others before it gets its name, if it is to do that.
    pub(super) fn place_to_wait(&self, filling: &FileInProgress) -> Option<PlaceToWait> {
        let waits = matches!(self.setting.job.fsync, Fsync::Auto | Fsync::End)
            && self.is_trusted_by_name(filling)
            // Other names of a link group wait for this one.
            && filling.group.is_none();
        if waits { self.setting.descriptors.place_to_wait() } else { None }
    }

    /// Whether a file's name alone says that it is whole: then it is durable before it has it.
    pub(super) fn is_trusted_by_name(&self, filling: &FileInProgress) -> bool {
        match filling.publish {
            Publish::Now => false,
            Publish::WhenComplete => !self.setting.job.existing.trusts_mtime(),
            Publish::Replacing => true,
        }
    }

    /// Finish a file as far as that goes without its name, and let it wait for others.
    pub(super) fn finish_together(
        &mut self,
        at: EntryRef<'_>,
        filling: FileInProgress,
        filled: FillResult,
        moved: [u64; Method::ALL.len()],
        place: PlaceToWait,
    ) -> Result<Disposition, Fault> {
        let EntryRef { node, dirs, name } = at;
        let has_changed = match caught(|| self.finish_attributes(at, &filling, filled, None)) {
            Ok((has_changed, _)) => has_changed,
            Err(fault) => {
                return Err(self.discard(dirs, &node.place.target_name(name, Kind::File), &filling, fault));
            }
        };
        let replacement = Replacement {
            node: node.add_pending(),
            name: name.to_owned(),
            moved,
            has_changed,
            digest: self.teller.notes.digest.take(),
            differs: mem::take(&mut self.teller.notes.differs),
            tried: self.teller.notes.tried,
            measured_since: self.teller.notes.cost.began,
            filling,
            _place: place,
        };
        let run = self.run.clone();
        let mut waiting = run.replacements.lock();
        if waiting.files.is_empty() {
            waiting.since = Some(Instant::now());
            run.replacements.is_any.store(true, Ordering::Relaxed);
            run.replacements.was_any.store(true, Ordering::Relaxed);
            run.queue.at_last(Unit::Replace);
        }
        waiting.bytes = waiting.bytes.saturating_add(replacement.filling.meta.size);
        waiting.files.push(replacement);
        let is_full =
            waiting.files.len() >= Replacements::FILES_MAX || waiting.bytes >= Replacements::BYTES_MAX;
        drop(waiting);
        if is_full {
            self.replace();
        }
        Ok(Disposition::Skipped)
    }

    /// As [`replace`](Self::replace), where files have waited for others long enough.
    pub(crate) fn replace_if_late(&mut self) {
        let replacements = &self.run.replacements;
        if replacements.is_any.load(Ordering::Relaxed)
            && replacements.lock().since.is_some_and(|since| since.elapsed() > Replacements::PATIENCE)
        {
            self.replace();
        }
    }

    /// Let what waits go, where that may make room for what found none; whether anything may have waited.
    pub(super) fn makes_room(&mut self, fault: &Fault) -> bool {
        // A name alone takes no room that a file could give.
        let is_full = fault.op != Op::CreateHardLink
            && matches!(
                fault.cause.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            );
        // What waits is open.
        let is_out_of_descriptors = platform::is_out_of_descriptors(&fault.cause);
        (is_full || is_out_of_descriptors) && self.run.replacements.was_any.load(Ordering::Relaxed) && {
            self.replace();
            true
        }
    }

    /// Make durable what waits, and give each its name.
    pub(crate) fn replace(&mut self) {
        let run = self.run.clone();
        // One after the other: who looks for room waits for what others are about to give.
        let _turn = run.replacements.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.run.replacements.take();
        let are_durable = files.len() > Self::FEW && !self.teller.is_cancelled() && {
            self.name_together(&files);
            are_durable_together(&files)
        };
        let mut olds = Vec::new();
        for file in files {
            let node = file.node.clone();
            let name = file.name.clone();
            self.guarded(&node, &name, |copier| {
                let since = file.measured_since;
                copier.measured_since(since, |copier| olds.extend(copier.replace_one(file, are_durable)));
            });
            self.finish_if_last(node);
        }
        if !olds.is_empty() {
            self.let_go_of_all(olds);
        }
    }

    /// Give each of these a name of its own, as far as that goes; where it does not, it is tried again.
    fn name_together(&self, files: &[Replacement]) {
        for of_one in files.chunk_by(|one, next| Arc::ptr_eq(&one.node, &next.node)) {
            let node = &of_one[0].node;
            let was_open = node.is_open();
            let Ok(dirs) = node.dirs() else { continue };
            for file in of_one {
                let at = EntryRef { node, dirs: &dirs, name: &file.name };
                let _ = self.name_for_a_moment(at, &file.filling);
            }
            if !was_open {
                node.suspend(); // those of all of them would be too many
            }
        }
    }

    /// Give one its name; what it has replaced, where that is kept.
    fn replace_one(&mut self, file: Replacement, is_durable: bool) -> Option<OldName> {
        let Replacement { node, name, filling, moved, has_changed, digest, differs, tried, _place, .. } =
            file;
        let dirs = match node.dirs() {
            Ok(dirs) => dirs,
            Err(fault) => {
                self.fail(&node, &name, Some(Kind::File), fault);
                return None;
            }
        };
        let at = EntryRef { node: &node, dirs: &dirs, name: &name };
        if self.teller.is_cancelled() {
            // Nothing is said of it, as of all that a cancelled run did not come to.
            if let Err(error) =
                filling.staged.discard(&dirs.target, &node.place.target_name(&name, Kind::File))
            {
                self.run.durability.markers.owe();
                self.fail(&node, &name, Some(Kind::File), Fault::new(Op::Remove, error));
            }
            return None;
        }
        // What had no name yet was durable without one.
        let is_durable = is_durable && filling.staged.temporary_name().is_some();
        let named = caught(|| {
            self.name_for_a_moment(at, &filling)?;
            if !is_durable {
                filling.staged.file.sync_data().during(Op::Sync)?;
            }
            self.give_name(at, &filling)
        });
        match named {
            Ok(kept) => {
                (self.teller.notes.digest, self.teller.notes.differs) = (digest, differs);
                self.tell_finished(at, &filling, &moved, has_changed);
                self.old(at, Kind::File, kept)
            }
            Err(fault) => {
                let fault = self.discard(&dirs, &node.place.target_name(&name, Kind::File), &filling, fault);
                self.fail_or_retry(&node, &name, Some(Kind::File), tried, fault);
                None
            }
        }
    }
}

/// Make all of these durable by one call for each filesystem; whether that worked.
fn are_durable_together(files: &[Replacement]) -> bool {
    let mut synced = HashSet::new();
    files.iter().all(|file| {
        let is_new = synced.insert(file.node.target.id.dev);
        !is_new || platform::sync_filesystem(&file.filling.staged.file).is_ok()
    })
}
