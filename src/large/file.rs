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
    range::{Bounds, Ways},
    sharers::Sharers,
};
use crate::{
    entry::Kind,
    error::{During, Failure, Fault, Op},
    fill::{FileInProgress, lies_elsewhere},
    large::{HashOf, RangeOf, Ranger, hashing::use_page_cache},
    learned::{Contest, Writing},
    method::Method,
    plan::{Ladder, routes},
    platform,
    resume::{JournalEntry, Sides, pieces},
    scheduler::Divide,
    transfer::{FillResult, Watch, cancelled},
    tree::{DirNode, Dirs, EntryRef},
    verify::{TrailingDigests, is_hollow},
};

/// A large file in flight: open on both sides, with the number of ranges still to be copied.
#[derive(Debug)]
pub(crate) struct LargeFile {
    pub(crate) node: Arc<DirNode>,
    pub(crate) dirs: Arc<Dirs>,
    pub(crate) name: CString,
    pub(crate) ways: Ways,
    pub(crate) sharers: Sharers,
    ranges: AtomicUsize,
    /// Bytes that no step has come past.
    left: AtomicU64,
    /// Where the source turned out to end.
    end: AtomicU64,
    moved: [AtomicU64; Method::ALL.len()],
    has_failed: AtomicBool,
    fault: Mutex<Option<Fault>>,
    /// The digests of both sides, where they are wanted; then the file is copied in order.
    pub(crate) trailing: Option<TrailingDigests>,
    /// How many times it was tried again.
    pub(crate) tried: u32,
    /// Where it is written down what is in place.
    pub(crate) entered: Option<JournalEntry>,
    /// Whether what a journal says of it is to be checked against the source, too.
    pub(crate) is_doubtful: bool,
    /// Since when its cost counts, where that is wanted.
    pub(crate) measured_since: Option<Instant>,
    pub(crate) filling: FileInProgress,
}

impl LargeFile {
    /// Both sides, to be compared with a journal.
    pub(crate) fn sides(&self) -> Sides<'_> {
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
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Steps have come past so many bytes more; how many are left then.
    pub(crate) fn passed(&self, bytes: u64) -> u64 {
        self.left.fetch_sub(bytes, Ordering::Relaxed).saturating_sub(bytes)
    }

    /// The source ends here, before its size.
    pub(crate) fn ends_at(&self, end: u64) {
        self.end.fetch_min(end, Ordering::Relaxed);
    }

    /// So much was moved by each method.
    pub(crate) fn add_moved(&self, moved: [u64; Method::ALL.len()]) {
        for (total, moved) in self.moved.iter().zip(moved) {
            total.fetch_add(moved, Ordering::Relaxed);
        }
    }

    /// A part is done with: a range, or the digest of a side; whether it was the last.
    pub(crate) fn end_part(&self) -> bool {
        self.ranges.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// All parts are done with: how much of it was filled, by which methods.
    ///
    /// # Errors
    /// What failed first.
    pub(crate) fn filled(&self) -> Result<(FillResult, [u64; Method::ALL.len()]), Fault> {
        debug_assert!(self.sharers.is_idle(), "who ends a range takes the next");
        let end = self.end();
        let is_short = end < self.filling.meta.size;
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        fault.map_or(Ok(()), Err)?;
        use_page_cache(self)?;
        if is_short {
            platform::set_size(&self.filling.staged.file, end).during(Op::Write)?;
        }
        let filled = if is_short { FillResult::Short } else { FillResult::Whole };
        Ok((filled, self.moved.each_ref().map(|bytes| bytes.load(Ordering::Relaxed))))
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }
}

impl<U: Divide + From<RangeOf> + From<HashOf>> Ranger<'_, U> {
    /// Make a large file's content units of their own.
    ///
    /// # Errors
    /// With what is to be discarded of it, unless a later run may go on with that.
    pub(crate) fn split_into_ranges(
        &mut self,
        at: EntryRef<'_>,
        mut filling: FileInProgress,
        ladder: Ladder,
    ) -> Result<(), (Option<Box<FileInProgress>>, Fault)> {
        let EntryRef { node, name, .. } = at;
        let dirs = match node.dirs() {
            Ok(dirs) => dirs,
            Err(fault) => return Err((Some(Box::new(filling)), fault)),
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
                self.resume.journals.keep_for_later(&taken.entered);
                return Err((None, fault));
            }
            return Err((Some(Box::new(filling)), fault));
        }
        let is_doubtful = filling.taken_up.as_ref().is_some_and(|taken| taken.is_doubtful);
        let (entered, ranges) = match filling.taken_up.take() {
            Some(taken) => (Some(taken.entered), taken.ranges),
            None if may_resume => {
                (self.resume.enter_in_journal(at, &filling.meta, &filling.staged), Vec::new())
            }
            None => (None, Vec::new()),
        };
        let pieces = pieces(ranges, size);
        let verify = self.setting.job.verify;
        let trailing =
            verify.digest().filter(|_| bounds.is_in_order).map(|kind| TrailingDigests::new(verify, kind));
        let jobs = self.hands.limit();
        let file = Arc::new(LargeFile {
            node: node.add_pending(),
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
            self.hands.push(U::from(RangeOf { file: file.clone(), at, end, tried: 0, expected }));
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
            self.space.reserve(&node.pair, destination, size)?;
        }
        // A ring needs it, and would give it that in the middle.
        if bounds.has_holes || node.pair.writes_before_it_grows() && ways.may_try_ring() {
            platform::set_size(destination, size).during(Op::Write)?;
        }
        Ok(())
    }

    /// A range is done with: the file has one part less that is not.
    pub(crate) fn end_range(&mut self, file: &Arc<LargeFile>) {
        if self.teller.is_cancelled() {
            file.failed(Fault::new(Op::Copy, cancelled()));
        }
        if let Some(range) = file.sharers.next() {
            self.hands.push(U::from(RangeOf::waiting(file, range)));
        }
        self.hash_the_rest(file);
    }
}
