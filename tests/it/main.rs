//! Behaviour, through the public API and the command, on real filesystems.

#![allow(unreachable_pub, reason = "nothing of a test program is reached from outside")]

#[cfg(target_os = "linux")]
mod capabilities;
#[cfg(target_os = "linux")]
mod cli;
#[cfg(target_os = "linux")]
mod existing;
#[cfg(target_os = "linux")]
mod fidelity;
#[cfg(target_os = "linux")]
mod inject;
#[cfg(target_os = "linux")]
mod interrupts;
#[cfg(target_os = "linux")]
mod library;
#[cfg(target_os = "linux")]
mod property;
#[cfg(target_os = "linux")]
mod race;
#[cfg(target_os = "linux")]
mod shapes;
#[cfg(unix)]
mod support;
#[cfg(target_os = "linux")]
mod terminal;
