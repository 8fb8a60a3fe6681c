//! Waiting: for a turn within the limits, and until something may be tried again.

use std::{
    ffi::CStr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{RangeOf, Unit, Worker};
use crate::{
    entry::Kind,
    error::{Failure, Fault, Op},
    event::Retrying,
    transfer::Watch,
    tree::DirNode,
    units::Holds,
};

/// The unit: try an entry again that failed.
#[derive(Debug)]
pub(crate) struct Again {
    pub(crate) node: Arc<DirNode>,
    pub(crate) name: Box<CStr>,
    pub(crate) listed: Option<Kind>,
    /// How many times it was tried again before.
    pub(crate) tried: u32,
}

impl Worker {
    /// A sleep that is longer than this is worth telling first how far it all is, and giving the permit back.
    pub(super) const NAP: Duration = Duration::from_millis(20);

    /// Wait for a turn to move up to `bytes`; how many may be moved then.
    #[inline]
    pub(crate) fn await_turn(&mut self, bytes: u64) -> u64 {
        if self.context.limiter.is_limited() { self.await_limited_turn(bytes) } else { bytes }
    }

    fn await_limited_turn(&mut self, bytes: u64) -> u64 {
        let context = self.context.clone();
        // Calls may move less than they are allowed to, or nothing at all.
        context.limiter.take_back(std::mem::take(&mut self.allowed));
        let asked = Instant::now();
        loop {
            let piece = context.limiter.piece(bytes);
            let turn = context.limiter.turn(piece, Instant::now());
            if turn.begins > asked + Self::NAP {
                self.tell(); // whoever looks on should see where it stands
            }
            self.sleep_until(turn.begins, || context.limiter.is_off(&turn));
            // A turn that was given out at another rate is none.
            if self.is_cancelled() || !context.limiter.is_off(&turn) {
                self.allowed = piece;
                self.waited += asked.elapsed();
                return piece;
            }
        }
    }

    /// Sleep until then, until the run is cancelled, or until it `is_off`, whose change rings the bell; a
    /// longer sleep leaves the permit to others.
    fn sleep_until(&mut self, moment: Instant, is_off: impl Fn() -> bool) {
        let cancel = self.context.cancel.clone();
        loop {
            let rings = cancel.bell().rings();
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() || cancel.is_cancelled() || is_off() {
                return self.permit.borrow_mut().take_again(&cancel);
            }
            if left > Self::NAP {
                self.permit.borrow_mut().give_back();
            }
            cancel.bell().sleep(rings, left);
        }
    }

    /// Note that an entry failed, unless it is to be tried again, for which it then waits.
    pub(crate) fn fail_or_retry(
        &mut self,
        node: &Arc<DirNode>,
        name: &CStr,
        listed: Option<Kind>,
        tried: u32,
        fault: Fault,
    ) {
        if !self.may_retry(&fault, tried) {
            if let Err(fault) = self.set_aside(node, name, listed, fault) {
                self.fail(node, name, listed, fault);
            }
            return;
        }
        let again = Again { node: node.hold(), name: name.into(), listed, tried: tried + 1 };
        self.put_aside(Unit::Again(again), tried, node.failure(name, listed, fault));
    }

    /// Whether the same is tried again after `fault`.
    pub(crate) fn may_retry(&self, fault: &Fault, tried: u32) -> bool {
        tried < self.context.job.retry.times && fault.may_pass() && !self.is_cancelled()
    }

    /// Try what is left of a range again.
    pub(crate) fn retry_range(&mut self, mut range: RangeOf, fault: Fault) {
        let tried = range.tried;
        range.tried += 1;
        let failure = range.file.failure(fault);
        self.put_aside(Unit::Range(range), tried, failure);
    }

    /// Put a unit aside until it may be tried again.
    pub(crate) fn put_aside(&mut self, unit: Unit, tried: u32, failure: Failure) {
        self.forget_entry();
        self.is_put_aside = true;
        let chance = self.context.chance.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) >> 20;
        let wait = self.context.job.retry.wait_before(tried, chance);
        tracing::info!(cause = %failure.cause(), ?wait, "tried again later: {failure}");
        self.outcomes.retrying.push(Retrying { failure, tried: tried + 1, wait });
        self.context.queue.delay(unit, Instant::now() + wait);
    }

    /// Do something to a directory, again where that may help: nothing else is waiting to be done by it.
    pub(crate) fn persistently<T>(
        &mut self,
        node: &DirNode,
        mut work: impl FnMut(&mut Worker) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut tried = 0;
        let of_entry = self.tried;
        loop {
            self.tried = tried;
            let done = work(self);
            self.tried = of_entry;
            match done {
                Err(fault) if self.may_retry(&fault, tried) => {
                    self.rest(node.failure(c"", Some(Kind::Directory), fault), tried);
                    tried += 1;
                }
                done => return done,
            }
        }
    }

    /// Wait here before something is tried again that nothing else can be done without.
    pub(crate) fn rest(&mut self, failure: Failure, tried: u32) {
        let chance = self.context.chance.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) >> 20;
        let wait = self.context.job.retry.wait_before(tried, chance);
        self.outcomes.retrying.push(Retrying { failure, tried: tried + 1, wait });
        self.tell();
        // What else it has is for whoever has nothing.
        let stack = std::mem::take(&mut self.stack);
        self.context.queue.give(stack);
        self.sleep_until(Instant::now() + wait, || false);
        self.wake();
    }

    /// Stop the run where going on makes no sense: the destination is full or read-only, or too much failed.
    pub(super) fn stop_if_hopeless(&mut self, node: Option<&DirNode>, failure: &Failure) {
        let context = self.context.clone();
        let failed = context.failed.fetch_add(1, Ordering::Relaxed) + 1;
        let too_many = context.job.limits.max_errors.filter(|most| failed >= most.get());
        let why = match too_many {
            Some(most) => Some(format!("{most} failures are as many as --max-errors allows")),
            None if is_about_room(failure.op()) && !self.is_cancelled() => self.is_hopeless(node, failure),
            None => None,
        };
        if let Some(why) = why {
            let _ = context.stopped.set(why); // the first reason is as good as any
            context.cancel.cancel();
            context.queue.wake_all();
        }
    }

    /// Whether the destination has become read-only, which the error of a call alone does not say.
    pub(crate) fn is_read_only(&self) -> bool {
        self.room().and_then(|room| room.is_read_only).unwrap_or(true) || self.refuses_files()
    }

    /// Whether nothing can be created at the destination because it is read-only: ext4 that has met with an
    /// error is, and does not say so (`EXT4_FLAGS_EMERGENCY_RO` of the kernel's fs/ext4/ext4.h).
    fn refuses_files(&self) -> bool {
        let refusal = self.directory_of_copies().and_then(|dir| dir.create_unnamed(0o600).err());
        refusal.is_some_and(|error| error.kind() == std::io::ErrorKind::ReadOnlyFilesystem)
    }

    /// Why nothing more can be written, if that is so.
    fn is_hopeless(&mut self, node: Option<&DirNode>, failure: &Failure) -> Option<String> {
        /// With less than this, a filesystem is as good as full, in bytes.
        const ROOM: u64 = 1 << 20;
        match failure.cause().kind() {
            std::io::ErrorKind::QuotaExceeded => self.is_quota_hopeless(node, failure),
            std::io::ErrorKind::ReadOnlyFilesystem => {
                self.is_read_only().then(|| "the destination is read-only".into())
            }
            std::io::ErrorKind::StorageFull => {
                let Some(room) = self.room() else { return self.is_quota_hopeless(node, failure) };
                let needed = self.context.needed.load(Ordering::Relaxed);
                match room.inodes {
                    Some(0) => Some("the destination has no free inodes".into()),
                    _ if room.bytes.is_some_and(|free| free < ROOM.max(needed)) => Some(format!(
                        "the destination is full: {} bytes are free{}",
                        room.bytes.unwrap_or(0),
                        if needed > 0 { format!(", {needed} were needed") } else { String::new() }
                    )),
                    // XFS says so where a project's quota is used up.
                    _ => self.is_quota_hopeless(node, failure),
                }
            }
            _ => None,
        }
    }

    /// Why nothing more can be written, if a quota leaves no room for anything that is copied.
    fn is_quota_hopeless(&mut self, node: Option<&DirNode>, failure: &Failure) -> Option<String> {
        let refusal = failure.cause();
        let is_quota = refusal.kind() == std::io::ErrorKind::QuotaExceeded;
        let holds = match node {
            Some(node) => self.stop_where_quota_holds(node, refusal),
            None if is_quota => Holds::Run,
            None => Holds::Entry,
        };
        (holds == Holds::Run).then(|| match is_quota {
            true => "the quota at the destination is used up".into(),
            false => "the destination gives no more room, though it has some (a quota may be used up)".into(),
        })
    }
}

/// Whether an operation that finds no room would find none for other entries either.
fn is_about_room(op: Op) -> bool {
    !matches!(op, Op::SetXattrs | Op::SetAcl | Op::SetOwner | Op::Remove)
}
