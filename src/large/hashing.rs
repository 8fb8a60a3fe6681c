//! Hashing a large file trailing its copy: while one worker copies, others hash what is there.

use std::sync::{Arc, atomic::Ordering};

use crate::{
    digest::Hasher,
    entry::Kind,
    error::{During, Fault, Op, Side},
    large::{LargeFile, RangeOf, Ranger},
    options::Verify,
    platform,
    scheduler::Divide,
    verify::{TrailingDigests, TrailingState},
};

/// The unit: hash one side of a large file as far as it has come.
#[derive(Debug)]
pub(crate) struct HashOf {
    pub(crate) file: Arc<LargeFile>,
    side: Side,
    hasher: Hasher,
    at: u64,
}

/// How far a unit came.
#[derive(Debug)]
pub(crate) enum Hashed {
    /// Its side is done.
    Whole,
    /// It waits for more to be copied, and for whoever copies that to bring it back.
    Waits,
    /// There is more, but this worker should leave.
    Rest(HashOf),
}

impl<U: Divide + From<RangeOf> + From<HashOf>> Ranger<'_, U> {
    /// Let whoever has nothing to do hash what has been copied of a file so far.
    pub(crate) fn offer_hashing(&mut self, file: &Arc<LargeFile>, copied: u64) {
        let Some(trailing) = &file.trailing else { return };
        trailing.advance_to(copied);
        if self.hands.is_hungry() {
            let units: Vec<_> = parked_sides(file, trailing).map(U::from).collect();
            self.hands.give(units);
        }
    }

    /// The copying of a file is over: what is not hashed yet is now.
    pub(crate) fn hash_the_rest(&mut self, file: &Arc<LargeFile>) {
        let Some(trailing) = &file.trailing else { return };
        if self.setting.job.verify == Verify::Media && !file.is_failing() {
            let path = || file.node.place.target_path(&file.name, Kind::File);
            match self.verifier().bypass_page_cache(&file.filling.staged.file, path) {
                Ok(is_direct) => trailing.is_direct.store(is_direct, Ordering::Relaxed),
                Err(fault) => file.failed(fault),
            }
        }
        trailing.advance_to(file.end());
        trailing.has_ended.store(true, Ordering::Release);
        parked_sides(file, trailing).for_each(|unit| self.hands.push(U::from(unit)));
    }

    /// Hash one side as far as it has come.
    pub(crate) fn hash(&mut self, mut unit: HashOf) -> Hashed {
        let file = unit.file.clone();
        let trailing = file.trailing.as_ref().expect("only such files have units for it");
        let on = match unit.side {
            Side::Source => &file.filling.source,
            Side::Copy => &file.filling.staged.file,
        };
        loop {
            // Asked before the limit, which does not move after it.
            let has_ended = trailing.has_ended.load(Ordering::Acquire);
            let limit = trailing.limit(unit.side);
            while unit.at < limit && !file.is_failing() {
                match self.verifier().hash_some(on, &mut unit.hasher, &mut unit.at, limit) {
                    Ok(true) => {}
                    Ok(false) => break, // it is shorter than what was copied, which its digest shows
                    Err(fault) => file.failed(Fault { side: unit.side, ..fault }),
                }
                if self.teller.should_leave(self.hands) {
                    return Hashed::Rest(unit);
                }
            }
            if has_ended || file.is_failing() {
                let digest = if file.is_failing() { None } else { Some(unit.hasher.finish()) };
                *trailing.state(unit.side) = TrailingState::Done(digest);
                return Hashed::Whole;
            }
            let mut state = trailing.state(unit.side);
            // Looked at under the lock: whoever moves the limit then looks for who is parked.
            let is_current =
                trailing.limit(unit.side) <= unit.at && !trailing.has_ended.load(Ordering::Acquire);
            if is_current {
                *state = TrailingState::PutDown(unit.hasher, unit.at);
                return Hashed::Waits;
            }
        }
    }
}

/// Units for the sides of `file` that have something to hash and nobody at it.
fn parked_sides(file: &Arc<LargeFile>, trailing: &TrailingDigests) -> impl Iterator<Item = HashOf> {
    let has_ended = trailing.has_ended.load(Ordering::Acquire);
    [Side::Source, Side::Copy].into_iter().filter_map(move |side| {
        let mut state = trailing.state(side);
        let limit = trailing.limit(side);
        match &*state {
            TrailingState::PutDown(_, at) if has_ended || limit > *at => {}
            _ => return None,
        }
        match std::mem::replace(&mut *state, TrailingState::Taken) {
            TrailingState::PutDown(hasher, at) => Some(HashOf { file: file.clone(), side, hasher, at }),
            _ => unreachable!("it was parked, and is locked"),
        }
    })
}

/// Undo what reading a copy from its device took.
pub(crate) fn use_page_cache(file: &LargeFile) -> Result<(), Fault> {
    match &file.trailing {
        Some(trailing) if trailing.is_direct.load(Ordering::Relaxed) => {
            platform::set_direct(&file.filling.staged.file, false).during(Op::Verify)
        }
        _ => Ok(()),
    }
}
