//! Behaviour, through the public API and the command, on real filesystems.

#![cfg(unix)]

#[cfg(target_os = "linux")]
mod inject;
mod support;
