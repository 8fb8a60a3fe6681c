//! Behaviour, through the public API and the command, on real filesystems.

mod support;

#[cfg(target_os = "linux")]
mod existing;
#[cfg(target_os = "linux")]
mod fidelity;
#[cfg(target_os = "linux")]
mod library;
#[cfg(target_os = "linux")]
mod property;
#[cfg(target_os = "linux")]
mod race;
#[cfg(target_os = "linux")]
mod shapes;
