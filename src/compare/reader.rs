//! The worker of a comparison, and what all workers share.

use std::{
    collections::HashMap,
    ffi::{CStr, CString},
    io,
    mem::MaybeUninit,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::mpsc::{self, error::TrySendError};

use super::{
    Comparison, ComparisonReport, Difference, Finding, What,
    comparison::With,
    task::{Listed, Task},
    trail::Trail,
};
use crate::{
    cancel::Cancel,
    entry::FileId,
    error::{Failure, Fault, Op, Side},
    guard::caught,
    platform::{self, Dir, Mounts},
    scheduler::{Hands, Permit, Permits, Queue, Worker, wait_in_shortage, work},
    tree::Descriptors,
};

/// What all workers of a comparison share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) job: Comparison,
    pub(crate) cancel: Cancel,
    pub(crate) queue: Arc<Queue<Task>>,
    findings: mpsc::Sender<Finding>,
    permits: Arc<Permits>,
    descriptors: Arc<Descriptors>,
    pub(super) mounts: Arc<Mounts>,
    report: Mutex<ComparisonReport>,
    /// Which file of the copy stands for one of the source that has several names, and the other way.
    pub(super) links: Mutex<[HashMap<FileId, FileId>; 2]>,
    /// Whether numbers tell which names are one file, once it mattered.
    pub(super) are_numbered: std::sync::OnceLock<bool>,
    /// The directories that hold what is compared, once they are open.
    pub(super) roots: std::sync::OnceLock<Roots>,
}

/// Where both sides begin.
#[derive(Debug)]
pub(super) struct Roots {
    pub(super) source: Dir,
    pub(super) copy: Dir,
    /// Whether both are directories, whose entries are compared.
    are_trees: bool,
}

/// A worker.
pub(crate) struct Reader {
    pub(super) shared: Arc<Shared>,
    /// One for each side.
    pub(super) buffers: [Vec<u8>; 2],
    pub(super) listing: Box<[MaybeUninit<u8>]>,
    pub(super) report: ComparisonReport,
    hands: Hands<Task>,
}

impl Shared {
    pub(crate) fn new(
        job: Comparison,
        findings: mpsc::Sender<Finding>,
        cancel: Cancel,
        permits: Arc<Permits>,
        (descriptors, mounts): (Arc<Descriptors>, Arc<Mounts>),
        jobs: usize,
    ) -> Shared {
        Shared {
            job,
            cancel,
            queue: Arc::new(Queue::new(vec![Task::Begin], jobs)),
            permits,
            descriptors,
            mounts,
            findings,
            report: Mutex::default(),
            links: Mutex::default(),
            are_numbered: std::sync::OnceLock::new(),
            roots: std::sync::OnceLock::new(),
        }
    }

    pub(crate) fn report(&self) -> ComparisonReport {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Note that nothing can be compared at all.
    pub(crate) async fn refuse(&self, why: String) {
        let failure = Fault::refused(Op::Verify, why).at(self.job.copy.clone());
        let finding = Finding::Failed(failure);
        self.report.lock().unwrap_or_else(PoisonError::into_inner).count(&finding);
        // Where nobody listens, it is counted all the same.
        let _ = self.findings.send(finding).await;
    }

    pub(super) fn roots(&self) -> &Roots {
        self.roots.get().expect("they are open before anything below them is compared")
    }
}

impl Worker for Reader {
    type Unit = Task;

    fn hands(&mut self) -> &mut Hands<Task> {
        &mut self.hands
    }

    fn perform(&mut self, task: Task) {
        if self.shared.cancel.is_cancelled() {
            return;
        }
        let done = caught(|| {
            self.perform_task(task);
            Ok(())
        });
        if let Err(fault) = done {
            self.failed(Fault { op: Op::Verify, ..fault }.at(self.shared.job.copy.clone()));
        }
    }

    /// Whether another run or comparison should have this worker's place.
    fn should_leave(&self) -> bool {
        self.hands.are_too_many()
    }
}

impl Reader {
    const BUFFER: usize = 256 * 1024;
    const LISTING: usize = 64 * 1024;

    /// How long a reader of findings is waited for before a look whether the comparison is cancelled.
    const PATIENCE: Duration = Duration::from_millis(100);

    /// Compare until nothing is left, or somebody else needs the permit more.
    pub(crate) fn run(shared: Arc<Shared>, permit: Permit) {
        let Some(hands) = Hands::enter(&shared.queue, &shared.permits, &shared.cancel, permit) else {
            return;
        };
        let descriptors = shared.descriptors.clone();
        let _waits = wait_in_shortage(hands.permit(), &shared.cancel, move |waited, now| {
            descriptors.wait_after(waited, now)
        });
        let mut reader = Reader {
            buffers: [vec![0; Self::BUFFER], vec![0; Self::BUFFER]],
            listing: vec![MaybeUninit::uninit(); Self::LISTING].into_boxed_slice(),
            report: ComparisonReport::default(),
            shared: shared.clone(),
            hands,
        };
        work(&mut reader);
        let mut report = shared.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.entries += reader.report.entries;
        report.count_bytes(reader.report.bytes);
        report.differences += reader.report.differences;
        report.extra += reader.report.extra;
        report.failed += reader.report.failed;
    }

    fn perform_task(&mut self, task: Task) {
        match task {
            Task::Begin => {
                if let Err(failure) = self.begin() {
                    self.failed(failure);
                }
            }
            Task::Directory(trail) => self.directory(&trail),
            Task::Batch { trail, names, from, to } => self.batch(&trail, &names, from, to),
            Task::Part(part) => self.part(part),
            Task::Listed(listed) => self.listed(&listed),
            Task::Unlisted(trail) => self.unlisted(&trail),
        }
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let shared = self.shared.clone();
        match &shared.job.with {
            With::Manifest(kind, lines) => {
                let (copy, copy_name) = root(&shared.job.copy)?;
                if copy_name.as_c_str() != c"." {
                    let why = io::ErrorKind::NotADirectory;
                    return Err(Failure::new(Op::Open, &shared.job.copy, why));
                }
                let source =
                    copy.duplicate().map_err(|error| Failure::new(Op::Open, &shared.job.copy, error))?;
                let _ = shared.roots.set(Roots { source, copy, are_trees: true });
                shared.queue.give([Task::Unlisted(Trail::default())]);
                shared.queue.give(Listed::of(*kind, lines).into_iter().map(Task::Listed));
            }
            With::Source(path) => {
                let (source, source_name) = root(path)?;
                let (copy, copy_name) = match root(&shared.job.copy) {
                    // That of a single file was given the suffix, unless it had it.
                    Err(failure) if failure.cause().kind() == io::ErrorKind::NotFound => {
                        let name = shared.job.copy.file_name().unwrap_or_default();
                        let name = platform::to_name(name).map_err(|_| failure)?;
                        let name = shared.job.compression.wanted_name(name);
                        root(&shared.job.copy.with_file_name(platform::to_os(&name)))?
                    }
                    copy => copy?,
                };
                let are_directories = [&source_name, &copy_name].map(|name| name.as_c_str() == c".");
                let are_trees = are_directories == [true, true];
                let _ = shared.roots.set(Roots { source, copy, are_trees });
                if are_trees {
                    self.report.entries += 1;
                    self.top();
                    shared.queue.give([Task::Directory(Trail::default())]);
                } else {
                    self.entry(
                        &Trail::default(),
                        &shared.roots().source,
                        &shared.roots().copy,
                        &source_name,
                        Some(&copy_name),
                    );
                }
            }
        }
        Ok(())
    }

    pub(super) fn found(&mut self, finding: Finding) {
        self.report.count(&finding);
        // Where nobody listens, it is counted all the same.
        if let Err(TrySendError::Full(finding)) = self.shared.findings.try_send(finding) {
            let Shared { findings, cancel, .. } = &*self.shared;
            self.hands.permit().borrow_mut().give_back();
            let sending = findings.send(finding);
            let _ = cancel.bell().wait_for(Self::PATIENCE, sending, || !cancel.is_cancelled());
            self.hands.permit().borrow_mut().take_again(cancel);
        }
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        self.found(Finding::Failed(failure));
    }

    pub(super) fn differs(&mut self, trail: &Trail, name: &CStr, what: What) {
        self.found(Finding::Differs(Difference { path: trail.path(name), what }));
    }

    /// `fault` of an entry that has these names in the source and in the copy, with its path.
    pub(super) fn failure(&self, trail: &Trail, (name, copy_name): (&CStr, &CStr), fault: Fault) -> Failure {
        let path = match fault.side {
            Side::Source => self.source_path(trail, name),
            Side::Copy => self.copy_path(trail, copy_name),
        };
        fault.at(path)
    }

    /// The path of an entry of the source, for people; of a manifest's, that of the copy.
    pub(super) fn source_path(&self, trail: &Trail, name: &CStr) -> PathBuf {
        match &self.shared.job.with {
            With::Source(path) => self.joined(path, &trail.path(name)),
            With::Manifest(..) => self.copy_path(trail, name),
        }
    }

    pub(super) fn copy_path(&self, trail: &Trail, name: &CStr) -> PathBuf {
        self.joined(&self.shared.job.copy, &trail.path(name))
    }

    /// What lies `below` one of the two that were named; of single entries, that itself.
    fn joined(&self, named: &Path, below: &Path) -> PathBuf {
        let is_itself = below.as_os_str().is_empty() || !self.shared.roots().are_trees;
        if is_itself { named.to_owned() } else { named.join(below) }
    }
}

/// A directory and `.`, or the directory that holds anything else, and its name there.
fn root(path: &Path) -> Result<(Dir, CString), Failure> {
    let failed = |error| Failure::new(Op::Open, path, error);
    if std::fs::metadata(path).is_ok_and(|meta| meta.is_dir()) {
        return Ok((Dir::open(path).map_err(failed)?, c".".to_owned()));
    }
    let name = path.file_name().ok_or(io::ErrorKind::NotFound.into()).map_err(failed)?;
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let dir = Dir::open(above).map_err(failed)?;
    let name = platform::to_name(name).map_err(failed)?;
    dir.stat(&name).map_err(failed)?;
    Ok((dir, name))
}
