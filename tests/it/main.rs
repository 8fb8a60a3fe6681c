//! Behaviour, through the public API and the command, on real filesystems.

#[cfg(target_os = "linux")]
mod inject;
mod support;

#[cfg(target_os = "linux")]
mod fidelity;
