//! What all workers of one run share.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
};

use tokio::sync::mpsc;

use super::{Limiter, Outcomes, Permits, Queue, Unit, found::Found};
use crate::{
    backend::RingSlot,
    cancel::Cancel,
    capabilities::ZeroCopyCapabilities,
    entry::{FileId, Meta},
    job::CopyJob,
    plan::Pair,
    platform::{self, Dir, Memory, Mounts, Privileges},
    resume::Journals,
    tree::{Descriptors, LinkGroups, MadeWithin, SharedFiles, TemporaryNames},
    units::{
        Conflicts, Expected, Extraneous, FreshFiles, Leftovers, Marks, Namesakes, Replacements, RulesUsed,
    },
};

/// What all workers of one run share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) job: CopyJob,
    pub(crate) capabilities: ZeroCopyCapabilities,
    pub(crate) queue: Queue,
    pub(crate) outcomes: mpsc::Sender<Outcomes>,
    pub(crate) cancel: Cancel,
    /// Whether anybody wants a record of every entry.
    pub(crate) records_wanted: AtomicBool,
    pub(crate) links: LinkGroups,
    pub(crate) shared: SharedFiles,
    pub(crate) descriptors: Arc<Descriptors>,
    pub(crate) mounts: Arc<Mounts>,
    pub(crate) temporaries: TemporaryNames,
    pub(crate) privileges: Privileges,
    pub(crate) user: u32,
    /// What becomes of new files on each filesystem.
    pub(crate) fresh: FreshFiles,
    /// Whether changing an owner was refused, which it then always is.
    pub(crate) owner_refused: AtomicBool,
    pub(crate) namesakes: Namesakes,
    /// With several sources: what this run made, so that one does not replace another's.
    pub(crate) made_within: Option<MadeWithin>,
    /// Rules that have decided about any entry.
    pub(crate) rules_used: RulesUsed,
    /// Directories that are the copies of sources: never to be copied themselves.
    pub(crate) copies: RwLock<HashSet<FileId>>,
    /// With several sources: directories of the copy whose leftovers were removed.
    pub(crate) swept: Mutex<HashSet<FileId>>,
    /// The directory that holds the copies; open once, however many sources there are.
    pub(crate) target: OnceLock<Arc<Dir>>,
    pub(crate) jobs_limit: JobsLimit,
    /// How the number of workers was chosen, once that is known.
    pub(crate) jobs_reason: OnceLock<String>,
    /// The engine's permits to work.
    pub(crate) permits: Arc<Permits>,
    pub(crate) ring: Arc<RingSlot>,
    pub(crate) found: Found,
    /// Sources that are not done with.
    pub(crate) sources_left: AtomicUsize,
    pub(crate) extraneous: Extraneous,
    pub(crate) conflicts: Conflicts,
    pub(crate) expected: Expected,
    pub(crate) replacements: Replacements,
    pub(crate) leftovers: Leftovers,
    pub(crate) marks: Marks,
    pub(crate) journals: Journals,
    pub(crate) limiter: Arc<Limiter>,
    /// Numbers that waits are varied by.
    pub(crate) chance: AtomicU64,
    /// Failures so far.
    pub(crate) failed: AtomicU64,
    /// Bytes that a file needed for which there was no room.
    pub(crate) needed: AtomicU64,
    /// Whether nothing more is tried in some directory.
    pub(crate) is_any_stopped: AtomicBool,
    /// Why the run was stopped, if it was.
    pub(crate) stopped: OnceLock<String>,
    /// How many entries there are, where they were counted and the run was stopped for what that showed.
    pub(crate) counted: OnceLock<u64>,
    /// How much memory files might take when there was a large one.
    pub(crate) memory: OnceLock<Option<Memory>>,
    /// Why there is no ring, where one was wanted.
    pub(crate) ring_refused: OnceLock<String>,
    /// Filesystems that are to be durable in the end, by device.
    filesystems: Mutex<BTreeMap<u64, Dir>>,
    /// By device, in an order that stays.
    pairs: Mutex<BTreeMap<(u64, u64), Arc<Pair>>>,
}

/// Rights of the group, which may be an ACL's mask, and of all others.
pub(crate) const OTHERS_WRITE: u32 = 0o022;

/// How many workers there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobsLimit {
    /// The engine's limit.
    pub(crate) engine: usize,
    /// What the caller wants: of the run, or of the engine; otherwise the storage decides.
    pub(crate) asked: Option<usize>,
}

/// What a run takes from its engine.
#[derive(Debug)]
pub(crate) struct EngineHandles {
    pub(crate) descriptors: Arc<Descriptors>,
    pub(crate) mounts: Arc<Mounts>,
    pub(crate) permits: Arc<Permits>,
    pub(crate) jobs_limit: JobsLimit,
    pub(crate) ring: Arc<RingSlot>,
}

impl Context {
    pub(crate) fn new(
        job: CopyJob,
        outcomes: mpsc::Sender<Outcomes>,
        cancel: Cancel,
        shares: EngineHandles,
    ) -> Context {
        let count = job.sources.len();
        let several = count > 1;
        let namesakes = if several { Namesakes::among(&job.sources) } else { Namesakes::default() };
        let first = namesakes.leaders(count).rev().map(Unit::Source).collect();
        // One worker begins; how many may follow is settled when the storage is known.
        let queue = Queue::new(first, 1);
        let found = Found::new(count, job.selection.follow);
        let privileges = platform::privileges();
        if (job.leaves_marks() || job.resume) && !job.dry_run {
            queue.at_last(Unit::Conclude);
        }
        Context {
            records_wanted: AtomicBool::new(job.entry_events),
            limiter: Arc::new(Limiter::new(job.limits, cancel.bell().clone())),
            rules_used: RulesUsed::of(&job.selection.rules),
            job,
            capabilities: ZeroCopyCapabilities::detect(),
            queue,
            namesakes,
            outcomes,
            cancel,
            links: LinkGroups::new(several),
            shared: SharedFiles::default(),
            descriptors: shares.descriptors,
            mounts: shares.mounts,
            temporaries: TemporaryNames::new(),
            privileges,
            user: platform::effective_user(),
            fresh: FreshFiles::default(),
            owner_refused: AtomicBool::new(privileges.loses_what_it_gives),
            made_within: several.then(MadeWithin::default),
            copies: RwLock::default(),
            swept: Mutex::default(),
            target: OnceLock::new(),
            jobs_limit: shares.jobs_limit,
            jobs_reason: OnceLock::new(),
            permits: shares.permits,
            ring: shares.ring,
            sources_left: AtomicUsize::new(count),
            found,
            extraneous: Extraneous::new(count),
            conflicts: Conflicts::default(),
            expected: Expected::default(),
            replacements: Replacements::default(),
            leftovers: Leftovers::default(),
            marks: Marks::new(),
            journals: Journals::default(),
            chance: AtomicU64::new(std::process::id().into()),
            failed: AtomicU64::new(0),
            needed: AtomicU64::new(0),
            is_any_stopped: AtomicBool::new(false),
            stopped: OnceLock::new(),
            counted: OnceLock::new(),
            memory: OnceLock::new(),
            ring_refused: OnceLock::new(),
            filesystems: Mutex::default(),
            pairs: Mutex::default(),
        }
    }

    /// Whether others than root and who runs this may write to something, or give names in a directory.
    pub(crate) fn is_open_to_strangers(&self, meta: &Meta) -> bool {
        !self.trusts(meta.uid) || meta.mode & OTHERS_WRITE != 0
    }

    /// Whether a user can do no more than harm himself: who runs this, and root, who may do anything.
    pub(crate) fn trusts(&self, uid: u32) -> bool {
        uid == self.user || uid == 0
    }

    /// The most workers that this run may come to have.
    pub(crate) fn jobs_max(&self) -> usize {
        self.jobs_limit.engine.min(self.descriptors.workers_max())
    }

    /// What is known of the filesystems of these two devices.
    pub(crate) fn pair(&self, source: u64, target: u64, new: impl FnOnce() -> Pair) -> Arc<Pair> {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.entry((source, target)).or_insert_with(|| Arc::new(new())).clone()
    }

    /// Filesystems that are to be durable in the end, by device.
    pub(crate) fn filesystems(&self) -> MutexGuard<'_, BTreeMap<u64, Dir>> {
        self.filesystems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All filesystems that were copied between so far.
    pub(crate) fn pairs(&self) -> Vec<Arc<Pair>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
