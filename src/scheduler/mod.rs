//! Who works on what: the loop of a worker, the queue that workers share, permits and rates. It knows no file.

mod hands;
mod limiter;
mod permit;
mod queue;
mod shortage;
mod sleep;

pub(crate) use hands::{Divide, Hands, Worker, work};
pub(crate) use limiter::Limiter;
pub(crate) use permit::{Permit, Permits, Waiting};
pub(crate) use queue::Queue;
pub(crate) use shortage::wait_in_shortage;
pub(crate) use sleep::{NAP, sleep_until};
