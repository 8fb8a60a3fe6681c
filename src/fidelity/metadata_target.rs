//! An entry that is given its attributes, and what is known of it.

use std::ffi::CStr;

use super::replaced::Replaced;
use crate::{
    entry::Meta,
    platform::Handle,
    tree::{DirNode, EntryRef},
};

/// An entry whose copy is to get the source's attributes.
#[derive(Clone, Copy)]
pub(crate) struct MetadataTarget<'a> {
    pub(crate) node: &'a DirNode,
    pub(crate) name: &'a CStr,
    pub(crate) from: Handle<'a>,
    pub(crate) to: Handle<'a>,
    pub(crate) meta: &'a Meta,
    /// What the copy has now, where that is known.
    pub(crate) found: Option<&'a Meta>,
    /// The mode this run created it with, so that it has nothing else but what it inherited; none
    /// for what was there before.
    pub(crate) created: Option<u32>,
    /// What it is about to replace, where it is to have that one's mode.
    pub(crate) replaces: Option<&'a Replaced>,
    /// Whether to set the times, which say that the copy is finished.
    pub(crate) times: bool,
}

impl<'a> MetadataTarget<'a> {
    /// An entry that the copy has already as `target_name`, where it is `found`.
    pub(crate) fn there(
        at: EntryRef<'a>,
        target_name: &'a CStr,
        meta: &'a Meta,
        found: &'a Meta,
    ) -> MetadataTarget<'a> {
        let (from, to) = at.handles(target_name);
        let EntryRef { node, name, .. } = at;
        let found = Some(found);
        MetadataTarget { node, name, from, to, meta, found, created: None, replaces: None, times: true }
    }

    pub(crate) fn is_new(&self) -> bool {
        self.created.is_some()
    }
}
