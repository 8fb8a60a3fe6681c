//! What there is to do for each kind of entry.

mod conflicts;
mod context;
mod copier;
mod count;
mod directory;
mod entry;
mod existing;
mod failure;
mod file;
mod finish;
mod guard;
mod hard_link;
mod ranges;
mod replacements;
mod retry;
mod source;
mod special;
mod symlink;
mod tools;
mod unit;
mod views;

pub(crate) use conflicts::Conflicts;
pub(crate) use context::{Context, EngineHandles, JobsLimit};
pub(crate) use copier::Copier;
pub(crate) use replacements::Replacements;
pub(crate) use tools::Tools;
pub(crate) use unit::{Again, Batch, LinkBatch, Unit};
