//! What is written down of a copy that may be taken up later.

pub(crate) mod journal;
mod journals;

pub(crate) use journal::{InPlace, SourceState, Unfinished, pieces};
pub(crate) use journals::{Entered, Journal, Journals, open_ours};
