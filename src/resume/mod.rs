//! Going on inside large files that an earlier run has left unfinished.

mod check;
mod earlier_runs;
pub(crate) mod journal;
mod journals;
mod take_up;

use std::sync::Arc;

pub(crate) use check::{Sides, is_in_place};
pub(crate) use earlier_runs::{EarlierRuns, LookedAt};
pub(crate) use journal::pieces;
pub(crate) use journals::JournalEntry;
pub(crate) use take_up::Resumed;

use crate::setting::Setting;
use journals::Journals;

/// What is written down of the copies of a run, and what earlier runs have written down.
#[derive(Debug)]
pub(crate) struct Resume {
    setting: Arc<Setting>,
    pub(crate) journals: Journals,
}
