//! Large files that go through a ring.

use std::{ops::Range, sync::Arc};

use super::{content::Filling, wide::Wide};
use crate::{
    backend::{BLOCK, Ring},
    error::{During, Fault, Op},
    method::Method,
    plan::{Pair, wants_ring},
    platform,
    scheduler::{RangeOf, Worker},
    transfer::{Files, Transfer, Watch},
};

impl Worker {
    /// Whether a file goes through a ring, and can; then it is made ready for direct I/O.
    pub(super) fn takes_ring(&mut self, pair: &Pair, filling: &Filling) -> bool {
        let wanted = !self.has_holes(filling) && wants_ring(&self.context.job.data, pair, filling.meta.size);
        if !wanted || self.ring().is_none() {
            return false;
        }
        // Where a filesystem has no direct I/O, the ring goes through the page cache.
        let _ = platform::set_direct(&filling.source, true);
        let _ = platform::set_direct(&filling.staged.file, true);
        true
    }

    /// The engine's ring, which this worker then keeps until it leaves.
    fn ring(&mut self) -> Option<Arc<Ring>> {
        if self.ring.is_none() {
            match self.context.ring.ring() {
                Ok(ring) => self.ring = Some(ring),
                Err(why) => {
                    tracing::debug!(why, "no ring");
                    let _ = self.context.ring_refused.set(why); // the first reason is as good as any
                }
            }
        }
        self.ring.clone()
    }

    /// Let the ring copy a range, and wait for it.
    pub(super) fn range_by_ring(&mut self, file: &Wide, range: &mut RangeOf) {
        let Some(ring) = self.ring() else {
            file.leave(range.at..range.end);
            range.at = range.end;
            return;
        };
        let Filling { source, staged, .. } = &file.filling;
        let mut is_stopped = false;
        let ringed = ring.copy(source, &staged.file, range.at..range.end, |bytes| {
            if bytes > 0 {
                self.advanced(Method::IoUring, bytes);
            }
            is_stopped = is_stopped || self.is_cancelled() || self.should_leave() || file.is_failing();
            !is_stopped
        });
        range.at = ringed.upto;
        if ringed.is_refused {
            file.node.pair.refuse(Method::IoUring, None);
        }
        if range.at < range.end && !is_stopped {
            file.leave(range.at..range.end);
            range.at = range.end;
        }
    }

    /// Copy what the ring has left, by the other methods.
    pub(super) fn finish_ring(&mut self, file: &Wide) -> Result<(), Fault> {
        let Filling { source, staged, seeks_data, .. } = &file.filling;
        platform::set_direct(source, false).during(Op::Read)?;
        platform::set_direct(&staged.file, false).during(Op::Write)?;
        let files = Files { source, destination: &staged.file };
        let transfer = Transfer { files, ladder: &file.ladder, pair: &file.node.pair, zeros: self.zeros() };
        for Range { start, end } in file.take_left() {
            let mut at = start;
            self.copy_span(transfer, *seeks_data, &mut at, end)?;
            if at < end {
                file.ends_at(at);
            }
        }
        Ok(())
    }
}

/// The part of a file that goes through a ring: whole blocks.
pub(super) fn of_whole_blocks(size: u64) -> u64 {
    size - size % BLOCK
}
