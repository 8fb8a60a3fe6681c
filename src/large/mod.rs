//! Large files: copied in ranges, by the way that proves the best, by one worker or several.

mod file;
mod hashing;
mod range;
mod range_of;
mod ring;
mod sharers;

use std::sync::{Arc, OnceLock};

pub(crate) use file::LargeFile;
pub(crate) use hashing::{HashOf, Hashed};
pub(crate) use range::Ranged;
pub(crate) use range_of::RangeOf;

use crate::{
    backend::{Ring, RingSlot},
    fill::Filler,
    frames::Encoders,
    outcomes::Teller,
    platform::Memory,
    resume::Resume,
    scheduler::{Divide, Hands},
    setting::Setting,
    space::Space,
    transfer::Scratch,
    verify::Verifier,
};

/// What the workers of a run share about large files.
#[derive(Debug)]
pub(crate) struct LargeFiles {
    /// The engine's ring.
    pub(crate) ring: Arc<RingSlot>,
    /// Why there is none, where one was wanted.
    pub(crate) ring_refused: OnceLock<String>,
    /// How much memory files might take when there was a large one.
    pub(super) memory: OnceLock<Option<Memory>>,
}

/// Copies ranges of large files; `U` are the units of its worker.
pub(crate) struct Ranger<'a, U> {
    pub(crate) setting: &'a Setting,
    pub(crate) shared: &'a LargeFiles,
    pub(crate) resume: &'a Resume,
    pub(crate) space: &'a Space,
    pub(crate) hands: &'a mut Hands<U>,
    pub(crate) teller: &'a mut Teller,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) encoders: &'a mut Encoders,
    /// The engine's ring, once this worker has used it.
    pub(crate) ring: &'a mut Option<Arc<Ring>>,
}

impl LargeFiles {
    /// Those of a run that has this ring.
    pub(crate) fn new(ring: Arc<RingSlot>) -> LargeFiles {
        LargeFiles { ring, ring_refused: OnceLock::new(), memory: OnceLock::new() }
    }
}

impl<U: Divide + From<RangeOf> + From<HashOf>> Ranger<'_, U> {
    fn filler(&mut self) -> Filler<'_> {
        Filler {
            setting: self.setting,
            space: self.space,
            teller: self.teller,
            scratch: self.scratch,
            encoders: self.encoders,
        }
    }

    fn verifier(&mut self) -> Verifier<'_> {
        Verifier::new(self.setting, self.teller, self.scratch)
    }
}
