//! The loop of one worker.

use std::{
    cell::RefCell,
    mem::MaybeUninit,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Batch, Context, CostSoFar, LateNames, Outcomes, Patience, Permit, Taken, Unit,
    guard::{caught, panicked},
    wait_in_shortage,
    waits::Again,
};
use crate::{
    backend::Ring,
    digest::Digest,
    entry::Kind,
    event::Differs,
    frames::Encoders,
    method::Method,
    platform,
    transfer::{Scratch, Watch},
    tree::{LinkCache, WaitingName},
    units::{Hashed, Passing},
};

/// A worker: does units, keeps what it discovers on its own stack, and gives half of that away
/// when someone else has nothing to do.
pub(crate) struct Worker {
    pub(crate) context: Arc<Context>,
    pub(crate) scratch: Scratch,
    pub(crate) listing: Box<[MaybeUninit<u8>]>,
    pub(crate) attribute_names: Vec<u8>,
    pub(crate) attribute_value: Vec<u8>,
    pub(crate) link_cache: LinkCache,
    /// What compresses.
    pub(crate) encoders: Encoders,
    /// The engine's ring, once this worker has used it.
    pub(crate) ring: Option<Arc<Ring>>,
    pub(crate) outcomes: Outcomes,
    pub(super) stack: Vec<Unit>,
    /// Shared with what waits in calls of this thread.
    pub(super) permit: Rc<RefCell<Permit>>,
    pub(super) told: Instant,
    /// How long the thread had computed when it last told.
    pub(super) computed: Option<Duration>,
    began: Instant,
    /// Whether it waits for what others do.
    pub(crate) is_resting: bool,
    /// Whether it could not tell what it did.
    pub(super) is_stuck: bool,
    pub(super) entries_since_look: u32,
    pub(super) bytes_since_look: u64,
    pub(super) look_after: u32,
    pub(super) looked: Instant,
    pub(super) moved_of_file: [u64; Method::ALL.len()],
    /// The digest of the file that is being copied, from the bytes that pass through the buffer.
    pub(crate) passing: Option<Passing>,
    /// The digest of the entry that is recorded next.
    pub(crate) digest: Option<Digest>,
    /// What the copy that was there had otherwise than the source, of the entry that is recorded next.
    pub(crate) differs: Differs,
    pub(super) cost: CostSoFar,
    /// Whether the entry that is being worked on is tried again later.
    pub(super) is_put_aside: bool,
    /// How many times the entry that is being worked on was tried again.
    pub(crate) tried: u32,
    /// What of the bytes that it may move within the limits it has not moved.
    pub(super) allowed: u64,
    /// How long it waited for its turns within the limits since it last told.
    pub(super) waited: Duration,
}

impl Worker {
    /// How long a run's only worker goes on while another run has none.
    const SLICE: Duration = Duration::from_millis(100);
    /// Bytes of a directory listing that are asked for at once.
    const LISTING: usize = 64 * 1024;

    /// Work until nothing is left, nobody needs this worker, or the run is cancelled; what it did
    /// and has not told is what it returns.
    pub(crate) fn run(context: Arc<Context>, mut permit: Permit) -> Outcomes {
        permit.begin();
        if !context.queue.enter() {
            return Outcomes::default();
        }
        let permit = Rc::new(RefCell::new(permit));
        let _waits = wait_in_shortage(&permit, &context.descriptors, &context.cancel);
        let now = Instant::now();
        let mut worker = Worker {
            context,
            scratch: Scratch::default(),
            listing: vec![MaybeUninit::uninit(); Self::LISTING].into_boxed_slice(),
            attribute_names: Vec::new(),
            attribute_value: Vec::new(),
            link_cache: LinkCache::default(),
            encoders: Encoders::default(),
            ring: None,
            outcomes: Outcomes::default(),
            stack: Vec::new(),
            permit,
            told: now,
            computed: platform::thread_time(),
            began: now,
            is_resting: false,
            is_stuck: false,
            entries_since_look: 0,
            bytes_since_look: 0,
            look_after: 1,
            looked: now,
            moved_of_file: [0; Method::ALL.len()],
            passing: None,
            digest: None,
            differs: Differs::empty(),
            cost: CostSoFar::default(),
            is_put_aside: false,
            tried: 0,
            allowed: 0,
            waited: Duration::ZERO,
        };
        let was = worker.context.job.limits.idle_io.then(platform::begin_idle_io);
        let worked = catch_unwind(AssertUnwindSafe(|| worker.work()));
        // The thread is the host's, and goes back to it as it came.
        was.into_iter().for_each(platform::end_idle_io);
        if let Err(panic) = worked {
            // Outside of any entry: whatever it was, the run must not wait for this worker.
            let source = worker.context.job.sources.first().cloned().unwrap_or_default();
            worker.context.extraneous.count_failed(None);
            worker.fail_at(panicked(&*panic).at(source));
            let stack = std::mem::take(&mut worker.stack);
            worker.context.queue.leave(stack);
        }
        worker.outcomes
    }

    fn work(&mut self) {
        while let Some(unit) = self.stack.pop().or_else(|| self.take()) {
            self.take_permit_again();
            // Entries are guarded one by one; this is for what lies between them.
            let performed = caught(|| {
                self.perform(unit);
                Ok(())
            });
            if let Err(fault) = performed {
                let path = self.context.job.sources.first().cloned().unwrap_or_default();
                self.context.extraneous.count_failed(None);
                self.fail_at(fault.at(path));
            }
            if self.stack.is_empty() {
                self.tell(); // whoever waits must not sit on news
            }
            if self.should_leave() {
                let stack = std::mem::take(&mut self.stack);
                return self.context.queue.leave(stack);
            }
        }
    }

    fn take(&mut self) -> Option<Unit> {
        let mut taken = self.context.queue.take(Patience::Short);
        if let Taken::Later = taken {
            self.permit.borrow_mut().give_back();
            taken = self.context.queue.take(Patience::Long);
            self.take_permit_again();
        }
        self.wake();
        match taken {
            Taken::Unit(unit) => Some(unit),
            Taken::Later | Taken::Nothing => None,
        }
    }

    /// Add work that was discovered; the last added is done first.
    pub(crate) fn push(&mut self, unit: Unit) {
        self.stack.push(unit);
    }

    fn perform(&mut self, unit: Unit) {
        if self.is_cancelled() {
            return self.abandon(unit);
        }
        match unit {
            Unit::Source(index) => self.guarded_source(index),
            Unit::List(node) => self.list(node),
            Unit::Batch(batch) => batch.node.span.clone().in_scope(|| self.batch(batch)),
            Unit::Heir(heir, group) => {
                let WaitingName { node, name } = heir;
                self.guarded(&node, &name, |worker| worker.heir(&node, &name, group));
                self.release(node);
            }
            Unit::Late(late) => self.late(late),
            Unit::Range(range) => self.perform_range(range),
            Unit::Hash(unit) => {
                let file = unit.file.clone();
                match caught(|| Ok(self.hash(unit))) {
                    Ok(Hashed::Rest(rest)) => return self.push(Unit::Hash(rest)),
                    Ok(Hashed::Waits) => return,
                    Ok(Hashed::Whole) => {}
                    Err(panic) => file.failed(panic),
                }
                self.end_part(file);
            }
            Unit::Delete(within) => self.delete(&within),
            Unit::Again(again) => {
                let Again { node, name, listed, tried } = again;
                self.holding(listed, |worker| {
                    worker.guarded(&node, &name, |worker| worker.attempt(&node, None, &name, listed, tried));
                });
                self.release(node);
            }
            Unit::Replace => self.replace(),
            Unit::Clear => self.clear(),
            Unit::Conclude => self.conclude_run(false),
        }
    }

    /// Have the permit again where it was given back; nothing that others wait for may be held.
    fn take_permit_again(&mut self) {
        self.permit.borrow_mut().take_again(&self.context.cancel);
    }

    fn batch(&mut self, mut batch: Batch) {
        // Once, and not for each entry: other workers count references to the same.
        let (node, names) = (batch.node.clone(), batch.names.clone());
        let only_counts = self.context.job.only_counts;
        // Where they cannot be opened, each entry says so.
        let open = if only_counts { None } else { node.dirs().ok() };
        while batch.next < batch.end {
            if self.is_cancelled() {
                return;
            }
            let (name, kind) = names.get(batch.next);
            batch.next += 1;
            let below = self.stack.len();
            if self.entries_since_look == 0 {
                self.announce(&node.place, name);
            }
            self.holding(kind, |worker| {
                worker.guarded(&node, name, |worker| match only_counts {
                    false => worker.entry(&node, open.as_deref(), name, kind),
                    true => worker.count_entry(&node, name, kind),
                });
            });
            self.look();
            if self.entries_since_look == 0 {
                self.take_permit_again();
                self.replace_if_late();
            }
            // Asked as seldom as the clock.
            let leaves = self.is_stuck || self.entries_since_look == 0 && self.should_leave();
            if self.stack.len() > below || leaves {
                // Depth first, and one large file at a time: what the entry holds comes before
                // the entries beside it.
                let is_last = batch.next == batch.end;
                if !is_last {
                    self.stack.insert(below.min(self.stack.len()), Unit::Batch(batch));
                }
                self.share_if_wanted();
                if is_last {
                    self.release(node);
                }
                return;
            }
            if self.context.queue.is_hungry() {
                self.share(Some(&mut batch));
            }
        }
        drop(node);
        self.let_go(batch.node);
    }

    /// Do something about an entry that was listed as `listed`: what it may hold is found then, or never, unless
    /// it is tried again later.
    fn holding(&mut self, listed: Option<Kind>, work: impl FnOnce(&mut Worker)) {
        if !self.context.found.may_hold(listed) {
            return work(self);
        }
        self.is_put_aside = false;
        work(self);
        if !self.is_put_aside {
            self.context.found.closed();
        }
    }

    fn late(&mut self, mut late: LateNames) {
        while let Some(parked) = late.names.pop() {
            let below = self.stack.len();
            self.late_name(parked, late.group);
            self.look();
            let half = if self.context.queue.is_hungry() { late.split() } else { None };
            if let Some(half) = half {
                self.context.queue.give([Unit::Late(half)]);
            }
            if self.stack.len() > below || self.is_cancelled() || self.should_leave() {
                let below = below.min(self.stack.len());
                return self.stack.insert(below, Unit::Late(late)); // depth first, as in a batch
            }
        }
    }

    /// Drop a unit of a cancelled run; only large files leave something to clean up.
    fn abandon(&mut self, unit: Unit) {
        match unit {
            Unit::Range(range) => self.end_range(range.file),
            Unit::Hash(hash) => self.end_part(hash.file),
            Unit::Replace => self.replace(), // it sees for itself that nothing is to be replaced
            Unit::Conclude => self.conclude_run(true),
            _ => {}
        }
    }

    /// Give work to whoever has none: half of the oldest unit, which is the largest.
    pub(crate) fn share(&mut self, current: Option<&mut Batch>) {
        if !self.share_another_beside(current.is_some())
            && let Some(batch) = current.and_then(Batch::split)
        {
            self.context.queue.give([Unit::Batch(batch)]);
        }
    }

    /// Give away work beside that which this worker is at, if there is any; whether it did.
    pub(crate) fn share_another(&mut self) -> bool {
        self.share_another_beside(true)
    }

    fn share_another_beside(&mut self, has_current: bool) -> bool {
        let Some(oldest) = self.stack.first_mut() else { return false };
        let given = oldest.split().or_else(|| {
            let has_more = self.stack.len() > 1 || has_current;
            has_more.then(|| self.stack.remove(0))
        });
        let gives = given.is_some();
        self.context.queue.give(given);
        gives
    }

    /// Give work away if someone wants it, between units.
    pub(crate) fn share_if_wanted(&mut self) {
        if self.context.queue.is_hungry() {
            self.share(None);
        }
    }

    /// Whether to leave although there is work: nobody listens to what this worker tells, there are
    /// more than there should be, or another run of the engine should have its place. What a cancelled
    /// run leaves is cleaned up first.
    pub(crate) fn should_leave(&self) -> bool {
        !self.is_cancelled() && (self.is_stuck || self.context.queue.is_crowded() || self.should_yield())
    }

    fn should_yield(&self) -> bool {
        self.context.permits.are_waited_for()
            && (self.began.elapsed() > Self::SLICE || self.context.queue.need().alive > 1)
    }
}
