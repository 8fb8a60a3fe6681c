//! A worker as whoever moves bytes sees it: told how far a copy has come, waited for within the rates, and cancelled.

use std::time::Instant;

use super::Teller;
use crate::{
    digest::{DigestKind, PassingDigest},
    method::{Declined, Method},
    scheduler::{NAP, sleep_until},
    transfer::Watch,
};

/// What of a file was moved so far.
#[derive(Debug, Default)]
pub(super) struct Moving {
    /// By which methods, in bytes.
    by: [u64; Method::ALL.len()],
    /// What of the bytes that may be moved within the rates was not moved.
    allowed: u64,
}

impl Watch for Teller {
    fn is_cancelled(&self) -> bool {
        self.ledger.cancel.is_cancelled()
    }

    #[inline]
    fn allow(&mut self, bytes: u64) -> u64 {
        if self.ledger.limiter.is_limited() { self.await_turn(bytes) } else { bytes }
    }

    fn saw(&mut self, at: u64, bytes: &[u8]) {
        if let Some(passing) = &mut self.passing {
            passing.saw(at, bytes);
        }
    }

    fn advanced(&mut self, method: Method, bytes: u64) {
        self.outcomes.totals.bytes_copied += bytes;
        self.moving.allowed = self.moving.allowed.saturating_sub(bytes);
        self.outcomes.moved[method.index()].bytes += bytes;
        self.moving.by[method.index()] += bytes;
        self.came_past(bytes);
    }

    fn passed_over(&mut self, bytes: u64) {
        let holes = &mut self.outcomes.totals.bytes_in_holes;
        *holes = holes.saturating_add(bytes);
        self.came_past(bytes);
    }
}

impl Teller {
    /// Wait for a turn to move up to `bytes` within the rates; how many may be moved then.
    fn await_turn(&mut self, bytes: u64) -> u64 {
        let ledger = self.ledger.clone();
        // Calls may move less than they are allowed to, or nothing at all.
        ledger.limiter.take_back(std::mem::take(&mut self.moving.allowed));
        let asked = Instant::now();
        loop {
            let piece = ledger.limiter.piece(bytes);
            let turn = ledger.limiter.turn(piece, Instant::now());
            if turn.begins > asked + NAP {
                self.tell(); // whoever looks on should see where it stands
            }
            sleep_until(&self.permit, &ledger.cancel, turn.begins, || ledger.limiter.is_off(&turn));
            // A turn that was given out at another rate is none.
            if self.is_cancelled() || !ledger.limiter.is_off(&turn) {
                self.moving.allowed = piece;
                self.clock.waited += asked.elapsed();
                return piece;
            }
        }
    }

    /// Begin to take the digest of a source as its bytes pass.
    pub(crate) fn begin_passing(&mut self, kind: DigestKind) {
        self.passing = Some(PassingDigest::new(kind));
    }

    /// What each method moved since this was last asked.
    pub(crate) fn take_moved(&mut self) -> [u64; Method::ALL.len()] {
        std::mem::take(&mut self.moving.by)
    }

    /// What each method moved so far.
    pub(crate) fn moved(&self) -> &[u64; Method::ALL.len()] {
        &self.moving.by
    }

    /// Count a file for the method that moved most of it, and why it went through a buffer if it did.
    pub(crate) fn count_file(&mut self, moved: &[u64; Method::ALL.len()], declined: Option<Declined>) {
        let most = (0..moved.len()).max_by_key(|index| moved[*index]).expect("there are methods");
        if moved[most] == 0 {
            return;
        }
        self.outcomes.moved[most].files += 1;
        if let Some(declined) = declined.filter(|_| most == Method::Buffered.index()) {
            self.outcomes.declined[declined.index()] += 1;
        }
    }

    /// A hole was passed over, in the copy as well.
    pub(crate) fn pass_over(&mut self, at: u64, end: u64) {
        self.passed_over(end - at);
        if let Some(passing) = &mut self.passing {
            passing.saw_hole(at, end);
        }
    }
}
