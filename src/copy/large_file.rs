//! Files so large that several workers may copy their ranges.

use std::{
    ffi::CString,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::{
    file::lies_elsewhere,
    range::{Bounds, Ways},
    sharers::Sharers,
};
use crate::{
    copy::{Copier, RangeOf, Unit},
    entry::Kind,
    error::{During, Failure, Fault, Op},
    fill::FileInProgress,
    method::Method,
    plan::{Contest, Ladder, Writing, routes},
    platform,
    resume::{Entered, Sides, pieces},
    transfer::{FillResult, Watch, cancelled},
    tree::{DirNode, Dirs, Item},
    verify::{TrailingDigests, is_hollow},
};

/// A large file in flight: open on both sides, with the number of ranges still to be copied.
#[derive(Debug)]
pub(crate) struct LargeFile {
    pub(super) node: Arc<DirNode>,
    dirs: Arc<Dirs>,
    pub(super) name: CString,
    pub(super) ways: Ways,
    pub(super) sharers: Sharers,
    ranges: AtomicUsize,
    /// Bytes that no step has come past.
    left: AtomicU64,
    /// Where the source turned out to end.
    end: AtomicU64,
    moved: [AtomicU64; Method::ALL.len()],
    has_failed: AtomicBool,
    fault: Mutex<Option<Fault>>,
    /// The digests of both sides, where they are wanted; then the file is copied in order.
    pub(super) trailing: Option<TrailingDigests>,
    /// How many times it was tried again.
    tried: u32,
    /// Where it is written down what is in place.
    pub(super) entered: Option<Entered>,
    /// Whether what a journal says of it is to be checked against the source, too.
    pub(super) is_doubtful: bool,
    /// Since when its cost counts, where that is wanted.
    measured_since: Option<Instant>,
    pub(super) filling: FileInProgress,
}

impl LargeFile {
    /// Both sides, to be compared with a journal.
    pub(super) fn sides(&self) -> Sides<'_> {
        let FileInProgress { source, staged, seeks_data, .. } = &self.filling;
        Sides { source, copy: &staged.file, seeks_data: *seeks_data, is_doubtful: self.is_doubtful }
    }

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

    /// Whether one worker copies it, from its beginning to its end.
    pub(crate) fn is_in_order(&self) -> bool {
        self.trailing.is_some()
    }

    /// Where its source ends, as far as that is known.
    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Steps have come past so many bytes more; how many are left then.
    pub(super) fn passed(&self, bytes: u64) -> u64 {
        self.left.fetch_sub(bytes, Ordering::Relaxed).saturating_sub(bytes)
    }

    /// The source ends here, before its size.
    pub(super) fn ends_at(&self, end: u64) {
        self.end.fetch_min(end, Ordering::Relaxed);
    }

    /// So much was moved by each method.
    pub(super) fn add_moved(&self, moved: [u64; Method::ALL.len()]) {
        for (total, moved) in self.moved.iter().zip(moved) {
            total.fetch_add(moved, Ordering::Relaxed);
        }
    }

    pub(super) fn is_failing(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }
}

impl Copier {
    /// Make a large file's content units of their own.
    pub(super) fn split_into_ranges(
        &mut self,
        at: Item<'_>,
        mut filling: FileInProgress,
        ladder: Ladder,
    ) -> Result<(), Fault> {
        let Item { node, name, .. } = at;
        let target_name = &*node.place.target_name(name, Kind::File);
        let dirs = match node.dirs() {
            Ok(dirs) => dirs,
            Err(fault) => return Err(self.discard(at.dirs, target_name, &filling, fault)),
        };
        let size = filling.meta.size;
        let may_resume = self.setting.may_resume(&filling.meta);
        let bounds = Bounds {
            has_holes: filling.has_holes(self.setting.zeros()),
            is_in_order: self.is_in_order(&filling),
            is_written_down: may_resume,
            is_elsewhere: lies_elsewhere(node, &filling.meta),
        };
        let ways = self.ways(&node.pair, ladder, &filling, bounds);
        if let Err(fault) = self.prepare(node, &filling, &ways, bounds) {
            if let Some(taken) = &filling.taken_up {
                self.run.resume.journals.leave(&taken.entered);
                return Err(fault);
            }
            return Err(self.discard(&dirs, target_name, &filling, fault));
        }
        let is_doubtful = filling.taken_up.as_ref().is_some_and(|taken| taken.is_doubtful);
        let (entered, ranges) = match filling.taken_up.take() {
            Some(taken) => (Some(taken.entered), taken.ranges),
            None if may_resume => {
                (self.run.resume.enter_in_journal(at, &filling.meta, &filling.staged), Vec::new())
            }
            None => (None, Vec::new()),
        };
        let pieces = pieces(ranges, size);
        let verify = self.setting.job.verify;
        let trailing =
            verify.digest().filter(|_| bounds.is_in_order).map(|kind| TrailingDigests::new(verify, kind));
        let jobs = self.run.queue.limit();
        let file = Arc::new(LargeFile {
            node: node.hold(),
            dirs,
            name: name.to_owned(),
            ways,
            sharers: Sharers::default(),
            // Each side that is hashed is one more part.
            ranges: AtomicUsize::new(pieces.len() + if trailing.is_some() { 2 } else { 0 }),
            trailing,
            tried: self.teller.notes.tried,
            measured_since: self.teller.notes.cost.began,
            left: AtomicU64::new(size),
            end: AtomicU64::new(size),
            moved: Default::default(),
            has_failed: AtomicBool::new(false),
            fault: Mutex::default(),
            entered,
            is_doubtful,
            filling,
        });
        let writing = file.ways.trace.writing();
        let trial = if writing == Writing::Later { Contest::TRIAL } else { Contest::TRIAL_WRITTEN };
        let data = &self.setting.job.data;
        file.large().begin(trial, || routes(data, &node.pair, &ladder, jobs, writing));
        for (at, end, expected) in pieces.into_iter().rev() {
            self.hands.push(Unit::Range(RangeOf { file: file.clone(), at, end, tried: 0, expected }));
        }
        Ok(())
    }

    /// Whether one worker copies a large file from its beginning to its end, to hash it meanwhile.
    ///
    /// What is in place already has no order, nor have files that are nearly all holes; then both sides are read when
    /// all of it is there.
    fn is_in_order(&self, filling: &FileInProgress) -> bool {
        self.setting.job.verify.digest().is_some()
            && !self.setting.may_resume(&filling.meta)
            && !is_hollow(&filling.source, &filling.meta)
    }

    /// Give a large file its blocks, and its size where its writes are not to give it that.
    fn prepare(
        &self,
        node: &DirNode,
        filling: &FileInProgress,
        ways: &Ways,
        bounds: Bounds,
    ) -> Result<(), Fault> {
        let destination = &filling.staged.file;
        let size = filling.meta.size;
        if !bounds.has_holes {
            self.run.space.reserve(&node.pair, destination, size)?;
        }
        // A ring needs it, and would give it that in the middle.
        if bounds.has_holes || node.pair.writes_before_it_grows() && ways.may_try_ring() {
            platform::set_size(destination, size).during(Op::Write)?;
        }
        Ok(())
    }

    /// A range is done with.
    pub(crate) fn end_range(&mut self, file: Arc<LargeFile>) {
        if self.teller.is_cancelled() {
            file.failed(Fault::new(Op::Copy, cancelled()));
        }
        if let Some(range) = file.sharers.next() {
            self.hands.push(Unit::Range(RangeOf::waiting(&file, range)));
        }
        self.hash_the_rest(&file);
        self.end_part(file);
    }

    /// A part of a file is done with: a range, or the digest of a side; the last one finishes the file.
    pub(crate) fn end_part(&mut self, file: Arc<LargeFile>) {
        if file.ranges.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let node = file.node.clone();
        let name = file.name.clone();
        self.guarded(&node, &name, |copier| {
            copier.measured_since(file.measured_since, |copier| copier.finish_wide(&file));
        });
        drop(file);
        self.release(node);
    }

    fn finish_wide(&mut self, file: &LargeFile) {
        debug_assert!(file.sharers.is_idle(), "who ends a range takes the next");
        let LargeFile { node, dirs, name, .. } = file;
        let filling = &file.filling;
        let fault = file.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        let end = file.end.load(Ordering::Relaxed);
        let filled = if end < filling.meta.size { FillResult::Short } else { FillResult::Whole };
        let fault = fault.or_else(|| Self::back_to_memory(file).err());
        let fault = match fault {
            None if filled == FillResult::Short => {
                platform::set_size(&filling.staged.file, end).during(Op::Write).err()
            }
            fault => fault,
        };
        let moved = file.moved.each_ref().map(|bytes| bytes.load(Ordering::Relaxed));
        let first = match fault {
            Some(fault) => Err(match &file.entered {
                Some(entered) => {
                    self.run.resume.journals.leave(entered);
                    fault
                }
                None => self.discard(dirs, &node.place.target_name(name, Kind::File), filling, fault),
            }),
            None => {
                self.teller.notes.tried = file.tried;
                let digests = file.trailing.as_ref().and_then(TrailingDigests::digests);
                let finished = self.finish(Item { node, dirs, name }, filling, filled, &moved, digests);
                file.entered.iter().for_each(|entered| self.run.resume.journals.strike(entered));
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
