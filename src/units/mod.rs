//! What there is to do for each kind of entry.

mod acl;
mod attributes;
mod behind;
mod clock;
mod content;
mod descriptors;
mod directory;
mod entry;
mod file;
mod links;
mod made;
mod naming;
mod node;
mod place;
mod ring;
mod shared;
mod source;
mod special;
mod stage;
mod subject;
mod symlink;
mod verify;
mod whole;
mod wide;
mod xattrs;

pub(crate) use behind::{HashOf, Hashed};
pub(crate) use descriptors::Descriptors;
pub(crate) use links::{LinkCache, LinkGroups, Parked};
pub(crate) use made::MadeWithin;
pub(crate) use node::Node;
pub(crate) use place::Place;
pub(crate) use shared::SharedFiles;
pub(crate) use source::Namesakes;
pub(crate) use stage::TemporaryNames;
pub(crate) use verify::Passing;
pub(crate) use wide::Wide;
