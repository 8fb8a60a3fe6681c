//! Behaviour, through the public API and the command, on real filesystems.

// Other systems have `tests/portable.rs`.
#![cfg(target_os = "linux")]
#![allow(unreachable_pub, reason = "nothing of a test program is reached from outside")]

mod audit;
mod capabilities;
mod cli;
mod collisions;
mod compare;
mod compress;
mod destination;
mod dry_run;
mod existing;
mod explain;
mod fidelity;
mod inject;
mod interrupts;
mod leases;
mod library;
mod lists;
mod manifest;
mod mirror;
mod mirror_folding;
mod mirror_judge;
mod mirror_kept;
mod mirror_locked;
mod mirror_race;
mod mirror_types;
mod modes;
mod outputs;
mod progress;
mod property;
mod race;
mod rights;
mod room;
mod rules;
mod select;
mod service;
mod shapes;
mod shortage;
mod statuses;
mod support;
mod terminal;
#[cfg(target_os = "linux")]
mod trust;
