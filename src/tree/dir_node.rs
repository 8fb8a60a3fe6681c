//! A directory while it is copied.

use std::{
    collections::HashMap,
    ffi::CStr,
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
};

use super::{chosen::Chosen, created::CreatedByDirectory, extraneous::InTheWay};
use crate::{
    entry::{FileId, Kind, Meta},
    error::{During, Failure, Fault, Op, Side, Sided},
    learned::Pair,
    platform::{self, Dir, ListCursor},
    tree::{Descriptors, DirPath},
};

/// A directory in flight: open on both sides while that is affordable, with the number of things
/// that must be done before it can be finished.
#[derive(Debug)]
pub(crate) struct DirNode {
    pub(crate) place: Arc<DirPath>,
    pub(crate) parent: Option<Arc<DirNode>>,
    /// The number of the source, of the directory that only holds one.
    pub(crate) source_index: Option<usize>,
    /// The source directory's metadata; none for the directory that only holds a source.
    pub(crate) source: Option<Meta>,
    pub(crate) source_id: FileId,
    /// The copy's directory as it was when it was entered.
    pub(crate) target: Meta,
    /// How the run came by the copy's directory.
    pub(crate) target_dir: TargetDir,
    /// The mode the copy's directory gets back in the end, where it was opened up to work in it and
    /// the source's is not kept.
    pub(crate) mode_to_restore: Option<u32>,
    /// Whether what is created in the copy's directory inherits an ACL from it.
    pub(crate) inherits_acl: bool,
    pub(crate) pair: Arc<Pair>,
    /// Where to remember what was made in this directory, if anywhere.
    pub(crate) made: Option<Arc<CreatedByDirectory>>,
    pub(crate) chosen: Chosen,
    /// Entered while it is worked on; no span at all where nobody looks.
    pub(crate) span: tracing::Span,
    pub(crate) cursor: Mutex<ListCursor>,
    pub(crate) default_owner: OnceLock<Owner>,
    /// Whether the directory itself failed, apart from what it holds.
    pub(crate) has_failed: AtomicBool,
    /// Whether it is known what its copy has that the source lacks.
    pub(crate) is_noted: AtomicBool,
    /// Names of the copy that count as free: what has them is deleted, or would be, or is when its successor is
    /// whole.
    cleared: Mutex<HashMap<Box<CStr>, Option<InTheWay>>>,
    /// Whether nothing more is tried here, or below, since a quota is used up.
    pub(crate) stopped: AtomicBool,
    /// How many times its listing was tried again.
    pub(crate) tried: AtomicU32,
    dirs: Mutex<Option<Arc<Dirs>>>,
    pending: AtomicUsize,
}

/// User and group that own something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Owner {
    pub(crate) fn of(meta: &Meta) -> Owner {
        Owner { uid: meta.uid, gid: meta.gid }
    }
}

/// A directory open on both sides.
#[derive(Debug)]
pub(crate) struct Dirs {
    pub(crate) source: Dir,
    pub(crate) target: Dir,
    /// Whether a listing has to go to its place first, because the directory was reopened.
    unsought: AtomicBool,
    budget: Arc<Descriptors>,
}

impl Dirs {
    pub(crate) fn new(source: Dir, target: Dir, budget: &Arc<Descriptors>) -> Dirs {
        budget.opened();
        Dirs { source, target, unsought: AtomicBool::new(false), budget: budget.clone() }
    }

    /// Make sure that a listing goes on at `cursor`.
    pub(crate) fn seek(&self, cursor: ListCursor) -> io::Result<()> {
        if self.unsought.swap(false, Ordering::Relaxed) {
            self.source.seek_list(cursor)?;
        }
        Ok(())
    }

    /// The directories above these, if they are still the ones of `parent`.
    fn parents(&self, parent: &DirNode) -> Result<Dirs, Fault> {
        let source = self.source.open_dir(c"..").during(Op::Open)?;
        let target = self.target.open_dir(c"..").during(Op::Open).in_copy()?;
        parent.reopened(source, target, &self.budget)
    }
}

impl Drop for Dirs {
    fn drop(&mut self) {
        self.budget.closed();
    }
}

/// How a run came by a directory of the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetDir {
    /// The run created it for this source: nothing else is in it.
    CreatedHere,
    /// The run created it for another source, and so all that is in it.
    CreatedForOtherSource,
    /// It was there before the run.
    WasThere,
    /// It is not there: the run only tells what it would do, and has told of it.
    OnlyTold {
        /// It was told of for another source before.
        before: bool,
    },
}

impl TargetDir {
    /// Whether it was there when this source came to it.
    pub(crate) fn existed(self) -> bool {
        matches!(self, TargetDir::WasThere | TargetDir::CreatedForOtherSource)
    }

    /// Whether all that is in it is this run's, of another source.
    pub(crate) fn is_of_other_source(self) -> bool {
        matches!(self, TargetDir::CreatedForOtherSource | TargetDir::OnlyTold { before: true })
    }

    pub(crate) fn is_absent(self) -> bool {
        matches!(self, TargetDir::OnlyTold { .. })
    }
}

/// What a node is made of, beside what it starts with.
pub(crate) struct DirNodeParts {
    pub(crate) place: Arc<DirPath>,
    pub(crate) parent: Option<Arc<DirNode>>,
    pub(crate) source_index: Option<usize>,
    pub(crate) source: Option<Meta>,
    pub(crate) source_id: FileId,
    pub(crate) target: Meta,
    pub(crate) target_dir: TargetDir,
    pub(crate) mode_to_restore: Option<u32>,
    pub(crate) inherits_acl: bool,
    pub(crate) pair: Arc<Pair>,
    pub(crate) made: Option<Arc<CreatedByDirectory>>,
    pub(crate) chosen: Chosen,
    pub(crate) dirs: Arc<Dirs>,
}

impl DirNode {
    /// A node with one thing pending: the listing, or the one entry, that the caller starts.
    pub(crate) fn new(parts: DirNodeParts) -> DirNode {
        let DirNodeParts {
            place,
            parent,
            source_index,
            source,
            source_id,
            target,
            target_dir,
            mode_to_restore,
            inherits_acl,
            pair,
            made,
            chosen,
            dirs,
        } = parts;
        DirNode {
            // The directory that only holds a source is not in the copy.
            span: if parent.is_some() { place.span() } else { tracing::Span::none() },
            place,
            parent,
            source_index,
            source,
            source_id,
            target,
            target_dir,
            mode_to_restore,
            inherits_acl,
            pair,
            made,
            chosen,
            cursor: Mutex::default(),
            default_owner: OnceLock::new(),
            has_failed: AtomicBool::new(false),
            is_noted: AtomicBool::new(false),
            cleared: Mutex::default(),
            stopped: AtomicBool::new(false),
            tried: AtomicU32::new(0),
            dirs: Mutex::new(Some(dirs)),
            pending: AtomicUsize::new(1),
        }
    }

    /// Note that what the copy has as `name` is deleted, or would be; or is to be, when its successor is whole.
    pub(crate) fn clear(&self, name: &CStr, in_the_way: Option<InTheWay>) {
        self.cleared().insert(name.into(), in_the_way);
    }

    pub(crate) fn is_cleared(&self, name: &CStr) -> bool {
        self.cleared().contains_key(name)
    }

    /// Whether what the copy has as `name` is to be deleted when its successor is whole.
    pub(crate) fn is_in_the_way(&self, name: &CStr) -> bool {
        self.cleared().get(name).is_some_and(Option::is_some)
    }

    pub(crate) fn take_in_the_way(&self, name: &CStr) -> Option<InTheWay> {
        self.cleared().get_mut(name).and_then(Option::take)
    }

    fn cleared(&self) -> MutexGuard<'_, HashMap<Box<CStr>, Option<InTheWay>>> {
        self.cleared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is the source directory `id`, or lies in it.
    pub(crate) fn lies_in(&self, id: FileId) -> bool {
        let mut at = Some(self);
        while let Some(node) = at {
            if node.source.is_some() && node.source_id == id {
                return true;
            }
            at = node.parent.as_deref();
        }
        false
    }

    /// Count one more thing that must be done before this directory is.
    pub(crate) fn add_pending(self: &Arc<Self>) -> Arc<DirNode> {
        self.pending.fetch_add(1, Ordering::Relaxed);
        self.clone()
    }

    /// Count one thing as done; whether it was the last.
    pub(crate) fn done_one(&self) -> bool {
        self.pending.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// `fault` of the entry `name`, with its path on the side that it knows.
    ///
    /// What `kind` the entry is need not be known; it is taken for a file then.
    pub(crate) fn failure(&self, name: &CStr, kind: Option<Kind>, fault: Fault) -> Failure {
        let path = match fault.side {
            Side::Source => self.place.source_path(name),
            Side::Copy => self.place.target_path(name, kind.unwrap_or(Kind::File)),
        };
        let failure = fault.at(path);
        // Names from a list of the caller's were never seen here.
        if self.chosen.is_named(name) { failure } else { failure.of_listed() }
    }

    /// The open directories, opened again if they had to be closed.
    pub(crate) fn dirs(&self) -> Result<Arc<Dirs>, Fault> {
        let mut slot = self.dirs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dirs) = &*slot {
            return Ok(dirs.clone());
        }
        let dirs = Arc::new(self.reopen()?);
        *slot = Some(dirs.clone());
        Ok(dirs)
    }

    /// Whether the directories are open.
    pub(crate) fn is_open(&self) -> bool {
        self.opened().is_some()
    }

    /// Close the directories until they are needed again.
    pub(crate) fn suspend(&self) {
        if self.parent.is_some() {
            *self.dirs.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Close the directories, unless the caller's is the last thing pending.
    pub(crate) fn suspend_if_pending(&self) {
        if self.pending.load(Ordering::Relaxed) > 1 {
            self.suspend();
        }
    }

    /// Open the parent again through this directory, while that is still open.
    pub(crate) fn resume_parent(&self, dirs: &Dirs) {
        let Some(parent) = self.parent.as_ref().filter(|_| !self.target_dir.is_absent()) else { return };
        let mut slot = parent.dirs.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            // Where it does not work, whoever needs the parent opens it from above.
            *slot = dirs.parents(parent).ok().map(Arc::new);
        }
    }

    fn opened(&self) -> Option<Arc<Dirs>> {
        self.dirs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Walk down from the nearest directory above that is open.
    fn reopen(&self) -> Result<Dirs, Fault> {
        let mut path: Vec<&DirNode> = vec![self];
        let mut above = self.parent.as_deref();
        let start = loop {
            let node = above.expect("the root of a copy is never closed");
            if let Some(dirs) = node.opened() {
                break dirs;
            }
            path.push(node);
            above = node.parent.as_deref();
        };
        let mut held: Option<(Dir, Dir)> = None;
        for node in path.iter().rev() {
            let (source, target) =
                held.as_ref().map_or((&start.source, &start.target), |(source, target)| (source, target));
            let name = node.place.name();
            let place = &node.parent.as_ref().expect("only the root has none").place;
            let below = match node.target_dir.is_absent() {
                true => target.duplicate(),
                false => target.open_dir(&place.target_name(name, Kind::Directory)),
            };
            let below = below.during(Op::Open).in_copy()?;
            held = Some((source.open_dir(name).during(Op::Open)?, below));
        }
        let (source, target) = held.expect("the path holds at least this node");
        self.reopened(source, target, &start.budget)
    }

    fn reopened(&self, source: Dir, target: Dir, budget: &Arc<Descriptors>) -> Result<Dirs, Fault> {
        const MOVED: &str = "the directory was moved or replaced while it was copied";
        if source.meta().during(Op::Stat)?.id != self.source_id {
            return Err(Fault::changed(Op::Open, MOVED));
        }
        if !self.target_dir.is_absent() && target.meta().during(Op::Stat).in_copy()?.id != self.target.id {
            return Err(Fault::refused(Op::Open, MOVED).in_copy());
        }
        let dirs = Dirs::new(source, target, budget);
        dirs.unsought.store(true, Ordering::Relaxed);
        Ok(dirs)
    }

    /// Who owns what this process creates in the copy's directory, learned from `created`.
    pub(crate) fn default_owner(&self, created: platform::Handle<'_>) -> io::Result<Owner> {
        if let Some(owner) = self.default_owner.get() {
            return Ok(*owner);
        }
        let owner = Owner::of(&created.meta()?);
        Ok(*self.default_owner.get_or_init(|| owner))
    }
}

impl Drop for DirNode {
    /// Unwinds a chain of any depth in a loop: dropping it by recursion could overflow the stack.
    fn drop(&mut self) {
        let mut above = mem::take(&mut self.parent);
        while let Some(mut node) = above.and_then(Arc::into_inner) {
            above = mem::take(&mut node.parent);
        }
    }
}
