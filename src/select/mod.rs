//! Which entries of a source are wanted: rules on paths, ignore files, lists of names.

mod glob;
mod globs;
mod ignore;
mod list;
mod rules;

pub(crate) use ignore::Ignores;
#[cfg(fuzzing)]
pub use ignore::fuzz as fuzz_ignores;
pub(crate) use list::Wanted;
pub use list::{BadName, FileList};
pub(crate) use rules::Rules;
pub use rules::{BadPattern, Rule};
