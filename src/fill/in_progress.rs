//! A file of the copy that is being filled.

use std::{
    fs::File,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    entry::{FileId, Meta},
    event::Done,
    fidelity::Replaced,
    method::Declined,
    resume::Resumed,
    transfer::Zeros,
    tree::{DirNode, Publish, Staged},
};

/// A file of the copy that is being filled.
#[derive(Debug)]
pub(crate) struct FileInProgress {
    pub(crate) source: File,
    pub(crate) staged: Staged,
    pub(crate) meta: Meta,
    /// What the copy was created with.
    pub(crate) mode: u32,
    pub(crate) publish: Publish,
    pub(crate) done: Done,
    /// Whether to look for the source's data instead of reading everything; asked only once the blocks
    /// could not be shared.
    pub(crate) seeks_data: bool,
    /// Why zero-copy is not for it.
    pub(crate) declined: Option<Declined>,
    /// Whether a buffer proved faster for a part of it.
    pub(crate) was_buffered: AtomicBool,
    /// The link group that it is the first copied name of.
    pub(crate) group: Option<FileId>,
    /// What an earlier run has put in place.
    pub(crate) taken_up: Option<Box<Resumed>>,
    /// What it is about to replace, where it is to have that one's mode.
    pub(crate) replaces: Option<Box<Replaced>>,
}

impl FileInProgress {
    /// Why zero-copy was not for it.
    pub(crate) fn declined(&self) -> Option<Declined> {
        let slower = || self.was_buffered.load(Ordering::Relaxed).then_some(Declined::Slower);
        self.declined.or_else(slower)
    }

    /// Whether the copy gets holes, and therefore its size before its content.
    pub(crate) fn has_holes(&self, zeros: Zeros) -> bool {
        zeros == Zeros::LeaveOut || self.seeks_data
    }
}

/// Whether a file of the source lies on another filesystem than its directory: a link that is followed leads there, or
/// it is a mount of its own.
pub(crate) fn lies_elsewhere(node: &DirNode, meta: &Meta) -> bool {
    meta.id.dev != node.source_id.dev
}
