//! Decisions, made from values alone: no I/O happens here.

mod climb;
mod contest;
mod deletion;
mod existing;
mod jobs;
mod ladder;
mod large;
mod meter;
mod modes;
mod pair;
mod route;
mod size_class;
mod threshold;
mod zero_copy;

pub(crate) use climb::{Climb, Seen, Why};
pub(crate) use contest::{Ahead, Contest, Cost, Turn, Why as RouteWhy};
pub(crate) use deletion::{Deletion, deletion, is_most, why_it_stays};
pub(crate) use existing::{Action, decide, is_in_the_way, looks_same};
pub(crate) use jobs::{default_jobs, default_jobs_reason};
pub(crate) use ladder::{LARGE_MIN, Ladder, ladder, ladder_in_turn, ladder_of_coded, may_reflink};
pub(crate) use large::{Large, Portion};
pub(crate) use meter::Ticket;
pub(crate) use pair::Pair;
pub use route::Route;
pub(crate) use route::{Writing, routes};
pub(crate) use size_class::Way;
pub use zero_copy::{ZeroCopyRequest, should_use_zero_copy};
