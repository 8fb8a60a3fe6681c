//! Who works on what: worker loops, the queue they share, and the news they send.

mod context;
mod cost;
mod found;
mod guard;
mod limiter;
mod outcome;
mod permit;
mod queue;
mod shortage;
mod tell;
mod unit;
mod waits;
mod worker;

pub(crate) use context::{Context, EngineHandles, JobsLimit, OTHERS_WRITE};
pub(crate) use cost::CostSoFar;
#[cfg(test)]
pub(crate) use guard::break_down;
pub(crate) use guard::caught;
pub(crate) use limiter::Limiter;
pub(crate) use outcome::{Effort, Outcomes, Record};
pub(crate) use permit::{Permit, Permits, Waiting};
pub(crate) use queue::{Patience, Queue, Taken};
pub(crate) use shortage::wait_in_shortage;
pub(crate) use unit::{Batch, LateNames, RangeOf, Unit};
pub(crate) use waits::Again;
pub(crate) use worker::Worker;
