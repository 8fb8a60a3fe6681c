//! Large files that go through a ring.

use std::sync::Arc;

use super::{content::Filling, wide::Wide};
use crate::{
    backend::{BLOCK, Ring},
    error::{During, Fault, Op},
    method::Method,
    plan::{Pair, Route, route},
    platform,
    scheduler::{RangeOf, Worker},
    transfer::Watch,
};

impl Worker {
    /// Which way a large file goes; one for the ring is made ready for direct I/O.
    pub(super) fn route(&mut self, pair: &Pair, filling: &Filling) -> Route {
        if self.has_holes(filling) {
            return Route::default();
        }
        if self.context.limiter.is_limited() {
            let _ = self.context.ring_refused.set("the copy is held to a rate".to_owned());
            return Route::default();
        }
        let route = route(&self.context.job.data, pair, filling.meta.size);
        if !route.by_ring {
            return route;
        }
        if self.ring().is_none() {
            pair.trial.withdraw(route);
            return Route::default();
        }
        // What memory has already is not read from the device again; and where a filesystem has no
        // direct I/O, the ring goes through memory as well.
        let is_cached = platform::is_cached(&filling.source, filling.meta.size);
        let _ = platform::set_direct(&filling.source, !is_cached);
        if !platform::may_compress(&filling.staged.file) {
            let _ = platform::set_direct(&filling.staged.file, true);
        }
        route
    }

    /// The engine's ring, which this worker then keeps until it leaves.
    fn ring(&mut self) -> Option<Arc<Ring>> {
        if self.ring.is_none() {
            let ring = if self.context.descriptors.has_room_for_ring() {
                self.context.ring.ring()
            } else {
                Err("too few files may be open (ulimit -n)".to_owned())
            };
            match ring {
                Ok(ring) => self.ring = Some(ring),
                Err(why) => {
                    tracing::debug!(why, "no ring");
                    let _ = self.context.ring_refused.set(why); // the first reason is as good as any
                }
            }
        }
        self.ring.clone()
    }

    /// Let the ring copy the whole blocks of a range, and wait for it; whether to go on with what is
    /// left, which then is for the other methods.
    pub(super) fn range_by_ring(&mut self, file: &Wide, range: &mut RangeOf) -> bool {
        let mut is_stopped = false;
        if let Some(ring) = self.ring() {
            let Filling { source, staged, .. } = &file.filling;
            let blocks = range.at..range.end - (range.end - range.at) % BLOCK;
            // Waiting for the ring says nothing of how many workers the device takes.
            self.is_resting = true;
            let cancel = self.context.cancel.clone();
            let is_cancelled = move || cancel.is_cancelled();
            let ringed = ring.copy(source, &staged.file, blocks, is_cancelled, |bytes| {
                if bytes > 0 {
                    self.advanced(Method::IoUring, bytes);
                }
                self.share_if_wanted();
                is_stopped = is_stopped || self.is_cancelled() || self.should_leave() || file.is_failing();
                !is_stopped
            });
            self.is_resting = false;
            range.at = ringed.upto;
            if let Some(errno) = ringed.refusal {
                file.node.pair.refuse(Method::IoUring, Some(errno));
            }
        }
        if is_stopped && range.at < range.end {
            return false;
        }
        if let Err(fault) = leave_ring(file) {
            file.failed(fault);
        }
        true
    }
}

/// The other methods read and write what is no whole block, from and to memory as it comes.
fn leave_ring(file: &Wide) -> Result<(), Fault> {
    platform::set_direct(&file.filling.source, false).during(Op::Read)?;
    platform::set_direct(&file.filling.staged.file, false).during(Op::Write)?;
    file.leave_ring();
    Ok(())
}
