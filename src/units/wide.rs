//! Files so large that several workers copy their ranges.

use std::{
    ffi::CString,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::{
    Node,
    behind::Behind,
    content::{Filled, Filling},
    entry::Item,
    journal::pieces,
    journals::Entered,
    node::Dirs,
    verify::is_hollow,
};
use crate::{
    backend::BLOCK,
    entry::Kind,
    error::{During, Failure, Fault, Op},
    method::Method,
    plan::{Ladder, Route},
    platform,
    scheduler::{RangeOf, Unit, Worker},
    transfer::{Files, Transfer, Watch, cancelled},
};

/// A large file in flight: open on both sides, with the number of ranges still to be copied.
#[derive(Debug)]
pub(crate) struct Wide {
    pub(super) node: Arc<Node>,
    dirs: Arc<Dirs>,
    pub(super) name: CString,
    ladder: Ladder,
    ranges: AtomicUsize,
    /// Where the source turned out to end.
    end: AtomicU64,
    moved: [AtomicU64; Method::ALL.len()],
    has_failed: AtomicBool,
    fault: Mutex<Option<Fault>>,
    route: Route,
    /// Whether what is left of it goes through a ring.
    by_ring: AtomicBool,
    began: Instant,
    /// Whether it had to wait for a worker meanwhile.
    was_left: AtomicBool,
    /// The digests of both sides, where they are wanted; then the file is copied in order.
    pub(super) behind: Option<Behind>,
    /// How many times it was tried again.
    tried: u32,
    /// Where it is written down what is in place.
    pub(super) entered: Option<Entered>,
    /// Whether what a journal says of it is to be checked against the source, too.
    pub(super) is_doubtful: bool,
    /// Since when its cost counts, where that is wanted.
    measured_since: Option<Instant>,
    pub(super) filling: Filling,
}

/// How far a range came.
#[derive(Debug)]
pub(crate) enum Ranged {
    /// It is done with, well or badly.
    Done,
    /// This is left, for when this worker comes back to it, or another.
    Rest(RangeOf),
    /// This is left, and is tried again after a while.
    Again(RangeOf, Fault),
}

impl Wide {
    /// `fault` of it, with its path.
    pub(crate) fn failure(&self, fault: Fault) -> Failure {
        self.node.failure(&self.name, Some(Kind::File), fault)
    }

    /// Count one more range.
    pub(crate) fn begin_range(&self) {
        self.ranges.fetch_add(1, Ordering::Relaxed);
    }

    /// Note that a range failed; the others stop.
    pub(crate) fn failed(&self, fault: Fault) {
        self.has_failed.store(true, Ordering::Relaxed);
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    }

    /// Whether a ring copies it, which has enough in flight without a second worker.
    pub(crate) fn is_by_ring(&self) -> bool {
        self.by_ring.load(Ordering::Relaxed)
    }

    /// Whether one worker copies it, from its beginning to its end.
    pub(crate) fn is_in_order(&self) -> bool {
        self.is_by_ring() || self.behind.is_some()
    }

    /// Where its source ends, as far as that is known.
    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// The other methods do what is left.
    pub(super) fn leave_ring(&self) {
        self.by_ring.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_failing(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Let the time that all of it took decide about other files, or let them be tried instead.
    fn conclude_trial(&self, moved: &[u64; Method::ALL.len()], is_whole: bool) {
        let size = self.filling.meta.size;
        let by_ring = moved[Method::IoUring.index()];
        let went_its_way = if self.route.by_ring { size - by_ring < BLOCK } else { by_ring == 0 };
        let trial = &self.node.pair.trial;
        if is_whole && went_its_way && !self.was_left.load(Ordering::Relaxed) {
            trial.learn(self.route, size, self.began.elapsed());
        } else {
            trial.withdraw(self.route);
        }
    }
}

impl Worker {
    /// How much of a range is copied between looks at who else wants work.
    const STEP: u64 = 32 << 20;
    /// The same where each step is written down, and the last one may have to be copied again.
    const STEP_WRITTEN_DOWN: u64 = 8 << 20;

    /// Make a large file's content units of their own.
    pub(super) fn widen(&mut self, at: Item<'_>, mut filling: Filling, ladder: Ladder) -> Result<(), Fault> {
        let Item { node, name, .. } = at;
        let target_name = &*node.place.target_name(name, Kind::File);
        let dirs = match node.dirs() {
            Ok(dirs) => dirs,
            Err(fault) => return Err(self.discard(at.dirs, target_name, &filling, fault)),
        };
        let size = filling.meta.size;
        let may_resume = self.may_resume(&filling.meta);
        // A ring tells at its end alone what is in place.
        let route = if may_resume { Route::default() } else { self.route(&node.pair, &filling) };
        let destination = &filling.staged.file;
        let prepared = if self.has_holes(&filling) {
            platform::set_size(destination, size).during(Op::Write)
        } else if route.by_ring {
            // Direct writes that make a file longer wait for each other.
            let reserved = self.reserve(&node.pair, destination, size);
            reserved.and_then(|()| platform::set_size(destination, size).during(Op::Write))
        } else {
            self.reserve(&node.pair, destination, size) // sized by its writes
        };
        if let Err(fault) = prepared {
            node.pair.trial.withdraw(route);
            if let Some(taken) = &filling.taken_up {
                self.context.journals.leave(&taken.entered);
                return Err(fault);
            }
            return Err(self.discard(&dirs, target_name, &filling, fault));
        }
        let is_doubtful = filling.taken_up.as_ref().is_some_and(|taken| taken.is_doubtful);
        let (entered, ranges) = match filling.taken_up.take() {
            Some(taken) => (Some(taken.entered), taken.ranges),
            None if may_resume => (self.enter_in_journal(at, &filling.meta, &filling.staged), Vec::new()),
            None => (None, Vec::new()),
        };
        let pieces = pieces(ranges, size);
        let verify = self.context.job.verify;
        // What is in place already has no order, nor have files that are nearly all holes; then both sides are read
        // when all of it is there.
        let is_in_order = !may_resume && !is_hollow(&filling.source, &filling.meta);
        let behind = verify.digest().filter(|_| is_in_order).map(|kind| Behind::new(verify, kind));
        let file = Arc::new(Wide {
            node: node.hold(),
            dirs,
            name: name.to_owned(),
            // It moves the file position, which all workers share.
            ladder: ladder.without(Method::Sendfile),
            // Each side that is hashed is one more part.
            ranges: AtomicUsize::new(pieces.len() + if behind.is_some() { 2 } else { 0 }),
            behind,
            tried: self.tried,
            measured_since: self.entry_began(),
            end: AtomicU64::new(size),
            moved: Default::default(),
            has_failed: AtomicBool::new(false),
            fault: Mutex::default(),
            route,
            by_ring: AtomicBool::new(route.by_ring),
            began: Instant::now(),
            was_left: AtomicBool::new(false),
            entered,
            is_doubtful,
            filling,
        });
        for (at, end, expected) in pieces.into_iter().rev() {
            self.push(Unit::Range(RangeOf { file: file.clone(), at, end, tried: 0, expected }));
        }
        Ok(())
    }

    /// Copy a range, giving half of what is left away whenever someone has nothing to do.
    pub(crate) fn range(&mut self, mut range: RangeOf) -> Ranged {
        let file = range.file.clone();
        self.announce(&file.node.place, &file.name);
        self.take_moved();
        if let Some(digest) = range.expected.take()
            && !file.is_failing()
        {
            match self.is_in_place(&file, range.at, range.end, digest) {
                Ok(true) => return Ranged::Done,
                Ok(false) => {}
                Err(fault) => file.failed(fault),
            }
        }
        let goes_on = !file.is_by_ring() || self.range_by_ring(&file, &mut range);
        let mut fault_to_pass = None;
        while goes_on && range.at < range.end && !file.is_failing() {
            let half = if self.context.queue.is_hungry() { range.split() } else { None };
            if let Some(half) = half {
                self.context.queue.give([Unit::Range(half)]);
            }
            if self.should_leave() {
                break;
            }
            let step = if file.entered.is_some() { Self::STEP_WRITTEN_DOWN } else { Self::STEP };
            let step = range.end.min(range.at + step);
            let from = range.at;
            let stepped = self.copy_step(&file, &mut range.at, step, range.end);
            if let Err(fault) = stepped.and_then(|()| self.enter_step(&file, from, range.at)) {
                if self.may_retry(&fault, range.tried) {
                    fault_to_pass = Some(fault);
                    break;
                }
                file.failed(fault);
            } else if range.at < step {
                file.end.fetch_min(range.at, Ordering::Relaxed); // the source ends here
                range.end = range.at;
            }
            self.offer_hashing(&file, range.at);
        }
        for (total, moved) in file.moved.iter().zip(self.take_moved()) {
            total.fetch_add(moved, Ordering::Relaxed);
        }
        if range.at == range.end || file.is_failing() {
            return Ranged::Done;
        }
        file.was_left.store(true, Ordering::Relaxed);
        match fault_to_pass {
            Some(fault) => Ranged::Again(range, fault),
            None => Ranged::Rest(range),
        }
    }

    fn copy_step(&mut self, file: &Wide, at: &mut u64, step: u64, end: u64) -> Result<(), Fault> {
        #[cfg(test)]
        crate::scheduler::break_down(c"breaks-down-in-ranges", &file.name);
        let Filling { source, staged, seeks_data, .. } = &file.filling;
        let files = Files { source, destination: &staged.file };
        let transfer = Transfer { files, ladder: &file.ladder, pair: &file.node.pair, zeros: self.zeros() };
        self.copy_span(transfer, *seeks_data, at, step, end)
    }

    /// A range is done with.
    pub(crate) fn end_range(&mut self, file: Arc<Wide>) {
        if self.is_cancelled() {
            file.failed(Fault::new(Op::Copy, cancelled()));
        }
        self.hash_the_rest(&file);
        self.end_part(file);
    }

    /// A part of a file is done with: a range, or the digest of a side; the last one finishes the file.
    pub(crate) fn end_part(&mut self, file: Arc<Wide>) {
        if file.ranges.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let node = file.node.clone();
        let name = file.name.clone();
        self.guarded(&node, &name, |worker| {
            worker.measured_since(file.measured_since, |worker| worker.finish_wide(&file));
        });
        drop(file);
        self.release(node);
    }

    fn finish_wide(&mut self, file: &Wide) {
        let Wide { node, dirs, name, .. } = file;
        let filling = &file.filling;
        let fault = file.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        let end = file.end.load(Ordering::Relaxed);
        let filled = if end < filling.meta.size { Filled::Short } else { Filled::Whole };
        let fault = fault.or_else(|| Self::back_to_memory(file).err());
        let fault = match fault {
            None if filled == Filled::Short => {
                platform::set_size(&filling.staged.file, end).during(Op::Write).err()
            }
            fault => fault,
        };
        let moved = file.moved.each_ref().map(|bytes| bytes.load(Ordering::Relaxed));
        file.conclude_trial(&moved, fault.is_none() && filled == Filled::Whole);
        let first = match fault {
            Some(fault) => Err(match &file.entered {
                Some(entered) => {
                    self.context.journals.leave(entered);
                    fault
                }
                None => self.discard(dirs, &node.place.target_name(name, Kind::File), filling, fault),
            }),
            None => {
                self.tried = file.tried;
                let digests = file.behind.as_ref().and_then(Behind::digests);
                let finished = self.finish(Item { node, dirs, name }, filling, filled, &moved, digests);
                file.entered.iter().for_each(|entered| self.context.journals.strike(entered));
                finished
            }
        };
        let done = match filling.group {
            Some(group) => self.conclude(node, name, group, first),
            None => first.map(drop),
        };
        if let Err(fault) = done {
            self.fail_or_retry(node, name, Some(Kind::File), file.tried, fault);
        }
    }
}
