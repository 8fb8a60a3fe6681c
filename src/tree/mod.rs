//! Directories, names and paths on both sides of a copy, and what of them is open.

mod descriptors;
mod marker_name;
mod place;
mod reserved;
mod shared_inodes;
mod split_path;
pub(crate) mod staged;

pub(crate) use descriptors::{Descriptors, PlaceToWait};
pub(crate) use marker_name::{MarkerName, Of};
pub(crate) use place::{Place, Root};
pub use reserved::is_own_name;
pub(crate) use reserved::{is_internal, is_journal, is_temporary};
pub(crate) use shared_inodes::SharedFiles;
pub(crate) use split_path::{SplitPath, ends_in_separator};
pub(crate) use staged::{Appearance, Kept, Staged, TemporaryNames, abandoned_bytes, each_name};
