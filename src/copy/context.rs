//! What all workers of one run share.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
};

use tokio::sync::mpsc;

use super::{Conflicts, Replacements, Unit};
use crate::{
    backend::RingSlot,
    cancel::Cancel,
    choice::Choice,
    durability::Durability,
    entry::FileId,
    fidelity::{FreshFiles, Learned},
    job::CopyJob,
    large::LargeFiles,
    learned::Pair,
    mirror::Extraneous,
    outcomes::{Ledger, Outcomes},
    platform::Mounts,
    resume::Resume,
    scheduler::{Permits, Queue},
    setting::Setting,
    space::Space,
    tree::{CreatedEntries, Descriptors, LinkGroups, Namesakes, SharedFiles},
};

/// What all workers of one run share: a field for each room below that keeps something for the whole run.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) setting: Arc<Setting>,
    pub(crate) queue: Arc<Queue<Unit>>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) workers: Workers,
    /// Sources that are not done with.
    pub(crate) sources_left: AtomicUsize,
    pub(crate) tree: TreeState,
    pub(crate) fidelity: Learned,
    pub(crate) choice: Choice,
    pub(crate) extraneous: Extraneous,
    pub(crate) conflicts: Conflicts,
    pub(crate) durability: Durability,
    pub(crate) replacements: Replacements,
    pub(crate) resume: Resume,
    pub(crate) space: Space,
    pub(crate) large: LargeFiles,
    /// Jitter of retry waits.
    pub(crate) chance: AtomicU64,
    /// By device, in an order that stays.
    pairs: Mutex<BTreeMap<(u64, u64), Arc<Pair>>>,
}

/// How many workers there may be, and who lets them work.
#[derive(Debug)]
pub(crate) struct Workers {
    pub(crate) limit: JobsLimit,
    /// How their number was chosen, once that is known.
    pub(crate) reason: OnceLock<String>,
    /// The engine's permits to work.
    pub(crate) permits: Arc<Permits>,
}

/// What is known of the trees that are copied.
#[derive(Debug)]
pub(crate) struct TreeState {
    pub(crate) links: LinkGroups,
    pub(crate) shared: SharedFiles,
    pub(crate) namesakes: Namesakes,
    /// With several sources: what this run made, so that one does not replace another's.
    pub(crate) made_within: Option<CreatedEntries>,
    /// Directories that are the copies of sources: never to be copied themselves.
    pub(crate) copies: RwLock<HashSet<FileId>>,
    /// With several sources: directories of the copy whose leftovers were removed.
    pub(crate) swept: Mutex<HashSet<FileId>>,
}

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
        engine: EngineHandles,
    ) -> Context {
        let EngineHandles { descriptors, mounts, permits, jobs_limit, ring } = engine;
        let setting = Arc::new(Setting::new(job, cancel, descriptors, mounts));
        let job = &setting.job;
        let count = job.sources.len();
        let tree = TreeState::of(job);
        let first = tree.namesakes.leaders(count).rev().map(Unit::Source).collect();
        // One worker begins; how many may follow is settled when the storage is known.
        let queue = Queue::new(first, 1);
        if (job.leaves_marks() || job.resume) && !job.dry_run {
            queue.at_last(Unit::Conclude);
        }
        let owner_refused = AtomicBool::new(setting.privileges.loses_what_it_gives);
        Context {
            queue: Arc::new(queue),
            ledger: Arc::new(Ledger::new(job, outcomes, setting.cancel.clone(), setting.limiter.clone())),
            workers: Workers { limit: jobs_limit, reason: OnceLock::new(), permits },
            sources_left: AtomicUsize::new(count),
            tree,
            fidelity: Learned { fresh: FreshFiles::default(), owner_refused },
            extraneous: Extraneous::new(count),
            conflicts: Conflicts::default(),
            choice: Choice::new(setting.clone()),
            durability: Durability::new(setting.clone()),
            replacements: Replacements::default(),
            resume: Resume::new(setting.clone()),
            space: Space::new(setting.clone()),
            large: LargeFiles::new(ring),
            chance: AtomicU64::new(std::process::id().into()),
            pairs: Mutex::default(),
            setting,
        }
    }

    /// The most workers that this run may come to have.
    pub(crate) fn jobs_max(&self) -> usize {
        self.workers.limit.engine.min(self.setting.descriptors.workers_max())
    }

    /// What is known of the filesystems of these two devices.
    pub(crate) fn pair(&self, source: u64, target: u64, new: impl FnOnce() -> Pair) -> Arc<Pair> {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.entry((source, target)).or_insert_with(|| Arc::new(new())).clone()
    }

    /// All filesystems that were copied between so far.
    pub(crate) fn pairs(&self) -> Vec<Arc<Pair>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl TreeState {
    fn of(job: &CopyJob) -> TreeState {
        let several = job.sources.len() > 1;
        let namesakes = if several { Namesakes::among(&job.sources) } else { Namesakes::default() };
        TreeState {
            links: LinkGroups::new(several),
            shared: SharedFiles::default(),
            namesakes,
            made_within: several.then(CreatedEntries::default),
            copies: RwLock::default(),
            swept: Mutex::default(),
        }
    }
}
