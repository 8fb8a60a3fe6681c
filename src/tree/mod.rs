//! Directories, names and paths on both sides of a copy, and what of them is open.

mod chosen;
mod claims;
mod created;
mod descriptors;
mod dir_node;
mod dir_path;
mod entry_ref;
mod extraneous;
mod folding;
mod link_groups;
mod marker_name;
mod namesakes;
mod reserved;
mod shared_inodes;
mod spellings;
mod split_path;
pub(crate) mod staged;

pub(crate) use chosen::Chosen;
pub(crate) use claims::{collision, in_the_way};
pub(crate) use created::{CreatedByDirectory, CreatedEntries};
pub(crate) use descriptors::{Descriptors, PlaceToWait};
pub(crate) use dir_node::{DirNode, DirNodeParts, Dirs, Owner, TargetDir};
pub(crate) use dir_path::{DirPath, Root};
pub(crate) use entry_ref::EntryRef;
pub(crate) use extraneous::{ExtraneousIn, InTheWay};
pub(crate) use folding::Speller;
pub(crate) use link_groups::{Claim, LinkCache, LinkGroups, LinkTarget, WaitingName, looks_like_copy};
pub(crate) use marker_name::{MarkerName, Of};
pub(crate) use namesakes::Namesakes;
pub use reserved::is_own_name;
pub(crate) use reserved::{is_internal, is_journal, is_temporary};
pub(crate) use shared_inodes::SharedFiles;
pub(crate) use spellings::{KnownSpellings, Spellings, folded};
pub(crate) use split_path::{SplitPath, ends_in_separator};
pub(crate) use staged::{Kept, Publish, Staged, TemporaryNames, abandoned_bytes, each_name, names_in};
