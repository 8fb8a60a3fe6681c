//! Comparing a copy with its source, or with a manifest: every byte is read, and nothing is changed.

mod comparison;
mod content;
mod entry;
mod finding;
mod listed;
mod metadata;
mod reader;
mod report;
mod task;
mod trail;

pub use comparison::Comparison;
pub use finding::{Difference, Finding, What};
pub use report::ComparisonReport;

pub(crate) use reader::{Reader, Shared};
