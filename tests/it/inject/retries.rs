//! What may pass is tried again, and what is hopeless stops the run.

use std::{fs, num::NonZeroU64, time::Duration};

use orbit::{CopyJob, DataOptions, Engine, Limits, Reflink, Retry, ZeroCopy};

use super::{
    traced::{Traced, can_trace},
    tree::{KIB, MIB, assert_no_temporaries, assert_same_tree, noise, three_files},
};
use crate::support::{Filesystem, Mount, Sandbox, assert_complete, causes, must, orbit, run, stderr};

fn copy_of(sandbox: &Sandbox, retries: &str) -> Traced {
    Traced::copy(sandbox.path("src"), sandbox.path("dst")).without_reflink().told("retries", retries)
}

#[test]
fn an_entry_that_fails_and_then_works_is_a_success() {
    if !can_trace() {
        return;
    }
    for (call, errno) in [
        ("openat", "ETIMEDOUT"),
        ("newfstatat", "ESTALE"),
        ("mkdirat", "EIO"),
        ("pread64", "EIO"),
        ("pwrite64", "EIO"),
        ("utimensat", "EIO"),
        ("symlinkat", "EBUSY"),
        ("getdents64", "EIO"),
        ("renameat", "EBUSY"),
        ("fchmod", "EIO"),
    ] {
        let sandbox = Sandbox::in_memory()
            .file("src/dir/a", &noise(1, 3 * KIB))
            .file("src/dir/b", &noise(2, 3 * KIB))
            .file("src/replaced", b"new one")
            .file("dst/replaced", b"old")
            .symlink("dir/a", "src/link");
        super::tree::set_mode(&sandbox.path("src/replaced"), 0o751);
        let root = sandbox.path("").display().to_string();
        let rehearsal = copy_of(&sandbox, "2").recording(call).run();
        let ours = rehearsal.calls.iter().filter(|made| made.name == call && made.line.contains(&root));
        let Some(last) = { ours }.next_back() else { panic!("{call} is not called") };
        let number = last.number;
        fs::remove_dir_all(sandbox.path("dst")).unwrap();
        let sandbox = sandbox.file("dst/replaced", b"old");
        let outcome = copy_of(&sandbox, "2").fault(call, &format!("error={errno}:when={number}")).run();
        outcome.assert_complete_despite(call);
        assert_eq!(outcome.summary.total("retries"), 1, "{call}: {:?}", outcome.summary);
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        assert_no_temporaries(&sandbox.path("dst"));
    }
}

#[test]
fn a_range_goes_on_from_where_it_failed() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().file("src/f", &noise(1, 40 * MIB));
    let copy = copy_of(&sandbox, "3").told("zero-copy", "forbid");
    let outcome = copy.fault("pread64", "error=EIO:when=100..102").run();
    outcome.assert_complete_despite("pread64");
    assert_eq!(outcome.summary.total("retries"), 3);
    assert_eq!(outcome.summary.total("bytes_copied"), 40 * MIB, "nothing is copied twice");
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn what_goes_on_failing_is_one_failure_after_all_tries() {
    if !can_trace() {
        return;
    }
    for retries in [0, 2] {
        let sandbox = three_files();
        let copy = copy_of(&sandbox, &retries.to_string()).told("zero-copy", "forbid");
        let outcome = copy.fault("pwrite64", "error=EIO:when=1+").run();
        assert_eq!(outcome.summary.total("failed"), 3);
        assert_eq!(outcome.summary.total("retries"), 3 * retries);
        assert_eq!(outcome.injected("pwrite64") as u64, 3 * (1 + retries));
        assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), 0);
    }
}

#[test]
fn what_cannot_pass_is_not_tried_again() {
    if !can_trace() {
        return;
    }
    for errno in ["EACCES", "EPERM", "EFBIG", "ENOSPC", "EDQUOT"] {
        let sandbox = three_files();
        let copy = copy_of(&sandbox, "5").told("zero-copy", "forbid");
        let outcome = copy.fault("pwrite64", &format!("error={errno}:when=1")).run();
        assert_eq!(outcome.summary.total("retries"), 0, "{errno}");
        assert_eq!(outcome.summary.total("failed"), 1, "{errno}");
    }
}

#[test]
fn a_copy_that_is_not_what_was_copied_is_made_again() {
    if !can_trace() {
        return;
    }
    for size in [700 * KIB, 20 * MIB] {
        let sandbox = Sandbox::new().file("src/f", &noise(1, size));
        let copy = copy_of(&sandbox, "1").told("zero-copy", "forbid").told("verify", "sha256");
        let outcome = copy.fault("pwrite64", &format!("retval={}:when=2", 256 * KIB)).run();
        outcome.assert_complete_despite("pwrite64");
        assert_eq!((outcome.summary.total("retries"), outcome.summary.total("mismatches")), (1, 1));
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    }
}

#[test]
fn cancelling_ends_a_wait_at_once() {
    if !can_trace() {
        return;
    }
    // A byte a second: the file would take a quarter of an hour.
    let sandbox = Sandbox::new().dir("src");
    let _busy = fs::File::create(sandbox.path("src/f")).unwrap();
    let Some(mount) = Mount::new(Filesystem::Ext4, 16) else { return };
    fs::write(sandbox.path("src/f"), vec![1; 1000]).unwrap();
    let copy = mount.path().join("dst");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let limits = Limits::default().bandwidth(NonZeroU64::new(1).unwrap());
        let job = CopyJob::new(sandbox.path("src"), &copy).limits(limits);
        let run = Engine::new().unwrap().start(job.retry(Retry::default().times(9)));
        let mut progress = run.progress();
        progress.wait_for(|progress| progress.totals.entries_found > 0).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        run.cancel();
        // The next bytes may be moved in nine minutes.
        let finished = tokio::time::timeout(Duration::from_secs(60), run.finish());
        finished.await.expect("a wait must not outlive its run").unwrap()
    });
    assert!(report.cancelled);
    assert_eq!(fs::read_dir(&copy).map_or(0, Iterator::count), 0);
}

#[test]
fn too_many_failures_stop_the_run() {
    let mut sandbox = Sandbox::new();
    for number in 0..50 {
        sandbox = sandbox.file(format!("src/{number:02}"), b"file").dir(format!("dst/{number:02}"));
    }
    let limits = Limits::default().max_errors(NonZeroU64::new(3).unwrap());
    let report = sandbox.run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).limits(limits).jobs(1));
    assert_eq!(report.totals.failed, 3, "{:?}", causes(&report));
    assert!(report.stopped.is_some() && !report.cancelled && !report.is_complete());
    let output = orbit()
        .args(["--max-errors=3", "-j1", "-T"])
        .args([sandbox.path("src"), sandbox.path("dst")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("--max-errors"), "{output:?}");
}

#[test]
fn without_inodes_the_run_stops_and_says_so() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 16) else { return };
    let room = must("df", &["--output=iavail", mount.path().to_str().unwrap()]);
    let free: u32 = room.lines().last().unwrap().trim().parse().unwrap();
    for number in 0..free - 10 {
        fs::write(mount.path().join(format!("filler-{number}")), b"").unwrap();
    }
    let mut sandbox = Sandbox::new();
    for number in 0..100 {
        sandbox = sandbox.file(format!("src/{number}"), b"file");
    }
    let report = run(CopyJob::new(sandbox.path("src"), mount.path().join("dst")).jobs(1));
    assert!(report.stopped.as_ref().is_some_and(|why| why.contains("no free inodes")), "{report:?}");
    assert_eq!(report.totals.failed, 1);
    for number in (0..free - 10).step_by(2) {
        fs::remove_file(mount.path().join(format!("filler-{number}"))).unwrap();
    }
    assert_complete(&run(CopyJob::new(sandbox.path("src"), mount.path().join("dst"))));
}

#[test]
fn a_rate_can_be_changed_while_the_copy_goes_on() {
    let sandbox = Sandbox::new().file("src/f", &noise(1, 3 * MIB)).file("src/g", &noise(2, MIB));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let limits = Limits::default().bandwidth(NonZeroU64::new(4096).unwrap());
        let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst")).limits(limits);
        let run = Engine::new().unwrap().start(job);
        let mut progress = run.progress();
        progress.wait_for(|progress| progress.totals.bytes_done() > 0).await.unwrap();
        assert!(progress.borrow().totals.bytes_done() < 2 * MIB, "4 KiB a second are not so fast");
        run.limits().set_bandwidth(None);
        run.finish().await.unwrap()
    });
    assert_complete(&report);
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    assert_eq!(report.jobs.steps, [], "waiting for a turn is no reason for more workers");
}

#[test]
fn calls_are_cut_to_the_rate_whatever_makes_them() {
    if !can_trace() {
        return;
    }
    for (options, call) in [
        (&["--reflink=never", "--no-zero-copy"][..], "pwrite64"),
        (&["--reflink=never", "--no-zero-copy", "--backend=uring"], "pwrite64"),
        (&["--zero-copy"], "copy_file_range"),
    ] {
        let sandbox = Sandbox::new().file("src", &noise(1, 9 * MIB));
        let log = sandbox.path("log");
        let status = std::process::Command::new("strace")
            .args(["-f", "-qq", "-e", &format!("trace={call}"), "-o"])
            .arg(&log)
            .arg(env!("CARGO_BIN_EXE_orbit"))
            .args(options)
            .args(["-q", "--bwlimit=20M/s", "--nice-io"])
            .args([sandbox.path("src"), sandbox.path("dst")])
            .status()
            .unwrap();
        assert!(status.success());
        let calls = fs::read_to_string(&log).unwrap();
        let moved: Vec<u64> =
            calls.lines().filter_map(|line| line.rsplit_once(" = ")?.1.parse().ok()).collect();
        assert_eq!(moved.iter().sum::<u64>(), 9 * MIB, "{options:?}");
        assert!(moved.iter().all(|bytes| *bytes <= MIB), "{options:?}: {moved:?}");
    }
}

#[test]
fn a_bandwidth_is_used_whatever_the_calls_move_of_what_they_may() {
    // tmpfs moves less in one call than it is asked to.
    let kinds = [Filesystem::Tmpfs, Filesystem::Ext4];
    for mount in kinds.into_iter().map_while(|kind| Mount::new(kind, 100)) {
        for zero_copy in [ZeroCopy::Auto, ZeroCopy::Force, ZeroCopy::Forbid] {
            let sandbox = Sandbox::on(&mount).file("src/large", &noise(1, 20 * MIB));
            let data = DataOptions::default().zero_copy(zero_copy).reflink(Reflink::Never);
            let limits = Limits::default().bandwidth(NonZeroU64::new(40 * MIB).unwrap());
            let job =
                CopyJob::new(sandbox.path("src"), sandbox.path("dst")).data(data).limits(limits).jobs(1);
            let report = run(job);
            assert_complete(&report);
            // Half a second; an order of magnitude is no matter of the machine.
            assert!(
                (400..5_000).contains(&report.elapsed.as_millis()),
                "{zero_copy:?}: {:?}",
                report.elapsed
            );
        }
    }
}

#[test]
fn the_first_look_at_a_source_is_tried_again_too() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().file("src/file", b"content");
    // One stat of the source, by its name in the directory that holds it.
    let first = copy_of(&sandbox, "3").recording("newfstatat").run();
    let number = first.find("newfstatat", &["\"src\""]).number;
    fs::remove_dir_all(sandbox.path("dst")).unwrap();
    for (retries, is_copied) in [("0", false), ("3", true)] {
        let outcome =
            copy_of(&sandbox, retries).fault("newfstatat", &format!("error=EIO:when={number}")).run();
        assert_eq!((outcome.injected("newfstatat"), outcome.status.success()), (1, is_copied));
        assert_eq!(outcome.summary.total("retries"), u64::from(is_copied));
        assert_eq!(sandbox.path("dst/file").exists(), is_copied);
    }
}
