//! What is written down of a copy that may be taken up later.

pub(crate) mod journal;

pub(crate) use journal::{InPlace, SourceState, Unfinished, pieces};
