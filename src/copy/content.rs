//! The content of a regular file: what of it is data, and which ways of moving it are tried.

use std::{
    fs::File,
    io::ErrorKind,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use super::resume::TakenUp;
use crate::{
    copy::Copier,
    entry::{FileId, Meta},
    error::{During, Fault, Op},
    event::Done,
    fidelity::Replaced,
    method::{Declined, Method},
    options::{Attributes, Reflink, Sparse},
    outcomes::Teller,
    plan::{LARGE_MIN, Ladder, Pair, Way},
    platform,
    storage::Storage,
    transfer::{
        Files, FillResult, RESERVE_MIN, Scratch, Transfer, Watch, ZeroCopyResult, Zeros, cancelled,
        copy_direct, copy_unsized, try_reflink,
    },
    tree::{Item, Publish, Staged},
};

/// From this size on, a file that looks dense is asked for holes.
pub(super) const ASK_MIN: u64 = 64 * 1024;

/// A file of the copy that is being filled.
#[derive(Debug)]
pub(super) struct FileInProgress {
    pub(super) source: File,
    pub(super) staged: Staged,
    pub(super) meta: Meta,
    /// What the copy was created with.
    pub(super) mode: u32,
    pub(super) appearance: Publish,
    pub(super) done: Done,
    /// Whether to look for the source's data instead of reading everything; asked only once the blocks
    /// could not be shared.
    pub(super) seeks_data: bool,
    /// Why zero-copy is not for it.
    pub(super) declined: Option<Declined>,
    /// Whether a buffer proved faster for a part of it.
    pub(super) was_buffered: AtomicBool,
    /// The link group that it is the first copied name of.
    pub(super) group: Option<FileId>,
    /// What an earlier run has put in place.
    pub(super) taken_up: Option<Box<TakenUp>>,
    /// What it is about to replace, where it is to have that one's mode.
    pub(super) replaces: Option<Box<Replaced>>,
}

impl FileInProgress {
    /// Why zero-copy was not for it.
    pub(super) fn declined(&self) -> Option<Declined> {
        let slower = || self.was_buffered.load(Ordering::Relaxed).then_some(Declined::Slower);
        self.declined.or_else(slower)
    }
}

impl Copier {
    /// Put the content in place, unless it is so large that it becomes units of its own.
    pub(super) fn fill(
        &mut self,
        at: Item<'_>,
        filling: &mut FileInProgress,
        ladder: &Ladder,
    ) -> Result<FillResult, Fault> {
        let Item { node, name, .. } = at;
        if let Some(coding) = self.setting.coding(name) {
            return self.fill_coded(node, filling, coding);
        }
        let files = Files { source: &filling.source, destination: &filling.staged.file };
        let size = filling.meta.size;
        self.teller.take_moved();
        self.begin_passing();
        if size == 0 {
            return self
                .with_scratch(|teller, scratch| copy_unsized(files, &mut scratch.buffer, teller))
                .map(|_| FillResult::Whole);
        }
        let mut at = 0;
        if ladder.reflinks() && filling.taken_up.is_none() {
            if size >= LARGE_MIN {
                self.teller.announce(&node.place, name);
            }
            match try_reflink(files, &node.pair, size, &mut at, &mut self.teller) {
                ZeroCopyResult::Success(_) => return Ok(FillResult::Whole),
                ZeroCopyResult::Unsupported => {}
                ZeroCopyResult::Failed(error) => return Err(Fault::new(Op::Clone, error)),
            }
        }
        if self.setting.job.data.reflink == Reflink::Always {
            return Err(Fault::refused(Op::Clone, "these filesystems cannot share the file's blocks"));
        }
        filling.seeks_data = self.seeks_data(files.source, &filling.meta);
        if size >= LARGE_MIN && at == 0 {
            self.teller.passing = None; // of ranges, which pass in any order
            return Ok(FillResult::InRanges);
        }
        let transfer = Transfer { files, ladder, pair: &node.pair, zeros: self.setting.zeros() };
        if self.has_holes(filling) {
            platform::set_size(files.destination, size).during(Op::Write)?;
        }
        let reserves =
            size >= RESERVE_MIN && node.pair.storage != Storage::Remote && !self.has_holes(filling);
        if reserves {
            self.reserve(&node.pair, files.destination, size)?;
        }
        // Of small files the clock is not even asked.
        let began =
            (ladder.is_timed && !filling.seeks_data && !self.setting.limiter.is_limited()).then(Instant::now);
        self.copy_span(transfer, filling.seeks_data, &mut at, size, size)?;
        if at == size {
            if let Some(began) = began {
                self.compare(&node.pair, size, began);
            }
            return Ok(FillResult::Whole);
        }
        if size >= RESERVE_MIN || self.has_holes(filling) {
            platform::set_size(files.destination, at).during(Op::Write)?;
        }
        Ok(FillResult::Short)
    }

    /// Reserve the blocks of a file, which tells early where there is no room for it; a filesystem that
    /// cannot reserve will allocate as the bytes come.
    pub(super) fn reserve(&self, pair: &Pair, file: &File, size: u64) -> Result<(), Fault> {
        // Memory is reserved page by page, for seconds in which nothing would move at the rate that is asked for.
        let is_slow = self.setting.limiter.limits_bytes() && pair.names[1].as_deref() == Some("tmpfs");
        let reserved = if is_slow { platform::check_room(file, size) } else { platform::reserve(file, size) };
        match reserved {
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                self.run.space.needed.store(size, Ordering::Relaxed);
                Err(Fault::new(Op::Write, error))
            }
            _ => Ok(()),
        }
    }

    /// Learn from the time since `began` that a file's bytes took, if they all went one way.
    fn compare(&self, pair: &Pair, size: u64, began: Instant) {
        let now = Instant::now();
        let moved = self.teller.moved();
        let methods = self.setting.capabilities.methods;
        let way = if moved[Method::Buffered.index()] == size {
            Way::Buffer
        } else if methods.iter().map(|method| moved[method.index()]).sum::<u64>() == size {
            Way::Kernel
        } else {
            return;
        };
        if let Some(step) = pair.threshold.learn(size, way, now - began, now) {
            let [from, to] = [step.from, step.to].map(|bytes| bytes >> 10);
            tracing::info!("threshold: {to} KiB instead of {from} KiB, as {}", step.reason());
        }
    }

    /// Whether the copy gets holes, and therefore its size before its content.
    pub(super) fn has_holes(&self, filling: &FileInProgress) -> bool {
        self.setting.zeros() == Zeros::LeaveOut || filling.seeks_data
    }

    /// Whether a file has holes that are to be kept.
    ///
    /// Blocks that were reserved and never written are holes too, though they count as allocated;
    /// they are asked for only in files that are large against the cost of asking.
    pub(super) fn seeks_data(&self, source: &File, meta: &Meta) -> bool {
        let may_skip =
            self.setting.job.data.sparse != Sparse::Never && self.setting.keeps(Attributes::SPARSE);
        let all = Some((0, meta.size));
        may_skip
            && (meta.is_sparse()
                || meta.size >= ASK_MIN
                    && platform::next_data(source, 0, meta.size).is_ok_and(|data| data != all))
    }

    /// Copy the data from `at` to `step`; `at` stays below where the source ends.
    ///
    /// Holes are passed over, however far beyond `step` they reach, but not beyond `end`.
    pub(super) fn copy_span(
        &mut self,
        transfer: Transfer<'_>,
        seeks_data: bool,
        at: &mut u64,
        step: u64,
        end: u64,
    ) -> Result<(), Fault> {
        if !seeks_data {
            return self.with_scratch(|teller, scratch| copy_direct(transfer, at, step, scratch, teller));
        }
        while let Some((data, hole)) =
            platform::next_data(transfer.files.source, *at, end).during(Op::Read)?
        {
            if self.teller.is_cancelled() {
                return Err(Fault::new(Op::Copy, cancelled()));
            }
            self.teller.pass_over(*at, data);
            *at = data;
            if *at >= step {
                return Ok(());
            }
            let hole = hole.min(step);
            self.with_scratch(|teller, scratch| copy_direct(transfer, at, hole, scratch, teller))?;
            if *at < hole || *at == step {
                return Ok(()); // the source ended before, or the step does
            }
        }
        self.teller.pass_over(*at, end);
        *at = end;
        Ok(())
    }

    /// Begin to take the digest of a source as its bytes pass, where one is wanted.
    pub(super) fn begin_passing(&mut self) {
        if let Some(kind) = self.setting.job.verify.digest() {
            self.teller.begin_passing(kind);
        }
    }

    pub(super) fn with_scratch<T>(&mut self, work: impl FnOnce(&mut Teller, &mut Scratch) -> T) -> T {
        work(&mut self.teller, self.tools.scratch.ready())
    }
}
