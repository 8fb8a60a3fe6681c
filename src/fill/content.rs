//! The content of a regular file: what of it is data, and which ways of moving it are tried.

use std::time::Instant;

use super::{FileInProgress, Filler};
use crate::{
    error::{During, Fault, Op},
    learned::{Pair, Way},
    method::Method,
    options::Reflink,
    plan::{LARGE_MIN, Ladder},
    platform,
    refusal::Refusal,
    storage::Storage,
    transfer::{
        Files, FillResult, RESERVE_MIN, Transfer, Watch, ZeroCopyResult, cancelled, copy_direct,
        copy_unsized, is_sparse, try_reflink,
    },
    tree::EntryRef,
};

impl Filler<'_> {
    /// Put the content in place, unless it is so large that it becomes units of its own.
    pub(crate) fn fill(
        &mut self,
        at: EntryRef<'_>,
        filling: &mut FileInProgress,
        ladder: &Ladder,
    ) -> Result<FillResult, Fault> {
        let EntryRef { node, name, .. } = at;
        if let Some(coding) = self.setting.coding(name) {
            return self.fill_coded(node, filling, coding);
        }
        let files = Files { source: &filling.source, destination: &filling.staged.file };
        let size = filling.meta.size;
        self.teller.take_moved();
        self.begin_passing();
        if size == 0 {
            let copied = copy_unsized(files, self.scratch.buffer(), self.teller);
            return copied.map(|_| FillResult::Whole);
        }
        let mut at = 0;
        if ladder.reflinks() && filling.taken_up.is_none() {
            if size >= LARGE_MIN {
                self.teller.announce(&node.place, name);
            }
            match try_reflink(files, &node.pair, size, &mut at, self.teller) {
                ZeroCopyResult::Success(_) => return Ok(FillResult::Whole),
                ZeroCopyResult::Unsupported => {}
                ZeroCopyResult::Failed(error) => return Err(Fault::new(Op::Clone, error)),
            }
        }
        if self.setting.job.data.reflink == Reflink::Always {
            return Err(Fault::refused(Op::Clone, Refusal::CannotShare));
        }
        filling.seeks_data = self.setting.keeps_holes() && is_sparse(files.source, &filling.meta);
        if size >= LARGE_MIN && at == 0 {
            self.teller.passing = None; // of ranges, which pass in any order
            return Ok(FillResult::InRanges);
        }
        let transfer = Transfer { files, ladder, pair: &node.pair, zeros: self.setting.zeros() };
        if filling.has_holes(self.setting.zeros()) {
            platform::set_size(files.destination, size).during(Op::Write)?;
        }
        let reserves = size >= RESERVE_MIN
            && node.pair.storage != Storage::Remote
            && !filling.has_holes(self.setting.zeros());
        if reserves {
            self.space.reserve(&node.pair, files.destination, size)?;
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
        if size >= RESERVE_MIN || filling.has_holes(self.setting.zeros()) {
            platform::set_size(files.destination, at).during(Op::Write)?;
        }
        Ok(FillResult::Short)
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

    /// Copy the data from `at` to `step`; `at` stays below where the source ends.
    ///
    /// Holes are passed over, however far beyond `step` they reach, but not beyond `end`.
    pub(crate) fn copy_span(
        &mut self,
        transfer: Transfer<'_>,
        seeks_data: bool,
        at: &mut u64,
        step: u64,
        end: u64,
    ) -> Result<(), Fault> {
        if !seeks_data {
            return copy_direct(transfer, at, step, self.scratch, self.teller);
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
            copy_direct(transfer, at, hole, self.scratch, self.teller)?;
            if *at < hole || *at == step {
                return Ok(()); // the source ended before, or the step does
            }
        }
        self.teller.pass_over(*at, end);
        *at = end;
        Ok(())
    }

    /// Begin to take the digest of a source as its bytes pass, where one is wanted.
    pub(crate) fn begin_passing(&mut self) {
        if let Some(kind) = self.setting.job.verify.digest() {
            self.teller.begin_passing(kind);
        }
    }
}
