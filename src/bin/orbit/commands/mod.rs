//! What the commands do, one file a command, and the job that the arguments ask for.

pub(crate) mod capabilities;
pub(crate) mod copy;
mod destination;
pub(crate) mod job;
pub(crate) mod report;
pub(crate) mod verify;
