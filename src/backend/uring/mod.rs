//! `io_uring`; nothing outside of this folder names `tokio_uring`.

mod buffers;
mod lanes;
mod probe;
mod progress;
mod ring;
mod stretch;

pub(super) use probe::try_ring;
pub(crate) use ring::Ring;
