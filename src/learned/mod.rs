//! What a run has learned of filesystems and of ways to move bytes, which its workers share.

mod contest;
mod created_modes;
mod large;
mod meter;
mod pair;
mod route;
mod size_class;
mod threshold;

pub(crate) use contest::{Ahead, Contest, Cost, RouteChange, Why as RouteWhy};
pub(crate) use large::{Large, Portion};
pub(crate) use meter::Ticket;
pub(crate) use pair::Pair;
pub use route::Route;
pub(crate) use route::Writing;
pub(crate) use size_class::Way;
pub(crate) use threshold::Next;
