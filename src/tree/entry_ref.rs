//! One entry of a directory in flight.

use std::{ffi::CStr, sync::Arc};

use super::dir_node::{DirNode, Dirs};
use crate::platform::Handle;

/// One entry of a directory in flight.
#[derive(Clone, Copy)]
pub(crate) struct EntryRef<'a> {
    pub(crate) node: &'a Arc<DirNode>,
    pub(crate) dirs: &'a Dirs,
    pub(crate) name: &'a CStr,
}

impl<'a> EntryRef<'a> {
    /// The source's entry and the copy's, which is called `target_name`.
    pub(crate) fn handles(self, target_name: &'a CStr) -> (Handle<'a>, Handle<'a>) {
        (Handle::Entry(&self.dirs.source, self.name), Handle::Entry(&self.dirs.target, target_name))
    }
}
