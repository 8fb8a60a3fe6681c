//! What is wanted of what a directory holds.

use std::{ffi::CStr, io, sync::Arc};

use crate::{
    entry::Kind,
    error::{During, Fault, Op},
    platform::{Dir, Names},
    select::{Ignores, Wanted},
};

/// What is wanted of what a directory holds.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// The ignore files that hold here.
    pub(crate) ignores: Option<Arc<Ignores>>,
    /// The names that a list has here.
    pub(crate) names: Option<Arc<Wanted>>,
    /// Whether all others are wanted as well.
    pub(crate) is_whole: bool,
    /// Whether nothing is, because another filesystem begins here.
    pub(crate) is_boundary: bool,
}

impl Chosen {
    /// Whether a list of the caller's has this very name, which then need not have been seen.
    pub(crate) fn is_named(&self, name: &CStr) -> bool {
        self.names.as_ref().is_some_and(|wanted| wanted.below.contains_key(name))
    }

    /// The names that are wanted, where not all are.
    pub(crate) fn some(&self) -> Option<&Wanted> {
        self.names.as_deref().filter(|_| !self.is_whole)
    }

    /// Add names that a list has below a directory which it has as well, and which are not there: each fails.
    pub(crate) fn add_missing(&self, source: &Dir, names: &mut Names) -> Result<(), Fault> {
        for name in self.names.iter().flat_map(|wanted| wanted.below.keys()) {
            match source.stat(name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => names.push(name, None),
                looked => drop(looked.during(Op::Stat)?),
            }
        }
        Ok(())
    }

    /// Refuse an entry, which is a `kind`, that a list takes for a directory when it is none.
    pub(crate) fn refuse_behind(&self, name: &CStr, kind: Kind) -> Result<(), Fault> {
        let listed = self.names.as_ref().and_then(|wanted| wanted.below.get(name));
        let Some(why) = listed.filter(|_| kind != Kind::Directory).and_then(|listed| listed.behind()) else {
            return Ok(());
        };
        let mut why = format!("{why}, but it is {}", kind.described());
        if kind == Kind::Symlink {
            why += ", which is not followed (-L does)";
        }
        Err(Fault::refused(Op::Copy, why))
    }
}
