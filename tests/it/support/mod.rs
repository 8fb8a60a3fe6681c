//! What the tests stand on: scratch trees, mounted filesystems, and the command.

#![allow(dead_code, reason = "not every system runs every test")]
#![allow(unreachable_pub, reason = "what is shared here is public to the tests alone")]

pub mod awkward;
pub mod driver;
pub mod liar;
mod mount;
pub mod odd;
pub mod sink;
pub mod tree;

use std::{
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

pub use mount::{Filesystem, Mount, must};
use orbit::{CopyJob, Engine, Report};
use tempfile::TempDir;

/// A directory for one test, removed at its end.
pub struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    pub fn new() -> Sandbox {
        Sandbox { root: TempDir::new().expect("a temporary directory") }
    }

    /// A sandbox in memory, where much is written at once and nothing goes to a disk that others wait for.
    pub fn in_memory() -> Sandbox {
        let root = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
        Sandbox { root: root.expect("a temporary directory") }
    }

    /// A sandbox on a mounted filesystem.
    pub fn on(mount: &Mount) -> Sandbox {
        Sandbox { root: TempDir::new_in(mount.path()).expect("a temporary directory on the mount") }
    }

    /// Let other users in.
    pub fn opened(self) -> Sandbox {
        fs::set_permissions(self.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(name)
    }

    /// Make a file, and the directories above it.
    pub fn file(self, name: impl AsRef<Path>, content: &[u8]) -> Sandbox {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub fn dir(self, name: impl AsRef<Path>) -> Sandbox {
        fs::create_dir_all(self.path(name)).unwrap();
        self
    }

    pub fn symlink(self, target: impl AsRef<Path>, name: impl AsRef<Path>) -> Sandbox {
        std::os::unix::fs::symlink(target, self.path(name)).unwrap();
        self
    }

    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Wait for the filesystem's clock: what changes from now on is later than what has changed.
    pub fn tick(&self) {
        let probe = self.path(".tick");
        let changed = || {
            fs::write(&probe, b"").unwrap();
            let meta = fs::metadata(&probe).unwrap();
            (meta.ctime(), meta.ctime_nsec())
        };
        let (first, patience) = (changed(), Instant::now() + Duration::from_secs(5));
        while changed() <= first {
            assert!(Instant::now() < patience, "the clock stands still");
            thread::sleep(Duration::from_millis(1));
        }
        fs::remove_file(probe).unwrap();
    }

    /// Copy `src` to `dst` with default options.
    pub fn copy(&self) -> Report {
        self.run(CopyJob::new(self.path("src"), self.path("dst")))
    }

    pub fn run(&self, job: CopyJob) -> Report {
        run(job)
    }
}

/// Run a job to its end on a runtime of its own.
pub fn run(job: CopyJob) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let engine = Engine::new().unwrap();
        engine.start(job).finish().await.unwrap()
    });
    let totals = &report.totals;
    assert!(
        report.cancelled || report.stopped.is_some() || totals.entries_found == totals.entries_done(),
        "{totals:?}"
    );
    report
}

/// Assert that everything was copied, and show what was not.
#[track_caller]
pub fn assert_complete(report: &Report) {
    let failures: Vec<_> =
        report.failures.iter().take(20).map(|failure| format!("{failure}: {}", failure.cause())).collect();
    assert!(report.is_complete(), "{failures:?}");
}

/// The words of all failures.
pub fn causes(report: &Report) -> Vec<String> {
    report.failures.iter().map(|failure| format!("{failure}: {}", failure.cause())).collect()
}

/// Put the command elsewhere, by another process: what this one has open for writing while it starts a third
/// cannot be run ("Text file busy").
pub fn copy_program(to: &Path) {
    must("cp", &[env!("CARGO_BIN_EXE_orbit"), to.to_str().unwrap()]);
}

/// Make a file of zeros that are really there: what is not to be taken for holes is read to its end, for
/// seconds, and writes nothing where runs of zeros become holes.
pub fn zeros(path: &Path, bytes: u64) {
    let mut file = fs::File::create(path).unwrap();
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), bytes), &mut file).unwrap();
}

/// The command under test.
pub fn orbit() -> Command {
    Command::new(env!("CARGO_BIN_EXE_orbit"))
}

/// What a command wrote to its standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Say why a test does not run here. In CI, where everything is there, that is a failure.
pub fn skip(why: &str) {
    assert!(std::env::var_os("ORBIT_TESTS_MUST_RUN").is_none(), "skipped, but must run here: {why}");
    eprintln!("skipped: {why}");
}

/// Whether a program can be started.
pub fn has_program(name: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain(["/sbin".into(), "/usr/sbin".into()])
        .any(|dir| dir.join(name).exists())
}

/// A name that is not UTF-8.
pub fn odd_name() -> &'static Path {
    Path::new(std::ffi::OsStr::from_bytes(b"odd\xff\nname"))
}
