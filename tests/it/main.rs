//! Behaviour, through the public API and the command, on real filesystems.

mod support;
