//! `io_uring`; nothing outside of this folder names `tokio_uring`.

mod probe;

pub(super) use probe::try_ring;
