//! What a worker tells: counts, records, failures and warnings, in batches.

use std::{
    ffi::CStr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::mpsc::error::TrySendError;

use super::{Record, Worker, outcome::Current};
use crate::{
    entry::Kind,
    error::{Failure, Fault, Op},
    event::{Differs, Done},
    method::{Declined, Method},
    options::Delete,
    platform,
    report::{Warning, WarningKind},
    transfer::Watch,
    tree::{DirNode, DirPath},
};

impl Worker {
    /// How often a worker tells what it did.
    const TELL: Duration = Duration::from_millis(20);
    /// How many small entries pass between looks at the clock, where that many take no time.
    const LOOK: u32 = 16;
    /// An entry that takes this long takes time.
    const SLOW: Duration = Duration::from_millis(1);
    /// After this many bytes of one file it is worth a look at the clock how long they took.
    const LARGE: u64 = 1 << 20;
    /// Entries of which a record is kept at most before they are told.
    const RECORDS: usize = 1024;

    /// Look at the clock now and then, and tell what was done.
    pub(super) fn look(&mut self) {
        self.entries_since_look += 1;
        if self.entries_since_look >= self.look_after {
            (self.entries_since_look, self.bytes_since_look) = (0, 0);
            self.tell_if_due();
            // On a slow device each entry may be worth telling of.
            let took = self.looked.elapsed() / self.look_after;
            self.look_after = if took >= Self::SLOW { 1 } else { Self::LOOK };
            self.looked = Instant::now();
        }
    }

    fn tell_if_due(&mut self) {
        if self.told.elapsed() >= Self::TELL || self.outcomes.records.len() >= Self::RECORDS {
            self.tell();
        }
    }

    /// Tell what was done, unless so much waits to be heard already that this worker is stuck.
    pub(super) fn tell(&mut self) {
        self.note_effort();
        self.is_stuck = false;
        if self.outcomes.is_empty() {
            return;
        }
        match self.context.outcomes.try_send(std::mem::take(&mut self.outcomes)) {
            // Not waited for, which would keep a place from other runs for as long as nobody reads
            // the events of this one.
            Err(TrySendError::Full(untold)) => {
                self.outcomes = untold;
                self.is_stuck = true;
            }
            // Without a supervisor the run is being cancelled, and nobody listens.
            Ok(()) | Err(TrySendError::Closed(_)) => {}
        }
    }

    /// Note how the time since this was last asked was spent.
    fn note_effort(&mut self) {
        let (told, computed) = (Instant::now(), platform::thread_time());
        if !self.is_resting {
            let effort = &mut self.outcomes.effort;
            let waited = self.waited + std::mem::take(&mut self.permit.borrow_mut().slept);
            effort.worked += (told - self.told).saturating_sub(waited);
            if let (Some(now), Some(before)) = (computed, self.computed) {
                *effort.computed.get_or_insert_default() += now.saturating_sub(before);
            }
        }
        (self.told, self.computed) = (told, computed);
        self.waited = Duration::ZERO;
    }

    /// Begin to count the time anew, after a rest.
    pub(super) fn wake(&mut self) {
        (self.told, self.computed) = (Instant::now(), platform::thread_time());
    }

    /// What each method moved since this was last asked.
    pub(crate) fn take_moved(&mut self) -> [u64; Method::ALL.len()] {
        std::mem::take(&mut self.moved_of_file)
    }

    /// What each method moved so far.
    pub(crate) fn moved(&self) -> &[u64; Method::ALL.len()] {
        &self.moved_of_file
    }

    /// Count a file for the method that moved most of it, and why it went through a buffer if it did.
    pub(crate) fn count_file(&mut self, moved: &[u64; Method::ALL.len()], declined: Option<Declined>) {
        let most = (0..moved.len()).max_by_key(|index| moved[*index]).expect("there are methods");
        if moved[most] == 0 {
            return;
        }
        self.outcomes.moved[most].files += 1;
        if let Some(declined) = declined.filter(|_| most == Method::Buffered.index()) {
            self.outcomes.declined[declined.index()] += 1;
        }
    }

    /// Say which entry is being worked on: each large one, and now and then a small one.
    pub(crate) fn announce(&mut self, place: &Arc<DirPath>, name: &CStr) {
        self.outcomes.current = Some(Current { place: place.clone(), name: name.to_owned() });
    }

    /// Note what became of an entry.
    pub(crate) fn record(&mut self, place: &Arc<DirPath>, name: &CStr, kind: Kind, done: Done, bytes: u64) {
        // A run that only deletes leaves everything else alone.
        let only_deletes = self.context.job.mirror.delete == Delete::Only && done != Done::Deleted;
        let done = if only_deletes { Done::Skipped } else { done };
        let totals = &mut self.outcomes.totals;
        match done {
            Done::Created | Done::Replaced => match kind {
                Kind::File => totals.files_copied += 1,
                Kind::Directory => totals.directories_created += 1,
                Kind::Symlink => totals.symlinks_created += 1,
                _ => totals.specials_created += 1,
            },
            Done::Linked => totals.hard_links_created += 1,
            Done::Merged => totals.directories_merged += 1,
            Done::Unchanged => totals.unchanged += 1,
            Done::Corrected => totals.metadata_corrected += 1,
            Done::Skipped => totals.skipped += 1,
            Done::Deleted => totals.deleted += 1,
        }
        let digest = self.digest.take();
        let differs = std::mem::take(&mut self.differs);
        let cost = match (kind, done) {
            (Kind::Directory, _) | (_, Done::Deleted) => None,
            _ => self.take_cost(),
        };
        if self.context.records_wanted.load(Ordering::Relaxed) {
            let record =
                Record { place: place.clone(), name: name.into(), kind, done, bytes, digest, differs, cost };
            self.outcomes.records.push(record);
        }
    }

    /// Note that an entry failed; a run that was cancelled does not fail what it leaves undone.
    ///
    /// What `kind` it is need not be known; it is taken for a file then.
    pub(crate) fn fail(&mut self, node: &DirNode, name: &CStr, kind: Option<Kind>, fault: Fault) {
        if !fault.leaves_content {
            self.context.extraneous.count_failed(node.place.source_index());
        }
        self.fail_uncounted(node, name, kind, fault);
    }

    /// As [`fail`](Self::fail), where it is no further reason to delete nothing.
    pub(crate) fn fail_uncounted(&mut self, node: &DirNode, name: &CStr, kind: Option<Kind>, fault: Fault) {
        node.span.in_scope(|| self.fail_in(Some(node), node.failure(name, kind, fault)));
    }

    pub(crate) fn fail_at(&mut self, failure: Failure) {
        self.fail_in(None, failure);
    }

    /// As [`fail_at`](Self::fail_at), of an entry of `node`, if it is one.
    fn fail_in(&mut self, node: Option<&DirNode>, failure: Failure) {
        self.forget_entry();
        if self.is_cancelled() && is_left_undone(&failure) {
            return;
        }
        tracing::warn!(cause = %failure.cause(), "{failure}");
        self.outcomes.totals.failed += 1;
        self.stop_if_hopeless(node, &failure);
        self.outcomes.failures.push(failure);
    }

    /// What is known of an entry that is given up is not said of the next one.
    pub(crate) fn forget_entry(&mut self) {
        (self.digest, self.differs) = (None, Differs::empty());
    }

    /// Note that something could not be kept.
    pub(crate) fn warn(&mut self, loss: WarningKind, node: &DirNode, name: &CStr, kind: Kind, cause: &str) {
        self.warn_of(loss, || node.place.target_path(name, kind), cause);
    }

    /// The same of a path that belongs to no entry.
    pub(crate) fn warn_of(&mut self, loss: WarningKind, path: impl FnOnce() -> PathBuf, cause: &str) {
        if let Some(known) = self.outcomes.warnings.iter_mut().find(|warning| warning.kind == loss) {
            known.count += 1;
            return;
        }
        self.outcomes.warnings.push(Warning { kind: loss, path: path(), cause: cause.to_owned(), count: 1 });
    }
}

/// Whether an entry failed because nobody waited any longer: for its bytes, or for a descriptor.
fn is_left_undone(failure: &Failure) -> bool {
    let is_given_up = failure.op() != Op::Remove && platform::is_out_of_descriptors(failure.cause());
    is_given_up || failure.cause().kind() == std::io::ErrorKind::Interrupted
}

impl Watch for Worker {
    fn is_cancelled(&self) -> bool {
        self.context.cancel.is_cancelled()
    }

    fn allow(&mut self, bytes: u64) -> u64 {
        self.await_turn(bytes)
    }

    fn saw(&mut self, at: u64, bytes: &[u8]) {
        if let Some(passing) = &mut self.passing {
            passing.saw(at, bytes);
        }
    }

    fn advanced(&mut self, method: Method, bytes: u64) {
        self.outcomes.totals.bytes_copied += bytes;
        self.allowed = self.allowed.saturating_sub(bytes);
        self.outcomes.moved[method.index()].bytes += bytes;
        self.moved_of_file[method.index()] += bytes;
        self.came_past(bytes);
    }

    fn passed_over(&mut self, bytes: u64) {
        let holes = &mut self.outcomes.totals.bytes_in_holes;
        *holes = holes.saturating_add(bytes);
        self.came_past(bytes);
    }
}

impl Worker {
    /// Look at the clock after so many bytes more of a file; a small file is looked at once, when it is done.
    #[inline]
    fn came_past(&mut self, bytes: u64) {
        self.bytes_since_look = self.bytes_since_look.saturating_add(bytes);
        if self.bytes_since_look >= Self::LARGE || self.look_after == 1 {
            self.bytes_since_look = 0;
            self.tell_if_due();
        }
    }
}
