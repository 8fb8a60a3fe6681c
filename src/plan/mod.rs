//! Decisions, made from values alone: no I/O happens here.

mod climb;
mod deletion;
mod existing;
mod jobs;
mod ladder;
mod routes;
mod zero_copy;

pub(crate) use climb::{Climb, Seen, Why};
pub(crate) use deletion::{Deletion, deletion, is_most, why_it_stays};
pub(crate) use existing::{Action, decide, is_in_the_way, looks_same};
pub(crate) use jobs::{default_jobs, default_jobs_reason};
pub(crate) use ladder::{LARGE_MIN, Ladder, ladder, ladder_in_turn, ladder_of_coded, may_reflink};
pub(crate) use routes::routes;
pub use zero_copy::{ZeroCopyRequest, should_use_zero_copy};
