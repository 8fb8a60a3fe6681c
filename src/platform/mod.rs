//! The system calls Orbit needs, whatever the system.
//!
//! Every system offers the same names. What a system cannot do is a value
//! ([`std::io::ErrorKind::Unsupported`] or a constant `false`), never a missing function.
//! Names of entries are bytes ending in NUL, as Unix keeps them; Windows encodes its own in WTF-8.

#[cfg(unix)]
mod unix;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as imp;

#[cfg(all(unix, not(target_os = "linux")))]
mod macos;
#[cfg(all(unix, not(target_os = "linux")))]
use macos as imp;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as imp;

mod direct_io;
mod memory;
mod mount;
mod names;
mod order;
mod privileges;
mod room;
mod shortage;
#[cfg(not(target_os = "linux"))]
mod unprobed;
mod verdict;

pub use direct_io::DirectIo;
pub(crate) use imp::*;
pub(crate) use memory::Memory;
pub(crate) use mount::Mount;
pub(crate) use names::Names;
pub(crate) use order::Order;
pub(crate) use privileges::Privileges;
pub(crate) use room::Room;
pub(crate) use shortage::{WaitsInShortage, wait_in_shortage};
#[cfg(not(target_os = "linux"))]
pub(crate) use unprobed::*;
pub(crate) use verdict::Verdict;
