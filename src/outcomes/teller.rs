//! What a worker tells: counts, records, failures and warnings, in batches.

use std::{
    cell::RefCell,
    ffi::CStr,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::mpsc::error::TrySendError;

use super::{EntryNotes, Ledger, Outcomes, Record, meter::Moving, record::Current};
use crate::{
    digest::PassingDigest,
    entry::Kind,
    error::{Failure, Op},
    event::{Differs, Done},
    method::Method,
    platform,
    report::{Warning, WarningKind},
    scheduler::{Divide, Hands, Permit},
    transfer::Watch,
    tree::{DirNode, DirPath},
};

/// What a worker has done and not told, and when it tells that.
#[derive(Debug)]
pub(crate) struct Teller {
    pub(super) ledger: Arc<Ledger>,
    /// The worker's, which it gives back while it sleeps.
    pub(super) permit: Rc<RefCell<Permit>>,
    pub(crate) outcomes: Outcomes,
    /// What is known of the entry that is being worked on.
    pub(crate) notes: EntryNotes,
    pub(super) moving: Moving,
    /// The digest of the file that is being copied, from the bytes that pass through the buffer.
    pub(crate) passing: Option<PassingDigest>,
    pub(super) clock: Clock,
    looks: Looks,
    /// The channel was full when it last told.
    is_stuck: bool,
}

/// How a worker's time was spent since it last told.
#[derive(Debug)]
pub(super) struct Clock {
    told: Instant,
    /// How long the thread had computed then.
    computed: Option<Duration>,
    /// How long it waited for its turns within the rates.
    pub(super) waited: Duration,
    /// Whether it waits for what others do.
    is_resting: bool,
}

/// When a worker looks at the clock.
#[derive(Debug)]
struct Looks {
    last: Instant,
    /// Entries since then.
    entries: u32,
    /// Bytes of one file since then.
    bytes: u64,
    /// The next comes after so many entries.
    after: u32,
}

impl Clock {
    fn now() -> Clock {
        let (told, computed) = (Instant::now(), platform::thread_time());
        Clock { told, computed, waited: Duration::ZERO, is_resting: false }
    }
}

impl Teller {
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

    /// Nothing done yet, by the worker that has this permit.
    pub(crate) fn new(ledger: Arc<Ledger>, permit: Rc<RefCell<Permit>>) -> Teller {
        let clock = Clock::now();
        Teller {
            ledger,
            permit,
            outcomes: Outcomes::default(),
            notes: EntryNotes::default(),
            moving: Moving::default(),
            passing: None,
            looks: Looks { last: clock.told, entries: 0, bytes: 0, after: 1 },
            clock,
            is_stuck: false,
        }
    }

    /// An entry is done: look at the clock now and then, and tell what was done.
    pub(crate) fn look(&mut self) {
        self.looks.entries += 1;
        if self.looks.entries >= self.looks.after {
            (self.looks.entries, self.looks.bytes) = (0, 0);
            self.tell_if_due();
            // On a slow device each entry may be worth telling of.
            let took = self.looks.last.elapsed() / self.looks.after;
            self.looks.after = if took >= Self::SLOW { 1 } else { Self::LOOK };
            self.looks.last = Instant::now();
        }
    }

    /// Whether it has just looked at the clock: so seldom that more may be asked now.
    pub(crate) fn has_looked(&self) -> bool {
        self.looks.entries == 0
    }

    /// Look at the clock after so many bytes more of a file; a small file is looked at once, when it is done.
    #[inline]
    pub(super) fn came_past(&mut self, bytes: u64) {
        self.looks.bytes = self.looks.bytes.saturating_add(bytes);
        if self.looks.bytes >= Self::LARGE || self.looks.after == 1 {
            self.looks.bytes = 0;
            self.tell_if_due();
        }
    }

    fn tell_if_due(&mut self) {
        if self.clock.told.elapsed() >= Self::TELL || self.outcomes.records.len() >= Self::RECORDS {
            self.tell();
        }
    }

    /// Tell what was done, unless so much waits to be heard already that this worker is stuck.
    pub(crate) fn tell(&mut self) {
        self.note_effort();
        self.is_stuck = false;
        if self.outcomes.is_empty() {
            return;
        }
        match self.ledger.outcomes.try_send(std::mem::take(&mut self.outcomes)) {
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

    /// Whether the channel was full when it last told.
    pub(crate) fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Whether its worker should leave although there is work: nobody listens to what it tells, there are more
    /// than there should be, or another run of the engine should have its place. What a cancelled run leaves is
    /// cleaned up first.
    pub(crate) fn should_leave<U: Divide>(&self, hands: &Hands<U>) -> bool {
        !self.is_cancelled() && (self.is_stuck || hands.are_too_many())
    }

    /// Note how the time since this was last asked was spent.
    fn note_effort(&mut self) {
        let now = Clock { is_resting: self.clock.is_resting, ..Clock::now() };
        let before = std::mem::replace(&mut self.clock, now);
        if before.is_resting {
            return;
        }
        let effort = &mut self.outcomes.effort;
        let waited = before.waited + std::mem::take(&mut self.permit.borrow_mut().slept);
        effort.worked += (self.clock.told - before.told).saturating_sub(waited);
        if let (Some(now), Some(before)) = (self.clock.computed, before.computed) {
            *effort.computed.get_or_insert_default() += now.saturating_sub(before);
        }
    }

    /// Begin to count the time anew, after a rest.
    pub(crate) fn restart_clock(&mut self) {
        (self.clock.told, self.clock.computed) = (Instant::now(), platform::thread_time());
    }

    /// From now on it waits for what others do, or no longer.
    pub(crate) fn set_resting(&mut self, is_resting: bool) {
        self.clock.is_resting = is_resting;
    }

    /// Say which entry is being worked on: each large one, and now and then a small one.
    pub(crate) fn announce(&mut self, place: &Arc<DirPath>, name: &CStr) {
        self.outcomes.current = Some(Current { place: place.clone(), name: name.to_owned() });
    }

    /// Note what became of an entry.
    pub(crate) fn record(&mut self, place: &Arc<DirPath>, name: &CStr, kind: Kind, done: Done, bytes: u64) {
        let done = if self.ledger.only_deletes && done != Done::Deleted { Done::Skipped } else { done };
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
        self.keep_record(place, name, kind, done, bytes);
    }

    /// Note a file that is in place, and whose source changed while it was copied: a failure, which follows.
    pub(crate) fn record_changed(&mut self, place: &Arc<DirPath>, name: &CStr, done: Done, bytes: u64) {
        self.outcomes.totals.changed_while_copied += 1;
        self.keep_record(place, name, Kind::File, done, bytes);
    }

    /// Keep a record of an entry for whoever wants one, with what was noted of it.
    fn keep_record(&mut self, place: &Arc<DirPath>, name: &CStr, kind: Kind, done: Done, bytes: u64) {
        let digest = self.notes.digest.take();
        let differs = std::mem::replace(&mut self.notes.differs, Differs::empty());
        let cost = match (kind, done) {
            (Kind::Directory, _) | (_, Done::Deleted) => None,
            _ => self.notes.cost.take(),
        };
        if self.ledger.records_wanted.load(Ordering::Relaxed) {
            let record =
                Record { place: place.clone(), name: name.into(), kind, done, bytes, digest, differs, cost };
            self.outcomes.records.push(record);
        }
    }

    /// Note how the bytes of the entry that is recorded next were moved.
    pub(crate) fn note_methods(&mut self, moved: &[u64; Method::ALL.len()]) {
        if self.ledger.tells_costs {
            self.notes.cost.note_methods(moved);
        }
    }

    /// Note that what was copied could not be made durable, which is a failure of no entry.
    pub(crate) fn fail_to_sync(&mut self, failure: Failure) {
        if self.count_failure(&failure) {
            self.outcomes.totals.unsynced += 1;
            self.outcomes.failures.push(failure);
        }
    }

    /// Note that something could not be deleted, which is a failure of no entry of the source.
    pub(crate) fn fail_to_delete(&mut self, failure: Failure) {
        if self.count_failure(&failure) {
            self.outcomes.totals.undeleted += 1;
            self.outcomes.failures.push(failure);
        }
    }

    /// Stop the run, for this reason unless there was one.
    pub(crate) fn stop_run(&self, why: String) {
        self.ledger.stop(why);
    }

    /// Whether anything of the run has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.ledger.failed.load(Ordering::Relaxed) > 0
    }

    /// Count a failure of any kind towards the limit; `false` where the run is cancelled and that is why.
    pub(crate) fn count_failure(&mut self, failure: &Failure) -> bool {
        self.notes.forget();
        if self.is_cancelled() && is_left_undone(failure) {
            return false;
        }
        tracing::warn!(cause = %failure.cause(), "{failure}");
        self.ledger.count_failure();
        true
    }

    /// Note that something could not be kept.
    pub(crate) fn warn(
        &mut self,
        warning: WarningKind,
        node: &DirNode,
        name: &CStr,
        kind: Kind,
        cause: &str,
    ) {
        self.warn_of(warning, || node.place.target_path(name, kind), cause);
    }

    /// The same of a path that belongs to no entry.
    pub(crate) fn warn_of(&mut self, kind: WarningKind, path: impl FnOnce() -> PathBuf, cause: &str) {
        if let Some(known) = self.outcomes.warnings.iter_mut().find(|warning| warning.kind == kind) {
            known.count += 1;
            return;
        }
        self.outcomes.warnings.push(Warning { kind, path: path(), cause: cause.to_owned(), count: 1 });
    }
}

/// Whether an entry failed because nobody waited any longer: for its bytes, or for a descriptor.
fn is_left_undone(failure: &Failure) -> bool {
    let is_given_up = failure.op() != Op::Remove && platform::is_out_of_descriptors(failure.cause());
    is_given_up || failure.cause().kind() == std::io::ErrorKind::Interrupted
}
