//! Pieces of work that any worker can do.

use std::{ffi::CStr, sync::Arc};

use crate::{
    entry::{FileId, Kind},
    large::{HashOf, RangeOf},
    platform::Names,
    scheduler::Divide,
    tree::{DirNode, ExtraneousIn, WaitingName},
};

/// A piece of work.
#[derive(Debug)]
pub(crate) enum Unit {
    /// Begin the source of this number.
    Source(usize),
    /// List this directory, from where its listing stopped.
    List(Arc<DirNode>),
    /// Copy these entries of a directory.
    Batch(Batch),
    /// Copy this name of a link group, whose first name could not be copied.
    LeadGroup(WaitingName, FileId),
    /// Link these names, which waited for the first of their group.
    LinkNames(LinkBatch),
    /// Copy this range of a large file.
    Range(RangeOf),
    /// Hash what is there of one side of a large file.
    Hash(HashOf),
    /// Delete what only the copy has in one of its directories.
    Delete(ExtraneousIn),
    /// Try this entry again.
    Again(Again),
    /// Let finished files replace others.
    Replace,
    /// Delete what is in the way of entries, and try them again.
    Clear,
    /// Do the last thing of the run.
    Conclude,
}

/// Entries of one directory.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) node: Arc<DirNode>,
    pub(crate) names: Arc<Names>,
    pub(crate) next: usize,
    pub(crate) end: usize,
}

/// The unit: try an entry again that failed.
#[derive(Debug)]
pub(crate) struct Again {
    pub(crate) node: Arc<DirNode>,
    pub(crate) name: Box<CStr>,
    pub(crate) listed: Option<Kind>,
    /// How many times it was tried again before.
    pub(crate) tried: u32,
}

/// Names of one link group that came while its first name was copied.
#[derive(Debug)]
pub(crate) struct LinkBatch {
    pub(crate) names: Vec<WaitingName>,
    /// The source's inode.
    pub(crate) group: FileId,
}

impl LinkBatch {
    /// The fewest names that are worth two workers.
    const SPLIT_MIN: usize = 4;

    /// Give away the second half.
    pub(crate) fn split(&mut self) -> Option<LinkBatch> {
        if self.names.len() < Self::SPLIT_MIN {
            return None;
        }
        let names = self.names.split_off(self.names.len() / 2);
        Some(LinkBatch { names, group: self.group })
    }
}

impl Batch {
    /// The smallest batch that is worth two workers.
    const SPLIT_MIN: usize = 4;

    /// Give away the second half.
    pub(crate) fn split(&mut self) -> Option<Batch> {
        let left = self.end - self.next;
        if left < Self::SPLIT_MIN {
            return None;
        }
        let middle = self.next + left / 2;
        let rest =
            Batch { next: middle, node: self.node.add_pending(), names: self.names.clone(), end: self.end };
        self.end = middle;
        Some(rest)
    }
}

impl From<RangeOf> for Unit {
    fn from(range: RangeOf) -> Unit {
        Unit::Range(range)
    }
}

impl From<HashOf> for Unit {
    fn from(hash: HashOf) -> Unit {
        Unit::Hash(hash)
    }
}

impl Divide for Unit {
    fn divide(&mut self) -> Option<Unit> {
        match self {
            Unit::Source(_)
            | Unit::List(_)
            | Unit::LeadGroup(..)
            | Unit::Hash(_)
            | Unit::Delete(_)
            | Unit::Again(_)
            | Unit::Replace
            | Unit::Clear
            | Unit::Conclude => None,
            Unit::Batch(batch) => batch.split().map(Unit::Batch),
            Unit::LinkNames(late) => late.split().map(Unit::LinkNames),
            Unit::Range(range) => range.split().map(Unit::Range),
        }
    }
}
