//! The io_uring backend: large files by a ring, where one is wanted and can be had.
//!
//! A [`Ring`] moves the bytes of files that workers have opened. It never fails: what it leaves
//! undone the other methods do, and they say why it cannot be done.

mod slot;

#[cfg(all(target_os = "linux", feature = "uring"))]
mod uring;
#[cfg(all(target_os = "linux", feature = "uring"))]
use uring as imp;

#[cfg(not(all(target_os = "linux", feature = "uring")))]
mod none;
#[cfg(not(all(target_os = "linux", feature = "uring")))]
use none as imp;

pub(crate) use imp::{Ring, try_ring};
pub(crate) use slot::RingSlot;

/// Where requests of direct I/O begin and end, in bytes: what every block device takes.
pub(crate) const BLOCK: u64 = 4096;

/// How far a ring came with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ringed {
    /// Everything below is in place.
    pub(crate) upto: u64,
    /// Whether the kernel or the filesystem turned out not to do it.
    pub(crate) is_refused: bool,
}
