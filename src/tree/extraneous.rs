//! What a directory of the copy has that its source lacks.

use std::sync::Arc;

use crate::{
    entry::{FileId, Meta},
    error::{Fault, Op},
    platform::Names,
    select::Ignores,
    tree::{CreatedByDirectory, DirPath},
};

/// The entries of one directory of the copy that its source lacks.
#[derive(Debug)]
pub(crate) struct ExtraneousIn {
    pub(crate) place: Arc<DirPath>,
    /// Which directory that is.
    pub(crate) id: FileId,
    pub(crate) names: Arc<Names>,
    /// What the directory is to have when they are gone.
    pub(crate) source: Meta,
    /// The ignore files that hold here, and in all that the source lacks.
    pub(crate) ignores: Option<Arc<Ignores>>,
    /// What this run has made here, or found to be as it should.
    pub(crate) made: Option<Arc<CreatedByDirectory>>,
}

/// What is deleted when its successor is whole but for its name.
#[derive(Debug)]
pub(crate) struct InTheWay {
    pub(crate) within: ExtraneousIn,
    pub(crate) op: Op,
    /// What it is, in words.
    pub(crate) described: String,
}

impl InTheWay {
    /// It stays, and so its successor fails.
    pub(crate) fn stays(&self) -> Fault {
        Fault::in_the_way(self.op, format!("{}, and stays", self.described))
    }
}
