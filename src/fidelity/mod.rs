//! What of an entry is kept beside its content: owner, ACL, extended attributes, mode, times.

pub(crate) mod acl;
mod attributes;
mod held;
mod metadata_target;
mod replaced;
mod strangers;
mod timestamps;
mod xattrs;

use std::sync::atomic::AtomicBool;

pub(crate) use attributes::{LEAST, UNFINISHED_BEFORE, creation_mode};
pub(crate) use held::{Held, check_made, hold_made, is_ours};
pub(crate) use metadata_target::MetadataTarget;
pub(crate) use replaced::{Replaced, replaced};
pub(crate) use strangers::FreshFiles;
pub(crate) use timestamps::{as_kept, granularity, may_clamp};

use crate::{durability::RunMarkers, outcomes::Teller, setting::Setting, space::Space, tree::SharedFiles};

/// Gives copies the attributes of their sources, and tells which differ.
pub(crate) struct Fidelity<'a> {
    pub(crate) setting: &'a Setting,
    pub(crate) learned: &'a Learned,
    pub(crate) shared: &'a SharedFiles,
    pub(crate) markers: &'a RunMarkers,
    pub(crate) space: &'a Space,
    pub(crate) teller: &'a mut Teller,
    pub(crate) buffers: &'a mut XattrBuffers,
}

/// What the copy's filesystems were found to do with attributes.
#[derive(Debug)]
pub(crate) struct Learned {
    /// What becomes of new files on each filesystem.
    pub(crate) fresh: FreshFiles,
    /// Whether changing an owner was refused, which it then always is.
    pub(crate) owner_refused: AtomicBool,
}

/// Where extended attributes are read to.
#[derive(Debug, Default)]
pub(crate) struct XattrBuffers {
    names: Vec<u8>,
    value: Vec<u8>,
}
