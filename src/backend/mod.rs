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

pub(crate) use imp::Ring;
pub(crate) use slot::RingSlot;

use crate::platform;

/// Where requests of direct I/O begin and end, in bytes: what every block device takes.
pub(crate) const BLOCK: u64 = 4096;

/// How far a ring came with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ringed {
    /// Everything below is in place.
    pub(crate) upto: u64,
    /// The error number by which the kernel or a filesystem said that it does not do it.
    pub(crate) refusal: Option<i32>,
}

/// Whether a ring can be had in this process, and if not, why.
pub(crate) fn try_ring() -> Result<(), String> {
    imp::try_ring().map_err(|why| match platform::ring_is_disabled() {
        Some(setting) => format!("{why}: {setting}"),
        None => why,
    })
}
