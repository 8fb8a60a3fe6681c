//! What Linux and macOS share: open directories, files by descriptor, metadata.

mod data;
mod dir;
mod errno;
mod metadata;
mod retry;
mod room;
mod xattr;

pub(crate) use data::next_data;
pub(crate) use dir::{Dir, listed_kind};
pub(crate) use errno::*;
pub(crate) use metadata::*;
pub(super) use retry::retried;
pub(crate) use room::room;
#[allow(unused_imports, reason = "only Linux holds entries that are not opened")]
pub(super) use xattr::fill;
