//! Finding out, by trying, what a pair of filesystems can do.

mod sample;
mod scratch;

use std::{
    ffi::CString,
    fs::File,
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{
    backend,
    capabilities::{
        Ability, Capabilities, Conveniences, Filesystem, Keeps, KernelCopies, LadderOfSize,
        ZeroCopyCapabilities,
    },
    entry::{Granularity, Meta, Stamp},
    error::{Failure, Op},
    learned::Pair,
    method::Method,
    options::DataOptions,
    plan::{self, default_jobs, default_jobs_reason},
    platform::{self, Dir, Handle, Mounts, Verdict},
    threads,
};
use sample::Sample;
use scratch::Scratch;

impl Capabilities {
    /// Try what this kernel and these two places can do.
    ///
    /// Either path may name a file or a directory, and `destination` something that does not exist
    /// yet, in a directory that does. Tries happen on files without a name in the destination's
    /// directory, and leave nothing behind; where none can be made, most answers are
    /// [`Ability::Unknown`]. Of the source, at most one regular file is read, and nothing written.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), orbit::Failure> {
    /// let able = orbit::Capabilities::probe("photos", "/backup/photos").await?;
    /// println!("blocks can be shared: {}", able.between.reflink.is_yes());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the source, or the destination's directory, does not exist or may not be opened; and
    /// when the Tokio runtime is shut down meanwhile.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, whose blocking pool does the work.
    pub async fn probe(
        source: impl AsRef<Path>,
        destination: impl AsRef<Path>,
    ) -> Result<Capabilities, Failure> {
        let (source, destination) = (source.as_ref().to_owned(), destination.as_ref().to_owned());
        let path = destination.clone();
        if let Err(error) = threads::try_one() {
            return Err(Failure::new(Op::Probe, path, io::Error::other(threads::refused(&error))));
        }
        let probing = tokio::task::spawn_blocking(move || probe(&source, &destination));
        match probing.await {
            Ok(probed) => probed,
            Err(error) => Err(Failure::new(Op::Probe, path, io::Error::other(error))),
        }
    }
}

/// One of the two places: a directory, and the name of what is or will be in it.
struct Place {
    path: PathBuf,
    dir: Dir,
    name: Option<CString>,
    meta: Meta,
}

impl Place {
    fn of(path: &Path) -> Result<Place, Failure> {
        let (directory, name) = match path.parent() {
            Some(parent) if !path.is_dir() => (parent, path.file_name()),
            _ => (path, None),
        };
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let failed = |op| move |error| Failure::new(op, directory, error);
        let dir = Dir::open(directory).map_err(failed(Op::Open))?;
        let meta = dir.meta().map_err(failed(Op::Stat))?;
        let name = name.map(platform::to_name).transpose().map_err(failed(Op::Open))?;
        Ok(Place { path: directory.to_owned(), dir, name, meta })
    }

    fn device(&self) -> u64 {
        self.meta.id.dev
    }

    fn filesystem(&self) -> Filesystem {
        Filesystem {
            path: self.path.clone(),
            name: Mounts::default().of(&self.dir).map(|mount| mount.filesystem),
            storage: platform::storage(&self.dir, self.device()),
        }
    }
}

fn probe(source_path: &Path, target_path: &Path) -> Result<Capabilities, Failure> {
    let (source, target) = (Place::of(source_path)?, Place::of(target_path)?);
    if let Some(name) = &source.name {
        source.dir.stat(name).map_err(|error| Failure::new(Op::Stat, source_path, error))?;
    }
    let system = ZeroCopyCapabilities::detect();
    let (from, to) = (source.filesystem(), target.filesystem());
    let same_filesystem = source.device() == target.device();
    let scratch = Scratch::new(&target.dir);

    let within = match Sample::made(&scratch) {
        Ok(sample) => Tried::with(&system, &sample, &scratch),
        Err(error) => Tried::nothing(format!("no file can be made in the destination: {error}")),
    };
    let between = if same_filesystem {
        within.clone()
    } else {
        match Sample::found(&source.dir, source.name.as_deref(), source.device()) {
            Some(sample) => Tried::with(&system, &sample, &scratch),
            None => Tried::nothing("the source has no readable file with content to try with".to_owned()),
        }
    };

    let cores = thread::available_parallelism().map_or(1, usize::from);
    let jobs = default_jobs(cores, from.storage, to.storage);
    let pair = Pair::between(same_filesystem, from.storage, to.storage);
    let pair = pair.named(from.name.clone(), to.name.clone());
    between.refused.iter().for_each(|(method, errno)| pair.refuse(*method, *errno));
    Ok(Capabilities {
        system,
        same_filesystem,
        between: between.copies,
        within: within.copies,
        keeps: keeps(&scratch),
        conveniences: conveniences(&target.dir, &scratch),
        jobs,
        jobs_reason: default_jobs_reason(cores, from.storage, to.storage),
        ladders: [4 << 10, 1 << 20, 1 << 30].map(|size| ladder_of(size, &system, &pair)).into(),
        source: from,
        destination: to,
    })
}

fn ladder_of(size: u64, system: &ZeroCopyCapabilities, pair: &Pair) -> LadderOfSize {
    let ladder = plan::ladder(&DataOptions::default(), system, pair, size);
    LadderOfSize { size, methods: ladder.methods().collect(), declined: ladder.declined }
}

/// Kernel copies that were tried, and which of them a copy would not try again.
#[derive(Clone)]
struct Tried {
    copies: KernelCopies,
    refused: Vec<(Method, Option<i32>)>,
}

impl Tried {
    fn nothing(why: String) -> Tried {
        Tried { copies: KernelCopies::none(&Ability::Unknown(why)), refused: Vec::new() }
    }

    fn with(system: &ZeroCopyCapabilities, sample: &Sample, scratch: &Scratch<'_>) -> Tried {
        let mut refused = Vec::new();
        let mut ability = |method| {
            if method != Method::Reflink && !system.methods.contains(&method) {
                return Ability::No("this system does not have it".to_owned());
            }
            let copy = |copy: &File| {
                sample.copy_by(method, copy).inspect_err(|error| {
                    if is_final(method, error) {
                        refused.push((method, error.raw_os_error()));
                    }
                })
            };
            match tried(scratch, copy) {
                (Ability::Yes, Some(0)) => Ability::No("it answers that there is nothing to copy".to_owned()),
                (ability, _) => ability,
            }
        };
        let copies = KernelCopies {
            reflink: ability(Method::Reflink),
            copy_file_range: ability(Method::CopyFileRange),
            sendfile: ability(Method::Sendfile),
            splice: ability(Method::Splice),
        };
        Tried { copies, refused }
    }
}

/// Whether a copy would take this as said of the filesystems, and not of the file.
fn is_final(method: Method, error: &io::Error) -> bool {
    let verdict = match method {
        Method::Reflink => platform::verdict_on_clone(error),
        _ => platform::verdict_on_copy(error),
    };
    verdict == Verdict::NeverHere
}

/// What trying something on a new file says; nothing where there can be no file.
fn tried<T>(scratch: &Scratch<'_>, attempt: impl FnOnce(&File) -> io::Result<T>) -> (Ability, Option<T>) {
    match scratch.file() {
        Ok(file) => {
            let outcome = attempt(&file);
            (Ability::of(&outcome), outcome.ok())
        }
        Err(error) => (Ability::Unknown(error.to_string()), None),
    }
}

fn keeps(scratch: &Scratch<'_>) -> Keeps {
    Keeps {
        holes: tried(scratch, scratch::find_hole).0,
        xattrs: tried(scratch, platform::can_set_xattr).0,
        acls: tried(scratch, platform::can_set_acl).0,
        time_step: tried(scratch, |file| time_step(Handle::Open(file))).1,
    }
}

fn time_step(file: Handle<'_>) -> io::Result<Duration> {
    let set = Stamp { secs: 1_600_000_001, nanos: 123_456_789 };
    file.set_times(set, set)?;
    Ok(match Granularity::learned(set, file.meta()?.modified) {
        Granularity::Nanos(step) => Duration::from_nanos(step.into()),
        Granularity::Seconds(step) => Duration::from_secs(step.unsigned_abs()),
    })
}

fn conveniences(dir: &Dir, scratch: &Scratch<'_>) -> Conveniences {
    let (direct_io, direct_io_alignment) = tried(scratch, platform::direct_io);
    let io_uring = match backend::try_ring() {
        Ok(()) => Ability::Yes,
        Err(why) => Ability::No(why),
    };
    Conveniences {
        unnamed_files: Ability::of(&dir.create_unnamed(0o600)),
        openat2: Ability::of(&platform::can_open_beneath(dir)),
        direct_io,
        direct_io_alignment,
        io_uring,
    }
}
