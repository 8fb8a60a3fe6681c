//! Copies that are cancelled, dropped, or left without a runtime.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use orbit::{Attributes, CopyJob, DataOptions, Engine, Preserve, Reflink, Run, Sparse};
use tokio::runtime::{Builder, Runtime};

use super::{
    traced::{Traced, can_trace},
    tree::{KIB, MIB, assert_no_temporaries, assert_same_tree, noise},
};
use crate::support::{Filesystem, Mount, Sandbox, assert_complete, zeros};

const GIB: u64 = 1 << 30;
/// Nothing that is waited for takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A source of this size without any data, which is read all the same when holes are not kept.
fn hollow_file(sandbox: Sandbox, size: u64) -> Sandbox {
    let sandbox = sandbox.dir("src").dir("dst");
    File::create(sandbox.path("src/f")).unwrap().set_len(size).unwrap();
    sandbox
}

/// A source that is read for seconds.
fn large_file(sandbox: Sandbox) -> Sandbox {
    let sandbox = sandbox.dir("src").dir("dst");
    zeros(&sandbox.path("src/f"), GIB);
    sandbox
}

/// Read every byte of a large file and write none.
fn endless(sandbox: &Sandbox) -> CopyJob {
    let data = DataOptions::default().reflink(Reflink::Never).sparse(Sparse::Always);
    let preserve = Preserve::default().without(Attributes::SPARSE);
    CopyJob::new(sandbox.path("src"), sandbox.path("dst")).data(data).preserve(preserve)
}

fn endless_traced(sandbox: &Sandbox) -> Traced {
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
    copy.told("reflink", "never").told("sparse", "always").told("lose", "SPARSE").told("cancel", "midway")
}

fn entries(dir: impl AsRef<Path>) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn after_a_cancel_no_worker_reads_on_in_a_huge_file() {
    if !can_trace() {
        return;
    }
    for jobs in [1, 2] {
        let sandbox = large_file(Sandbox::in_memory());
        let copy = endless_traced(&sandbox).told("jobs", &jobs.to_string());
        let outcome = copy.recording("pread64,pwrite64,statx,newfstatat").run();
        assert!(outcome.summary.was_cancelled() && outcome.summary.failures.is_empty());
        assert!(outcome.summary.total("bytes_in_holes") > 0, "it was read, and zeros were found");
        // A worker may have looked just before, and be about to make its call.
        assert!(outcome.count_after_cancel(&["pread64"]) <= jobs, "{jobs} workers");
        assert_eq!(entries(sandbox.path("dst")), 0, "the unfinished file is gone");
    }
}

#[test]
fn after_a_cancel_no_kernel_copy_begins() {
    if !can_trace() {
        return;
    }
    // Holes are written out: a first progress is soon enough to write little.
    for refused in [&[][..], &["copy_file_range"], &["copy_file_range", "sendfile"]] {
        let sandbox = hollow_file(Sandbox::new(), 4 * GIB);
        let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).without_reflink();
        let copy = copy.told("lose", "SPARSE").told("zero-copy", "force").told("cancel", "midway");
        let copy =
            copy.told("jobs", "1").recording("copy_file_range,sendfile,splice,pread64,statx,newfstatat");
        let outcome = refused.iter().fold(copy, |copy, call| copy.fault(call, "error=ENOSYS")).run();
        assert!(outcome.summary.was_cancelled() && outcome.summary.failures.is_empty());
        // By the first of those that are left, or the second: sendfile is not for files that others may come to share.
        let methods = ["copy_file_range", "sendfile", "splice"].map(|method| outcome.summary.moved(method));
        assert!(methods[..refused.len()].iter().all(|moved| *moved == 0), "{refused:?}: {methods:?}");
        let moved: u64 = methods.iter().sum();
        assert!(0 < moved && moved < 4 * GIB, "{refused:?}: {methods:?}");
        // What a pipe holds by then is written.
        let after = outcome.count_after_cancel(&["copy_file_range", "sendfile", "splice", "pread64"]);
        assert!(after <= 2, "{refused:?}: {after} calls");
        assert_eq!(entries(sandbox.path("dst")), 0, "the unfinished file is gone");
    }
}

#[test]
fn after_a_cancel_no_small_file_is_begun() {
    if !can_trace() {
        return;
    }
    let mut sandbox = Sandbox::new();
    for number in 0..2_000 {
        sandbox = sandbox.file(format!("src/{}/{number}", number % 20), &noise(number, KIB));
    }
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).told("cancel", "midway");
    let outcome = copy.told("jobs", "2").recording("openat,mkdirat,statx,newfstatat").run();
    assert!(outcome.summary.was_cancelled() && outcome.summary.failures.is_empty());
    let done = outcome.summary.total("files_copied");
    assert!(0 < done && done < 2_000, "{done} files");
    // Each worker ends the file it is at: a source, and its copy.
    assert!(outcome.count_after_cancel(&["openat"]) <= 4, "{}", outcome.count_after_cancel(&["openat"]));
    assert_no_temporaries(&sandbox.path("dst"));
    assert_complete(&sandbox.copy());
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn sharing_a_huge_file_is_cancelled_between_pieces() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Xfs, 400) else { return };
    // Pieces without data are passed over.
    let sandbox = hollow_file(Sandbox::on(&mount), 4096 * GIB);
    let source = File::options().write(true).open(sandbox.path("src/f")).unwrap();
    for place in 0..4096 {
        source.write_all_at(b"data", place * GIB).unwrap();
    }
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).told("cancel", "midway");
    let outcome = copy.recording("ioctl,statx,newfstatat").run();
    assert!(outcome.summary.was_cancelled(), "{:?}", outcome.summary);
    assert!(outcome.summary.moved("reflink") > 0);
    assert!(outcome.count_after_cancel(&["ioctl"]) <= 1);
    assert_eq!(entries(sandbox.path("dst")), 0, "the unfinished file is gone");
}

#[test]
fn a_cancelled_replacement_keeps_the_old_file_and_the_next_run_finishes() {
    let sandbox = large_file(Sandbox::in_memory()).file("dst/f", b"old");
    runtime().block_on(async {
        let engine = Engine::new().unwrap();
        let run = engine.start(endless(&sandbox));
        under_way(&run).await;
        run.cancel();
        let report = run.finish().await.unwrap();
        assert!(report.cancelled && !report.is_complete() && report.failures.is_empty());
    });
    assert_eq!(sandbox.read("dst/f"), b"old");
    assert_no_temporaries(&sandbox.path("dst"));
    let sandbox = sandbox.file("src/f", &noise(1, 9 * MIB));
    assert_complete(&sandbox.copy());
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn a_run_that_is_cancelled_at_once_does_nothing_and_says_so() {
    let sandbox = Sandbox::new().file("src/a", b"a");
    let report = runtime().block_on(async {
        let run = Engine::new().unwrap().start(CopyJob::new(sandbox.path("src"), sandbox.path("dst")));
        run.cancel();
        run.finish().await.unwrap()
    });
    assert!(report.cancelled);
    assert!(!sandbox.path("dst").exists());
}

#[test]
fn a_canceller_outlives_its_run_and_stops_it_from_another_thread() {
    let sandbox = large_file(Sandbox::in_memory());
    runtime().block_on(async {
        let run = Engine::new().unwrap().start(endless(&sandbox));
        under_way(&run).await;
        let canceller = run.canceller();
        let from_elsewhere = canceller.clone();
        thread::spawn(move || from_elsewhere.cancel()).join().unwrap();
        assert!(run.finish().await.unwrap().cancelled);
        canceller.cancel();
    });
    assert_eq!(entries(sandbox.path("dst")), 0);
}

#[test]
fn a_dropped_run_cleans_up_and_the_engine_says_when() {
    let sandbox = large_file(Sandbox::in_memory()).file("src/g", b"another");
    let other = Sandbox::new().file("src/a", b"a");
    runtime().block_on(async {
        let engine = Engine::new().unwrap();
        let run = engine.start(endless(&sandbox));
        under_way(&run).await;
        assert!(entries(sandbox.path("dst")) > 0);
        drop(run);
        engine.quiesce().await;
        assert!(!sandbox.path("dst/f").exists(), "the unfinished file is gone");
        // The engine is as good as new.
        let job = CopyJob::new(other.path("src"), other.path("dst"));
        assert!(engine.start(job).finish().await.unwrap().is_complete());
    });
}

#[test]
fn cancelling_one_run_leaves_the_others_of_its_engine_alone() {
    let sandbox = large_file(Sandbox::in_memory());
    let other = Sandbox::new().file("src/a", &noise(1, 20 * MIB));
    runtime().block_on(async {
        let engine = Engine::builder().jobs(1).build().unwrap();
        let (long, short) = (
            engine.start(endless(&sandbox)),
            engine.start(CopyJob::new(other.path("src"), other.path("dst"))),
        );
        under_way(&long).await;
        long.cancel();
        assert!(short.finish().await.unwrap().is_complete());
        assert!(long.finish().await.unwrap().cancelled);
    });
    assert_same_tree(&other.path("src"), &other.path("dst"));
}

#[test]
fn dropping_the_runtime_midway_returns_and_leaves_nothing_unfinished() {
    for make in [runtime, multi_thread] {
        let sandbox = large_file(Sandbox::in_memory());
        let (ended, has_ended) = mpsc::channel();
        let job = endless(&sandbox);
        let dropping = thread::spawn(move || {
            let runtime = make();
            let run = runtime.block_on(async {
                let run = Engine::new().unwrap().start(job);
                under_way(&run).await;
                run
            });
            drop(runtime);
            // Whoever still waits for it is told.
            let left = Builder::new_current_thread().build().unwrap().block_on(run.finish());
            ended.send(left.is_err()).unwrap();
        });
        let was_aborted = has_ended.recv_timeout(PATIENCE).expect("the runtime could not be dropped");
        dropping.join().unwrap();
        assert!(was_aborted);
        assert_eq!(entries(sandbox.path("dst")), 0, "the unfinished file is gone");
    }
}

#[test]
fn a_runtime_that_does_not_wait_for_its_threads_is_left_by_them_soon() {
    let sandbox = large_file(Sandbox::in_memory());
    let runtime = multi_thread();
    let run = runtime.block_on(async {
        let run = Engine::new().unwrap().start(endless(&sandbox));
        under_way(&run).await;
        run
    });
    runtime.shutdown_background();
    drop(run);
    let gone = (0..6_000).any(|_| {
        thread::sleep(Duration::from_millis(10)); // nothing is left that could tell
        entries(sandbox.path("dst")) == 0
    });
    assert!(gone, "the workers go on");
}

async fn under_way(run: &Run) {
    let moved = async {
        let mut progress = run.progress();
        progress.wait_for(|progress| progress.totals.bytes_done() > 0).await.unwrap();
    };
    tokio::time::timeout(PATIENCE, moved).await.expect("nothing is copied");
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
