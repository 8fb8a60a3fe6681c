//! The names that lead from what is compared down to a directory.

use std::{
    ffi::{CStr, CString},
    path::PathBuf,
    sync::Arc,
};

use crate::platform;

/// The names that lead from what is compared down to a directory; nothing for that itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail(Option<Arc<Step>>);

#[derive(Debug)]
struct Step {
    name: CString,
    above: Trail,
}

impl Trail {
    pub(super) fn down(&self, name: &CStr) -> Trail {
        Trail(Some(Arc::new(Step { name: name.to_owned(), above: self.clone() })))
    }

    pub(super) fn names(&self) -> Vec<&CStr> {
        let steps = std::iter::successors(self.0.as_deref(), |step| step.above.0.as_deref());
        let mut names: Vec<_> = steps.map(|step| &*step.name).collect();
        names.reverse();
        names
    }

    /// The path of the entry `name` of this directory, as rules are asked for it.
    pub(super) fn path_of_parts(&self, name: &CStr) -> Vec<u8> {
        let parts: Vec<_> = self.names().into_iter().chain([name]).map(CStr::to_bytes).collect();
        parts.join(&b'/')
    }

    /// The path of the entry `name` of this directory.
    pub(super) fn path(&self, name: &CStr) -> PathBuf {
        let names = self.names();
        let named = (!matches!(name.to_bytes(), b"" | b".")).then_some(name);
        names.into_iter().chain(named).map(platform::to_os).collect()
    }
}

impl Drop for Step {
    /// In a loop: a deep chain would overflow the stack.
    fn drop(&mut self) {
        let mut above = self.above.0.take();
        while let Some(mut step) = above.and_then(Arc::into_inner) {
            above = step.above.0.take();
        }
    }
}
