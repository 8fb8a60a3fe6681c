//! What to copy, where to, and how.

use std::path::{Path, PathBuf};

use crate::{
    options::{
        Compare, Compression, DataOptions, Delete, Existing, FollowLinks, Fsync, Limits, Mirror, Preserve,
        Retry, Selection, Verify,
    },
    platform::Dir,
};

/// Where the copies go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The path that the copy of the one source gets.
    Exact(PathBuf),
    /// An existing directory that every source is copied into, under its own base name.
    Within(PathBuf),
}

impl Target {
    /// The path that was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Target::Exact(path) | Target::Within(path) => path,
        }
    }
}

/// What to copy, where to, and how; given to [`Engine::start`](crate::Engine::start).
///
/// ```
/// use orbit::{CopyJob, Existing};
///
/// let job = CopyJob::new("photos", "/backup/photos").existing(Existing::Newer).jobs(4);
/// ```
#[derive(Clone, Debug)]
pub struct CopyJob {
    pub(crate) sources: Vec<PathBuf>,
    pub(crate) target: Target,
    pub(crate) existing: Existing,
    pub(crate) preserve: Preserve,
    pub(crate) data: DataOptions,
    pub(crate) compression: Compression,
    pub(crate) selection: Selection,
    pub(crate) compare: Compare,
    pub(crate) mirror: Mirror,
    pub(crate) retry: Retry,
    pub(crate) limits: Limits,
    pub(crate) dry_run: bool,
    pub(crate) verify: Verify,
    pub(crate) fsync: Fsync,
    pub(crate) resume: bool,
    pub(crate) digest_all: bool,
    pub(crate) jobs: Option<usize>,
    pub(crate) entry_events: bool,
    pub(crate) entry_costs: bool,
    pub(crate) count_ahead: bool,
    /// Whether nothing is done but counting what there is to be copied.
    pub(crate) only_counts: bool,
}

impl CopyJob {
    /// Copy `source` so that `destination` becomes the copy.
    ///
    /// A directory that `destination` already names is merged into, never nested into; for that,
    /// see [`CopyJob::into_directory`]. A symbolic link as `source` is copied as a link.
    pub fn new(source: impl AsRef<Path>, destination: impl AsRef<Path>) -> Self {
        Self::with_target([source.as_ref()], Target::Exact(destination.as_ref().to_owned()))
    }

    /// Copy every one of `sources` into the existing `directory`, under its own base name.
    pub fn into_directory<S: AsRef<Path>>(
        sources: impl IntoIterator<Item = S>,
        directory: impl AsRef<Path>,
    ) -> Self {
        Self::with_target(sources, Target::Within(directory.as_ref().to_owned()))
    }

    fn with_target<S: AsRef<Path>>(sources: impl IntoIterator<Item = S>, target: Target) -> Self {
        CopyJob {
            sources: sources.into_iter().map(|source| source.as_ref().to_owned()).collect(),
            target,
            existing: Existing::default(),
            preserve: Preserve::default(),
            data: DataOptions::default(),
            compression: Compression::default(),
            selection: Selection::default(),
            compare: Compare::default(),
            mirror: Mirror::default(),
            retry: Retry::default(),
            limits: Limits::default(),
            dry_run: false,
            verify: Verify::default(),
            fsync: Fsync::default(),
            resume: false,
            digest_all: false,
            jobs: None,
            entry_events: true,
            entry_costs: false,
            count_ahead: false,
            only_counts: false,
        }
    }

    /// What is copied.
    #[must_use]
    pub fn sources(&self) -> &[PathBuf] {
        &self.sources
    }

    /// Where the copies go.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether the run may come to the file at `path` below `source`, which a rule, a list, or another filesystem
    /// can keep it from. Ignore files are not asked.
    #[must_use]
    pub fn may_come_to(&self, source: &Path, path: &Path) -> bool {
        let Selection { one_file_system, follow, .. } = &self.selection;
        // Through a link it may come there by another path.
        if *follow == FollowLinks::Always {
            return true;
        }
        let device = |path: &Path| Some(Dir::open(path).and_then(|dir| dir.meta()).ok()?.id.dev);
        let is_elsewhere = |above: &Path| {
            device(source).zip(device(&source.join(above))).is_some_and(|(source, above)| source != above)
        };
        let is_left_out = *one_file_system && path.ancestors().skip(1).any(is_elsewhere);
        !is_left_out && self.selection.may_choose(path)
    }

    /// What to do with entries the destination already has; [`Existing::Update`] by default.
    #[must_use]
    pub fn existing(self, existing: Existing) -> Self {
        CopyJob { existing, ..self }
    }

    /// What the copies keep of their sources; everything by default.
    #[must_use]
    pub fn preserve(self, preserve: Preserve) -> Self {
        CopyJob { preserve, ..self }
    }

    /// How the bytes are moved; the fastest way that keeps holes by default.
    #[must_use]
    pub fn data(self, data: DataOptions) -> Self {
        CopyJob { data, ..self }
    }

    /// Whether regular files are compressed on their way, or brought back; neither by default.
    ///
    /// Their names change with that, see [`Compression`]; where the copy of a single file is to become a
    /// certain path, that path gets the suffix unless it has it. A copy is unchanged where its time is the
    /// source's, its frames are whole, and they say that they hold as many bytes as they should; where they do
    /// not say that, what they hold is compared. [`CopyJob::resume`] does not concern such files.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        CopyJob { compression, ..self }
    }

    /// Which entries of the sources are copied; all by default.
    #[must_use]
    pub fn select(self, selection: Selection) -> Self {
        CopyJob { selection, ..self }
    }

    /// How files that are there already are compared with their sources; [`Compare::Times`] by default.
    #[must_use]
    pub fn compare(self, compare: Compare) -> Self {
        CopyJob { compare, ..self }
    }

    /// What becomes of what only the destination has; by default it stays.
    #[must_use]
    pub fn mirror(self, mirror: Mirror) -> Self {
        CopyJob { mirror, ..self }
    }

    /// How often what may pass is tried again; never by default.
    #[must_use]
    pub fn retry(self, retry: Retry) -> Self {
        CopyJob { retry, ..self }
    }

    /// What the run may take, and when it gives up; no limits by default. The rates can be changed while it
    /// goes on, see [`Run::limits`](crate::Run::limits).
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        CopyJob { limits, ..self }
    }

    /// What of the copy has to be on its device, and when; [`Fsync::Auto`] by default.
    #[must_use]
    pub fn fsync(self, fsync: Fsync) -> Self {
        CopyJob { fsync, ..self }
    }

    /// Go on inside large files (from 8 MiB) that an earlier run with this left unfinished, and leave them so
    /// that a later one can: whatever ends the run, what is in place stays under a temporary name, written
    /// down in a journal `.orbit-….journal` in the top directory of the copy (of a file, in its directory).
    ///
    /// What is in place is checked by the journal's digests, not believed; a source that has another size,
    /// time or inode than it had is copied from its beginning. Off by default.
    #[must_use]
    pub fn resume(self, resume: bool) -> Self {
        CopyJob { resume, ..self }
    }

    /// Whether to touch nothing, and only to tell by the events and the report what would be done; not by
    /// default.
    #[must_use]
    pub fn dry_run(self, dry_run: bool) -> Self {
        CopyJob { dry_run, ..self }
    }

    /// How the copies are checked; [`Verify::Size`] by default.
    #[must_use]
    pub fn verify(self, verify: Verify) -> Self {
        CopyJob { verify, ..self }
    }

    /// Whether every regular file that is in the copy afterwards has its digest in its event, also those
    /// that are unchanged or linked, which are read for it; only with a [`Verify`] that takes digests.
    /// Otherwise, and by default, those alone that were copied. A file with more than 1 TiB of holes has no
    /// digest, and fails then with its copy in place.
    #[must_use]
    pub fn digest_all(self, digest_all: bool) -> Self {
        CopyJob { digest_all, ..self }
    }

    /// At most this many workers for this run (at least 1); the engine's limit by default.
    #[must_use]
    pub fn jobs(self, jobs: usize) -> Self {
        CopyJob { jobs: Some(jobs.max(1)), ..self }
    }

    /// Whether the stream of events tells of every entry that is done; it does by default.
    ///
    /// Without, it has failures and warnings alone, and a large copy spares the cost of a path for
    /// each entry that nobody reads.
    #[must_use]
    pub fn entry_events(self, entry_events: bool) -> Self {
        CopyJob { entry_events, ..self }
    }

    /// Whether the event of an entry tells what it took: for how long, and by which methods; not by default.
    ///
    /// That is two looks at the clock for each entry.
    #[must_use]
    pub fn entry_costs(self, entry_costs: bool) -> Self {
        CopyJob { entry_costs, ..self }
    }

    /// Whether what there is to be copied is counted while the copying goes on, so that
    /// [`Progress::counted`](crate::Progress::counted) comes early; not by default.
    ///
    /// One thread lists the source and looks at each entry, beside the workers that the engine may have; it keeps
    /// nothing of what it has seen. Nothing is counted where operations are limited, where [`Limits::preflight`](crate::Limits::preflight) has
    /// done it before, in dry runs, and where [`Compression::Decompress`](crate::Compression::Decompress) makes
    /// something else of what files hold.
    #[must_use]
    pub fn count_ahead(self, count_ahead: bool) -> Self {
        CopyJob { count_ahead, ..self }
    }

    /// Whether that is done.
    pub(crate) fn counts_ahead(&self) -> bool {
        self.count_ahead
            && self.limits.operations.is_none()
            && !self.only_tells()
            && !self.limits.preflight
            && self.compression != Compression::Decompress
    }

    /// The job of counting what there is to be copied by this one.
    pub(crate) fn only_counting(self) -> Self {
        let job = self.mirror(Mirror::default()).retry(Retry::default()).limits(Limits::default());
        let job = job.compare(Compare::default()).resume(false).entry_events(false).dry_run(true);
        CopyJob { count_ahead: false, only_counts: true, ..job }
    }

    /// Whether nothing is copied.
    pub(crate) fn only_tells(&self) -> bool {
        self.dry_run || self.mirror.delete == Delete::Only
    }

    /// Whether a later run must be able to tell that this one was cut off: it leaves files unfinished under
    /// their names, or a power cut may take what they were given.
    pub(crate) fn leaves_marks(&self) -> bool {
        self.existing.trusts_mtime() || self.fsync.outlives_cuts()
    }
}
