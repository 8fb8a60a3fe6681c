//! What Linux and macOS share: open directories, files by descriptor, metadata.

mod dir;
mod errno;
mod metadata;
mod xattr;

pub(crate) use dir::Dir;
pub(crate) use errno::*;
pub(crate) use metadata::*;
