//! What is copied where and how: all that contenders in one contest have in common.

use std::fmt;

use serde::Serialize;

use crate::{
    arena::Filesystem,
    corpus::Tree,
    measure::{Cache, Pass},
};

/// What is copied where and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Sitting {
    pub(crate) tree: Tree,
    pub(crate) filesystem: Filesystem,
    pub(crate) cache: Cache,
    pub(crate) pass: Pass,
}

impl Sitting {
    /// A first copy of a source that was just read.
    pub(crate) fn warm(tree: Tree, filesystem: Filesystem) -> Sitting {
        Sitting { tree, filesystem, cache: Cache::Warm, pass: Pass::First }
    }

    pub(crate) fn cold(tree: Tree, filesystem: Filesystem) -> Sitting {
        Sitting { cache: Cache::Cold, ..Sitting::warm(tree, filesystem) }
    }

    pub(crate) fn again(tree: Tree, filesystem: Filesystem) -> Sitting {
        Sitting { pass: Pass::Again, ..Sitting::warm(tree, filesystem) }
    }
}

impl fmt::Display for Sitting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.tree.name())?;
        if self.filesystem != Filesystem::None {
            write!(formatter, ", {}", self.filesystem.name())?;
        }
        formatter.write_str(match self.cache {
            Cache::Warm => ", warm",
            Cache::Cold => ", cold",
        })?;
        formatter.write_str(match self.pass {
            Pass::First => "",
            Pass::Again => ", second run",
        })
    }
}
