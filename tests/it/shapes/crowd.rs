//! More runs at once than may have their directories open.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use futures::future::join_all;
use nix::sys::resource::{Resource, setrlimit};
use orbit::{Attributes, CopyJob, DataOptions, Engine, Preserve, Run, Sparse};

use crate::support::{
    Sandbox, assert_complete,
    tree::{Aspect, assert_same_but},
};

const RUNS: usize = 120;
const OPEN_FILES: u64 = 256;
/// Nothing that is waited for takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(300);
/// Where the other process finds what to copy.
const ROOT: &str = "ORBIT_CROWD";

/// Run a test of this file that is ignored otherwise in a process of its own.
fn in_a_process_of_its_own(test: &str, root: &Path) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("shapes::crowd::{test}"), "--ignored", "--test-threads=1"]);
    let output = command.env(ROOT, root).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// In that process: where to copy, with an engine of two workers and few open files.
fn in_few_files(work: impl AsyncFnOnce(&Path, Engine)) {
    let Some(root) = std::env::var_os(ROOT).map(PathBuf::from) else { return };
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = Engine::builder().jobs(2).build().unwrap();
        tokio::time::timeout(PATIENCE, work(&root, engine)).await.expect("it hangs");
    });
}

/// Read every byte of a hollow file and write none: as long as one likes, and free.
fn hollow(root: &Path, number: usize) -> CopyJob {
    let kept = Preserve::default().without(Attributes::SPARSE);
    let data = DataOptions::default().sparse(Sparse::Always);
    CopyJob::new(root.join("src"), root.join(number.to_string())).data(data).preserve(kept)
}

/// A tree that is worked on for longer than a run keeps its last worker when others wait.
fn source(size: u64) -> Sandbox {
    let sandbox = Sandbox::new().file("src/a/b/c/small", b"small").file("src/small", b"small");
    File::create(sandbox.path("src/a/b/c/hollow")).unwrap().set_len(size).unwrap();
    sandbox
}

#[test]
fn more_runs_at_once_than_may_be_open_all_end_well() {
    let sandbox = source(48 << 20);
    in_a_process_of_its_own("all_at_once", &sandbox.path(""));
    for number in [0, RUNS / 2, RUNS - 1] {
        let copy = sandbox.path(format!("{number}/a/b/c/small"));
        // Whoever compares files may read them.
        assert_same_but(&sandbox.path("src/a/b/c/small"), &copy, &[Aspect::Atime]);
    }
}

#[test]
#[ignore = "another test runs it in a process of its own"]
fn all_at_once() {
    in_few_files(async |root, engine| {
        let runs: Vec<_> = (0..RUNS).map(|number| engine.start(hollow(root, number))).collect();
        for report in join_all(runs.into_iter().map(Run::finish)).await {
            let report = report.unwrap();
            assert_complete(&report);
            assert_eq!((report.totals.files_copied, report.totals.directories_created), (3, 4));
            assert_eq!(report.jobs.limit, 2);
        }
    });
}

#[test]
fn a_run_that_waits_for_others_to_end_is_cancelled_at_once() {
    let sandbox = source(1 << 40);
    in_a_process_of_its_own("cancelled_in_the_queue", &sandbox.path(""));
    for number in 0..RUNS {
        assert!(!sandbox.path(format!("{number}/a/b/c/hollow")).exists(), "{number} is not cleaned up");
    }
}

#[test]
#[ignore = "another test runs it in a process of its own"]
fn cancelled_in_the_queue() {
    in_few_files(async |root, engine| {
        let mut runs: Vec<_> = (0..RUNS).map(|number| engine.start(hollow(root, number))).collect();
        let mut progress = runs[0].progress();
        progress.wait_for(|progress| progress.totals.bytes_copied > 0).await.unwrap();
        let last = runs.pop().unwrap();
        last.cancel();
        let report = last.finish().await.unwrap();
        assert!(report.cancelled && report.totals.entries_found == 0, "{:?}", report.totals);
        assert!(fs::exists(root.join("0/a/b/c/hollow")).unwrap(), "the first one goes on");
        drop(runs);
        engine.quiesce().await;
    });
}
