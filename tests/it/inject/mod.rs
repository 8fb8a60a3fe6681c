//! Copies under fault: calls that the kernel refuses, processes that die, runs that are cancelled.
//!
//! Calls are made to fail by strace(1), in a process of their own (see [`traced`]). Every such test
//! asserts that the fault happened, and what the copy is worth afterwards.

mod deletions;
mod driver;
mod errnos;
mod traced;
mod tree;

mod buffered;
mod cancel;
mod clone;
mod copy_file_range;
mod costs;
mod events;
mod every;
mod failures;
mod interrupted;
mod killed;
mod left;
mod liars;
mod lost;
mod matrix;
mod metadata;
mod moments;
mod mounts;
mod platform_probes;
mod power;
mod quotas;
mod real_filesystems;
mod resume;
mod retries;
mod sendfile_splice;
mod sinks;
mod slow;
mod threshold;
mod unnamed;
mod unordered;
mod uring;
mod verify;
