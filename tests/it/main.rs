//! Behaviour, through the public API and the command, on real filesystems.

#![allow(unreachable_pub, reason = "nothing of a test program is reached from outside")]

mod capabilities;
mod cli;
mod interrupts;
mod support;
mod terminal;
