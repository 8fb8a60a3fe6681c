//! Large files that go through a ring.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use super::range::Measured;
use crate::{
    backend::{BLOCK, Ring},
    error::{During, Fault, Op},
    fill::FileInProgress,
    large::{HashOf, LargeFile, RangeOf, Ranger},
    learned::Route,
    method::Method,
    platform,
    scheduler::Divide,
    transfer::Watch,
};

impl<U: Divide + From<RangeOf> + From<HashOf>> Ranger<'_, U> {
    /// The engine's ring, which this worker then keeps until it leaves.
    fn ring(&mut self) -> Option<Arc<Ring>> {
        if self.ring.is_none() {
            let ring = if self.setting.descriptors.has_room_for_ring() {
                self.shared.ring.ring()
            } else {
                Err("too few files may be open (ulimit -n)".to_owned())
            };
            match ring {
                Ok(ring) => *self.ring = Some(ring),
                Err(why) => {
                    tracing::debug!(why, "no ring");
                    let _ = self.shared.ring_refused.set(why); // the first reason is as good as any
                }
            }
        }
        self.ring.clone()
    }

    /// Let the ring copy whole blocks of a range for as long as that is the way to go; whether to go on with the
    /// range. What the ring leaves of the file is for the other methods.
    pub(crate) fn range_by_ring(
        &mut self,
        file: &LargeFile,
        range: &mut RangeOf,
        mut measured: Option<&mut Measured<'_>>,
    ) -> bool {
        let large = file.large();
        let Some(ring) = self.ring() else {
            large.refuse(Route::Ring, Instant::now());
            file.ways.may_ring.store(false, Ordering::Relaxed);
            return true;
        };
        // Somebody has begun who still saw another way: of the two, one lets its range wait.
        if !file.sharers.take_for_ring() {
            return true;
        }
        let mut is_stopped = false;
        let mut turns = false;
        let mut is_under_way = false;
        if let Err(fault) = make_direct(file) {
            file.sharers.take_back();
            file.failed(fault);
            return true;
        }
        let FileInProgress { source, staged, .. } = &file.filling;
        let blocks = range.at..range.end - (range.end - range.at) % BLOCK;
        // Waiting for the ring says nothing of how many workers the device takes.
        self.teller.set_resting(true);
        let cancel = self.setting.cancel.clone();
        let is_cancelled = move || cancel.is_cancelled();
        let ringed = ring.copy(source, &staged.file, blocks.clone(), is_cancelled, |bytes| {
            if bytes > 0 {
                self.teller.advanced(Method::IoUring, bytes);
                match measured.as_deref_mut() {
                    Some(measured) if is_under_way => measured.add(file, Route::Ring, bytes),
                    // Until there is as much in flight as there can be.
                    Some(measured) => {
                        file.passed(bytes);
                        measured.skip();
                    }
                    None => {}
                }
                is_under_way = true;
            }
            if self.hands.is_hungry() {
                self.hands.share(true);
            }
            turns = large.route(true) != Route::Ring;
            let leaves = self.teller.is_cancelled() || self.teller.should_leave(self.hands);
            is_stopped = is_stopped || leaves || file.is_failing();
            !is_stopped && !turns
        });
        self.teller.set_resting(false);
        range.at = ringed.upto;
        if let Some(errno) = ringed.refusal {
            file.node.pair.refuse(Method::IoUring, Some(errno));
            large.refuse(Route::Ring, Instant::now());
        }
        if range.at < blocks.end && !is_stopped && !turns {
            file.ways.may_ring.store(false, Ordering::Relaxed); // it does not get on
        }
        if let Err(fault) = leave_ring(file) {
            file.failed(fault);
        }
        file.sharers.take_back();
        if let Some(measured) = measured {
            measured.skip();
        }
        !(is_stopped && range.at < range.end)
    }
}

/// Make a file ready for direct I/O.
fn make_direct(file: &LargeFile) -> Result<(), Fault> {
    let FileInProgress { source, staged, meta, .. } = &file.filling;
    // Direct writes that make a file longer wait for each other.
    platform::set_size(&staged.file, meta.size).during(Op::Write)?;
    // What memory has already is not read from the device again; and where a filesystem has no direct I/O, the ring
    // goes through memory as well.
    let is_cached = platform::is_cached(source, meta.size);
    let _ = platform::set_direct(source, !is_cached);
    if !platform::may_compress(&staged.file) {
        let _ = platform::set_direct(&staged.file, true);
    }
    Ok(())
}

/// The other methods read and write what is no whole block, from and to memory as it comes.
fn leave_ring(file: &LargeFile) -> Result<(), Fault> {
    platform::set_direct(&file.filling.source, false).during(Op::Read)?;
    platform::set_direct(&file.filling.staged.file, false).during(Op::Write)
}
