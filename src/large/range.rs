//! Copying the ranges of large files, each the way that is the best for now.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    backend::BLOCK,
    error::Fault,
    event::Done,
    fill::{Backlog, FileInProgress, Trace},
    guard::caught,
    large::{HashOf, LargeFile, RangeOf, Ranger},
    learned::{Ahead, Large, Pair, Portion, Route, Ticket},
    method::Method,
    options::{Backend, Fsync},
    plan::Ladder,
    platform,
    resume::is_in_place,
    scheduler::Divide,
    storage::Storage,
    transfer::{Files, Transfer},
    verify::Verifier,
};

/// The ways that one large file may go.
#[derive(Debug)]
pub(crate) struct Ways {
    kernel: Ladder,
    /// Without what moves the file position, which all workers share.
    kernel_ranges: Ladder,
    buffer: Ladder,
    /// Whether a ring may take it, until one has left it.
    pub(crate) may_ring: AtomicBool,
    /// Whether a ring may be tried with it.
    may_try_ring: bool,
    /// Whether what it takes says something of other files.
    is_measured: bool,
    /// What becomes of it in memory.
    pub(crate) trace: Trace,
}

/// What binds a large file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Holes are to be kept.
    pub(crate) has_holes: bool,
    /// One worker copies it, from its beginning to its end.
    pub(crate) is_in_order: bool,
    /// A journal says what of it is in place.
    pub(crate) is_written_down: bool,
    /// It lies on another filesystem than its directory, of which nothing is known.
    pub(crate) is_elsewhere: bool,
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
    /// What is left waits for who works on the file.
    Waits,
}

/// A worker's part in what is measured of large files.
#[derive(Debug)]
pub(crate) struct Measured<'a> {
    large: &'a Large,
    ticket: Ticket,
}

impl<'a> Measured<'a> {
    fn begin(large: &'a Large) -> Measured<'a> {
        Measured { large, ticket: large.join(Instant::now(), computed) }
    }

    /// Bytes move from now on as they will; what it took to come so far does not count.
    pub(crate) fn skip(&mut self) {
        self.large.skip(&mut self.ticket, Instant::now(), computed);
    }

    /// So many bytes more of `file` are in place.
    pub(crate) fn add(&mut self, file: &LargeFile, route: Route, bytes: u64) {
        let left = file.passed(bytes);
        let ahead = Ahead { left, may_ring: file.ways.may_try_ring() };
        let portion = Portion { route, bytes, is_shared: file.sharers.workers() > 1 };
        let now = Instant::now();
        if let Some(turn) = self.large.add(&mut self.ticket, portion, ahead, now, computed) {
            tracing::debug!(from = turn.from.name(), to = turn.to.name(), why = ?turn.why, "large files");
        }
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        self.large.leave(&self.ticket, Instant::now(), computed);
    }
}

fn computed() -> Duration {
    platform::process_time().unwrap_or_default()
}

impl Ways {
    /// Whether a ring may be tried with it.
    pub(crate) fn may_try_ring(&self) -> bool {
        self.may_try_ring && self.may_ring()
    }

    pub(crate) fn may_ring(&self) -> bool {
        self.may_ring.load(Ordering::Relaxed)
    }

    /// What moves bytes that way; of what a ring leaves, the kernel does.
    fn ladder(&self, route: Route) -> &Ladder {
        match route {
            Route::Kernel => &self.kernel,
            Route::Buffer | Route::BufferRanges => &self.buffer,
            _ => &self.kernel_ranges,
        }
    }
}

impl LargeFile {
    /// What is known of files like this one.
    pub(crate) fn large(&self) -> &Large {
        self.node.pair.large(self.ways.trace.writing())
    }

    /// Whether several workers may copy it now.
    pub(crate) fn is_shared(&self) -> bool {
        self.route().shares()
    }

    /// The way that its next bytes go.
    fn route(&self) -> Route {
        self.next().0
    }

    /// The way that its next bytes go, and what becomes of them in memory.
    fn next(&self) -> (Route, Trace) {
        let route = self.large().route(self.ways.may_ring());
        let trace = if route == Route::Deferred { Trace::Left } else { self.ways.trace };
        (if self.is_in_order() { route.alone() } else { route }, trace)
    }
}

impl<U: Divide + From<RangeOf> + From<HashOf>> Ranger<'_, U> {
    /// How much of a range is copied between looks at who else wants work, and at the way.
    const STEP: u64 = 4 << 20;
    /// The same where each step is written down, and the last one may have to be copied again.
    const STEP_WRITTEN_DOWN: u64 = 8 << 20;
    /// The most workers of one file on local storage: what they write to one inode they write in turns.
    const SHARERS: usize = 4;

    /// The ways that a large file may go, which has holes to keep, goes in order, or is written down as it does.
    pub(crate) fn ways(&self, pair: &Pair, ladder: Ladder, filling: &FileInProgress, bounds: Bounds) -> Ways {
        let Bounds { has_holes, is_in_order, is_written_down, is_elsewhere } = bounds;
        let is_limited = self.setting.limiter.is_limited();
        if is_limited && self.setting.job.data.backend != Backend::Blocking {
            let _ = self.shared.ring_refused.set("the copy is held to a rate".to_owned());
        }
        if pair.distrusts(Method::IoUring) && self.setting.job.data.backend == Backend::Uring {
            let _ = self
                .shared
                .ring_refused
                .set("a ring does not see what a FUSE server reads or writes short".to_owned());
        }
        let size = filling.meta.size;
        // Of what is written down a ring tells at its end alone what is in place.
        let may_ring =
            size >= Backend::RING_MIN && !is_limited && !has_holes && !is_written_down && !is_elsewhere;
        Ways {
            kernel: ladder,
            kernel_ranges: ladder.without(Method::Sendfile),
            buffer: ladder.buffered(),
            may_ring: AtomicBool::new(may_ring),
            may_try_ring: size >= Backend::TRIAL_MIN
                && self.setting.job.data.backend == Backend::Auto
                && !pair.refuses(Method::IoUring),
            is_measured: !is_in_order && !is_written_down && !is_limited && !has_holes && !is_elsewhere,
            trace: self.trace(pair, filling),
        }
    }

    /// What becomes in memory of a large file.
    fn trace(
        &self,
        pair: &Pair,
        FileInProgress { source, staged, meta, done, .. }: &FileInProgress,
    ) -> Trace {
        // Each wait there is a round trip.
        if pair.storage == Storage::Remote {
            return Trace::Left;
        }
        let must_last = match self.setting.job.fsync {
            Fsync::None => false,
            Fsync::Auto => *done == Done::Replaced,
            Fsync::File | Fsync::End => true,
        };
        let memory = *self.shared.memory.get_or_init(platform::memory);
        match Trace::of(meta.size, must_last, memory, || platform::is_cached(source, meta.size)) {
            // Where nothing is written past memory, writing meanwhile is more to do at the same time, and no less to
            // do afterwards.
            Trace::Weighed if platform::may_compress(&staged.file) => Trace::Left,
            trace => trace,
        }
    }

    /// Copy a range, or let it wait for whoever has its file.
    pub(crate) fn perform(&mut self, range: RangeOf) -> Ranged {
        let file = range.file.clone();
        // What is to be compared with a journal is read alone, by whom does not matter.
        let is_shared = file.is_shared() || range.expected.is_some();
        if !file.sharers.begin(is_shared, range.to_wait()) {
            return Ranged::Waits;
        }
        let ranged = caught(|| Ok(self.range(range)));
        if !matches!(ranged, Ok(Ranged::Waits)) {
            file.sharers.leave();
        }
        ranged.unwrap_or_else(|panic| {
            file.failed(panic);
            Ranged::Done
        })
    }

    /// Whether a range is in place already that a journal says so of.
    fn was_in_place(&mut self, file: &Arc<LargeFile>, range: &mut RangeOf) -> bool {
        let Some(digest) = range.expected.take().filter(|_| !file.is_failing()) else { return false };
        let is_in_place = is_in_place(&mut self.verifier(), file.sides(), range.at, range.end, digest);
        is_in_place.unwrap_or_else(|fault| {
            file.failed(fault);
            false
        })
    }

    /// Copy a range step by step, giving work away whenever someone has nothing to do.
    fn range(&mut self, mut range: RangeOf) -> Ranged {
        let file = range.file.clone();
        self.teller.announce(&file.node.place, &file.name);
        self.teller.take_moved();
        if self.was_in_place(&file, &mut range) {
            return Ranged::Done;
        }
        let mut measured = file.ways.is_measured.then(|| Measured::begin(file.large()));
        let mut backlog = Backlog::at(range.at);
        let mut fault_to_pass = None;
        let mut waits = false;
        while range.at < range.end && !file.is_failing() {
            let (route, trace) = file.next();
            if !route.shares() && file.sharers.rest(range.to_wait()) {
                waits = true;
                break;
            }
            self.feed_the_hungry(&mut range, route);
            if self.teller.should_leave(self.hands) {
                break;
            }
            let has_blocks = range.at.is_multiple_of(BLOCK) && range.end - range.at >= BLOCK;
            if route == Route::Ring && has_blocks {
                let goes_on = self.range_by_ring(&file, &mut range, measured.as_mut());
                backlog = Backlog::at(range.at);
                match goes_on {
                    true => continue,
                    false => break,
                }
            }
            // What a ring leaves.
            let went = if route == Route::Ring { Route::KernelRanges } else { route };
            let step = if file.entered.is_some() { Self::STEP_WRITTEN_DOWN } else { Self::STEP };
            let step = range.end.min((range.at + step) & !(BLOCK - 1));
            let from = range.at;
            let stepped = self.copy_step(&file, went, &mut range.at, step, range.end).and_then(|()| {
                let FileInProgress { source, staged, .. } = &file.filling;
                backlog.reached(range.at, source, &staged.file, trace)
            });
            if let Some(measured) = &mut measured {
                measured.add(&file, went, range.at - from);
            }
            if let Err(fault) = stepped.and_then(|()| self.enter_step(&file, from, range.at)) {
                if self.setting.may_retry(&fault, range.tried) {
                    fault_to_pass = Some(fault);
                    break;
                }
                file.failed(fault);
            } else if range.at < step {
                file.ends_at(range.at);
                range.end = range.at;
            }
            self.offer_hashing(&file, range.at);
        }
        file.add_moved(self.teller.take_moved());
        if waits {
            return Ranged::Waits;
        }
        if range.at == range.end || file.is_failing() {
            return Ranged::Done;
        }
        match fault_to_pass {
            Some(fault) => Ranged::Again(range, fault),
            None => Ranged::Rest(range),
        }
    }

    /// Give work to whoever has none: other entries first, and of this file only where there are none.
    ///
    /// Two workers on one inode write in turns, and on two they do not.
    fn feed_the_hungry(&mut self, range: &mut RangeOf, route: Route) {
        if !self.hands.is_hungry() || self.hands.share(true) || !route.shares() {
            return;
        }
        let file = &range.file;
        if file.node.pair.storage != Storage::Remote && file.sharers.workers() >= Self::SHARERS {
            return;
        }
        let waiting = file.sharers.next().map(|waiting| RangeOf::waiting(file, waiting));
        if let Some(given) = waiting.or_else(|| range.split()) {
            self.hands.give([U::from(given)]);
        }
    }

    /// A step is in place: write that down, where there is a journal.
    fn enter_step(&mut self, file: &LargeFile, from: u64, to: u64) -> Result<(), Fault> {
        let verifier = &mut Verifier::new(self.setting, self.teller, self.scratch);
        self.resume.enter_step(verifier, file.entered.as_ref(), file.sides(), (from, to))
    }

    fn copy_step(
        &mut self,
        file: &LargeFile,
        route: Route,
        at: &mut u64,
        step: u64,
        end: u64,
    ) -> Result<(), Fault> {
        #[cfg(test)]
        crate::guard::break_down(c"breaks-down-in-ranges", &file.name);
        let FileInProgress { source, staged, seeks_data, was_buffered, .. } = &file.filling;
        if route.is_buffered() {
            was_buffered.store(true, Ordering::Relaxed);
        }
        let files = Files { source, destination: &staged.file };
        let ladder = file.ways.ladder(route);
        let transfer = Transfer { files, ladder, pair: &file.node.pair, zeros: self.setting.zeros() };
        self.filler().copy_span(transfer, *seeks_data, at, step, end)
    }
}
