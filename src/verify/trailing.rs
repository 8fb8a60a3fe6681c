//! The digests of a large file in the making, while it is copied.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::Digests;
use crate::{
    digest::{Digest, DigestKind, Hasher},
    error::Side,
    options::Verify,
};

/// The digests of a large file in the making, one of each side.
#[derive(Debug)]
pub(crate) struct TrailingDigests {
    source: Mutex<TrailingState>,
    copy: Mutex<TrailingState>,
    /// Up to where both files may be read.
    frontier: AtomicU64,
    /// Whether the copying is over, well or badly.
    pub(crate) has_ended: AtomicBool,
    /// Whether the copy may be read only then, because it is to be read from its device.
    copy_waits: bool,
    pub(crate) is_direct: AtomicBool,
}

#[derive(Debug)]
pub(crate) enum TrailingState {
    /// Nobody is at it; so far it has come.
    PutDown(Hasher, u64),
    /// A worker has it.
    Taken,
    Done(Option<Digest>),
}

impl TrailingDigests {
    pub(crate) fn new(verify: Verify, kind: DigestKind) -> TrailingDigests {
        let side = || Mutex::new(TrailingState::PutDown(Hasher::new(kind), 0));
        TrailingDigests {
            source: side(),
            copy: side(),
            frontier: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
            copy_waits: verify == Verify::Media,
            is_direct: AtomicBool::new(false),
        }
    }

    /// Everything up to `at` is in place.
    pub(crate) fn advance_to(&self, at: u64) {
        self.frontier.store(at, Ordering::Release);
    }

    pub(crate) fn state(&self, side: Side) -> MutexGuard<'_, TrailingState> {
        let state = match side {
            Side::Source => &self.source,
            Side::Copy => &self.copy,
        };
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to where a side may be hashed now.
    pub(crate) fn limit(&self, side: Side) -> u64 {
        if side == Side::Copy && self.copy_waits && !self.has_ended.load(Ordering::Acquire) {
            return 0;
        }
        self.frontier.load(Ordering::Acquire)
    }

    pub(crate) fn digests(&self) -> Option<Digests> {
        match (&*self.state(Side::Source), &*self.state(Side::Copy)) {
            (TrailingState::Done(Some(source)), TrailingState::Done(Some(copy))) => {
                Some(Digests { source: *source, copy: *copy, are_whole: true })
            }
            _ => None,
        }
    }
}
