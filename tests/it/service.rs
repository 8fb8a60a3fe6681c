//! Runs and comparisons in a service: what waits holds up nobody, what failed is told, what is cancelled ends.

use std::{fs, num::NonZeroU64, time::Duration};

use futures::{FutureExt, StreamExt};
use orbit::{
    Attributes, Comparison, CopyJob, DataOptions, Engine, Event, Limits, Preserve, Reflink, Retry, Run,
    Sparse, WarningKind,
};
use tokio::runtime::Builder;

use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete, is_root,
    liar::{Liar, Lie, LyingFile},
    must, skip,
    tree::assert_same,
    zeros,
};

/// Nothing that is waited for takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it hangs")
}

fn copy_of(sandbox: &Sandbox) -> CopyJob {
    CopyJob::new(sandbox.path("src"), sandbox.path("dst"))
}

/// At this rate a small file takes an hour.
fn at_a_byte_a_second(sandbox: &Sandbox) -> CopyJob {
    let data = DataOptions::default().reflink(Reflink::Never);
    copy_of(sandbox).data(data).limits(Limits::default().bandwidth(NonZeroU64::new(1).unwrap()))
}

/// Until it waits for its second turn, for minutes: the first is free.
async fn waits_for_a_turn(run: &Run) {
    let mut progress = run.progress();
    soon(progress.wait_for(|progress| progress.totals.bytes_copied > 0)).await.unwrap();
}

/// A copy that reads zeros for seconds, and writes nothing.
fn endless(sandbox: &Sandbox) -> CopyJob {
    fs::create_dir_all(sandbox.path("src")).unwrap();
    zeros(&sandbox.path("src/zeros"), 1 << 30);
    let data = DataOptions::default().reflink(Reflink::Never).sparse(Sparse::Always);
    copy_of(sandbox).data(data).preserve(Preserve::default().without(Attributes::SPARSE))
}

async fn under_way(run: &Run) {
    let mut progress = run.progress();
    soon(progress.wait_for(|progress| progress.totals.bytes_done() > 0)).await.unwrap();
}

#[test]
fn a_changed_rate_wakes_whoever_sleeps_for_a_turn() {
    for rate in [None, NonZeroU64::new(1 << 30)] {
        let sandbox = Sandbox::new().file("src/a", &[7; 4096]).file("src/b", &[8; 4096]);
        on_a_runtime(async {
            let run = Engine::new().unwrap().start(at_a_byte_a_second(&sandbox).jobs(2));
            waits_for_a_turn(&run).await;
            run.limits().set_bandwidth(rate);
            assert_complete(&soon(run.finish()).await.unwrap());
        });
        assert_same(&sandbox.path("src"), &sandbox.path("dst"));
    }
}

#[test]
fn cancelling_wakes_whoever_sleeps_for_a_turn() {
    let sandbox = Sandbox::new().file("src/a", &[7; 4096]);
    on_a_runtime(async {
        let run = Engine::new().unwrap().start(at_a_byte_a_second(&sandbox));
        waits_for_a_turn(&run).await;
        run.cancel();
        assert!(soon(run.finish()).await.unwrap().cancelled);
    });
    assert!(!sandbox.path("dst/a").exists(), "the unfinished file is gone");
}

#[test]
fn a_run_that_waits_for_its_rate_leaves_its_place_to_others() {
    let (slow, quick) = (Sandbox::new().file("src/a", &[7; 4096]), Sandbox::new().file("src/b", &[8; 4096]));
    on_a_runtime(async {
        let engine = Engine::builder().jobs(1).build().unwrap();
        let waiting = engine.start(at_a_byte_a_second(&slow));
        waits_for_a_turn(&waiting).await;
        assert_complete(&soon(engine.start(copy_of(&quick)).finish()).await.unwrap());
        assert_eq!(waiting.progress().borrow().totals.files_copied, 0);
        // It gets its place back.
        waiting.limits().set_bandwidth(None);
        assert_complete(&soon(waiting.finish()).await.unwrap());
        soon(engine.quiesce()).await;
    });
    assert_same(&slow.path("src"), &slow.path("dst"));
}

#[test]
fn places_are_given_back_where_the_runtime_has_a_single_thread_for_all_workers() {
    let sandboxes: Vec<_> = (0..3).map(|n| Sandbox::new().file("src/a", &[n; 100_000])).collect();
    let runtime = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).enable_all().build();
    runtime.unwrap().block_on(async {
        let engine = Engine::builder().jobs(1).build().unwrap();
        // Twenty turns of 50 ms each, in which the place is given back.
        let limits = Limits::default().bandwidth(NonZeroU64::new(100_000).unwrap());
        let runs = sandboxes.iter().map(|sandbox| engine.start(copy_of(sandbox).limits(limits)).finish());
        for report in soon(futures::future::join_all(runs)).await {
            assert_complete(&report.unwrap());
        }
    });
}

/// A source that cannot be read until it behaves, which is tried again in minutes.
fn unreadable(sandbox: &Sandbox) -> Option<(Liar, CopyJob)> {
    if !is_root() {
        skip("only root mounts a filesystem that lies");
        return None;
    }
    let file = LyingFile { name: "a", content: vec![7; 4096], lie: Lie::FailsFrom(0) };
    fs::create_dir_all(sandbox.path("src")).unwrap();
    let liar = Liar::mount(vec![file], &sandbox.path("src")).unwrap();
    let retry = Retry::default().times(5).wait(Duration::from_secs(600));
    Some((liar, copy_of(sandbox).retry(retry)))
}

async fn until_it_is_to_be_tried_again(run: &mut Run) {
    while !matches!(soon(run.next()).await, Some(Event::Retrying(_))) {}
}

#[test]
fn a_run_that_waits_to_try_again_leaves_its_place_to_others() {
    let (sandbox, quick) = (Sandbox::new(), Sandbox::new().file("src/b", &[8; 4096]));
    let Some((_liar, job)) = unreadable(&sandbox) else { return };
    on_a_runtime(async {
        let engine = Engine::builder().jobs(1).build().unwrap();
        let mut waiting = engine.start(job);
        until_it_is_to_be_tried_again(&mut waiting).await;
        for dst in ["dst", "again"] {
            let job = CopyJob::new(quick.path("src"), quick.path(dst));
            assert_complete(&soon(engine.start(job).finish()).await.unwrap());
        }
        waiting.cancel();
        let report = soon(waiting.finish()).await.unwrap();
        assert!(report.cancelled && report.failures.is_empty(), "{:?}", report.failures);
    });
}

#[test]
fn cancelling_ends_the_wait_for_another_try() {
    let sandbox = Sandbox::new();
    let Some((_liar, job)) = unreadable(&sandbox) else { return };
    on_a_runtime(async {
        let mut run = Engine::new().unwrap().start(job.jobs(3));
        until_it_is_to_be_tried_again(&mut run).await;
        run.cancel();
        let report = soon(run.finish()).await.unwrap();
        assert!(report.cancelled && report.totals.files_copied == 0);
    });
}

#[test]
fn dropping_a_run_ends_the_wait_for_another_try() {
    let sandbox = Sandbox::new();
    let Some((_liar, job)) = unreadable(&sandbox) else { return };
    on_a_runtime(async {
        let engine = Engine::new().unwrap();
        let mut run = engine.start(job.jobs(3));
        until_it_is_to_be_tried_again(&mut run).await;
        drop(run);
        soon(engine.quiesce()).await;
    });
}

#[test]
fn a_run_that_is_cancelled_before_it_has_a_worker_ends_at_once() {
    let (busy, sandbox) = (Sandbox::in_memory(), Sandbox::new().file("src/a", b"a"));
    let runtime = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).enable_all().build();
    runtime.unwrap().block_on(async {
        let engine = Engine::builder().jobs(2).build().unwrap();
        // The only thread there is for workers does not come back.
        let long = engine.start(endless(&busy).jobs(1));
        under_way(&long).await;
        for job in [copy_of(&sandbox), copy_of(&sandbox).limits(Limits::default().preflight(true))] {
            let run = engine.start(job);
            tokio::task::yield_now().await;
            run.cancel();
            let report = soon(run.finish()).await.unwrap();
            assert!(report.cancelled && report.totals.entries_found == 0, "{:?}", report.totals);
        }
        assert!(!long.progress().borrow().walked || long.progress().borrow().workers == 1);
        long.cancel();
        soon(long.finish()).await.unwrap();
        soon(engine.quiesce()).await;
    });
    assert!(!sandbox.path("dst").exists());
}

/// A tree of this many files, each of which fails.
fn failing(count: u64) -> Sandbox {
    (0..count).fold(Sandbox::new(), |sandbox, number| {
        sandbox.file(format!("src/{number}"), b"file").dir(format!("dst/{number}"))
    })
}

#[test]
fn every_failure_is_told_however_late_somebody_reads() {
    const FAILURES: u64 = 3_000;
    let mut sandbox = failing(FAILURES);
    for number in 0..2_000 {
        sandbox = sandbox.file(format!("src/fine/{number}"), b"fine");
    }
    on_a_runtime(async {
        let engine = Engine::new().unwrap();
        let mut run = engine.start(copy_of(&sandbox));
        // The engine does not wait for who reads.
        soon(engine.quiesce()).await;
        let (mut failed, mut missed, mut entries) = (0, 0, 0);
        while let Some(event) = soon(run.next()).await {
            match event {
                Event::Failed(_) => failed += 1,
                Event::Missed { entries } => missed += entries,
                Event::Entry { .. } => entries += 1,
                _ => {}
            }
        }
        assert_eq!(failed, FAILURES);
        let report = run.finish().await.unwrap();
        assert_eq!(entries + missed, report.totals.entries_done() - FAILURES, "entries alone are missed");
        assert!(missed > 0);
    });
}

#[test]
fn a_run_with_failures_that_nobody_reads_ends_by_itself() {
    let sandbox = failing(3_000);
    on_a_runtime(async {
        let engine = Engine::new().unwrap();
        let run = engine.start(copy_of(&sandbox));
        soon(engine.quiesce()).await;
        assert_eq!(soon(run.finish()).await.unwrap().totals.failed, 3_000);
    });
}

/// Two trees that differ in more than the channel of findings holds.
fn different() -> Sandbox {
    (0..2_000).fold(Sandbox::new(), |sandbox, number| {
        sandbox.file(format!("src/{number}"), b"one").file(format!("dst/{number}"), b"two")
    })
}

fn comparison_of(sandbox: &Sandbox) -> Comparison {
    Comparison::new(sandbox.path("src"), sandbox.path("dst"))
}

#[test]
fn a_comparison_counts_as_active_until_it_has_ended() {
    let sandbox = different();
    on_a_runtime(async {
        let engine = Engine::builder().jobs(2).build().unwrap();
        let mut comparing = engine.compare(comparison_of(&sandbox));
        assert!(engine.quiesce().now_or_never().is_none(), "from its start on");
        soon(comparing.next()).await.unwrap();
        assert!(engine.quiesce().now_or_never().is_none());
        drop(comparing);
        soon(engine.quiesce()).await;
    });
}

#[test]
fn a_comparison_that_is_not_read_on_makes_room_for_runs() {
    let (sandbox, other) = (different(), Sandbox::new().file("src/a", b"a"));
    on_a_runtime(async {
        let engine = Engine::builder().jobs(1).build().unwrap();
        let mut comparing = engine.compare(comparison_of(&sandbox));
        soon(comparing.next()).await.unwrap();
        assert_complete(&soon(engine.start(copy_of(&other)).finish()).await.unwrap());
        let mut findings = 1;
        while soon(comparing.next()).await.is_some() {
            findings += 1;
        }
        assert_eq!(findings, 2_000, "nothing is lost by that");
        assert_eq!(soon(comparing.finish()).await.unwrap().differences, 2_000);
    });
}

#[test]
fn a_comparison_has_its_turn_beside_a_run() {
    let (busy, sandbox) = (Sandbox::in_memory(), different());
    on_a_runtime(async {
        let engine = Engine::builder().jobs(1).build().unwrap();
        let long = engine.start(endless(&busy));
        under_way(&long).await;
        assert_eq!(soon(engine.compare(comparison_of(&sandbox)).finish()).await.unwrap().differences, 2_000);
        long.cancel();
        soon(long.finish()).await.unwrap();
    });
}

#[test]
fn a_comparison_is_cancelled_while_it_waits() {
    let (busy, sandbox) = (Sandbox::in_memory(), different());
    let runtime = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).enable_all().build();
    runtime.unwrap().block_on(async {
        let engine = Engine::builder().jobs(2).build().unwrap();
        // For its reader.
        let mut comparing = engine.compare(comparison_of(&sandbox));
        soon(comparing.next()).await.unwrap();
        comparing.cancel();
        soon(engine.quiesce()).await;
        assert!(soon(comparing.finish()).await.unwrap().cancelled);
        // For its first worker.
        let long = engine.start(endless(&busy).jobs(1));
        under_way(&long).await;
        let comparing = engine.compare(comparison_of(&sandbox));
        tokio::task::yield_now().await;
        comparing.cancel();
        let report = soon(comparing.finish()).await.unwrap();
        assert!(report.cancelled && report.entries == 0, "{report:?}");
        long.cancel();
        soon(long.finish()).await.unwrap();
    });
}

#[test]
fn a_mount_made_between_two_runs_is_seen_by_the_second() {
    let Some(target) = Mount::new(Filesystem::Ext4, 16) else { return };
    let Some(source) = Mount::new(Filesystem::Tmpfs, 64) else { return };
    fs::write(source.path().join("below"), b"below").unwrap();
    let copy = || CopyJob::new(source.path(), target.path().join("dst"));
    on_a_runtime(async {
        let engine = Engine::new().unwrap();
        let report = soon(engine.start(copy()).finish()).await.unwrap();
        assert_complete(&report);
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        // Told beforehand is only what a whole filesystem has in use.
        let at = source.path().to_str().unwrap();
        must("mount", &["-t", "tmpfs", "tmpfs", at]);
        fs::write(source.path().join("large"), vec![7; 20 << 20]).unwrap();
        let report = soon(engine.start(copy().jobs(1)).finish()).await.unwrap();
        must("umount", &[at]);
        let room: Vec<_> =
            report.warnings.iter().filter(|warning| warning.kind == WarningKind::Room).collect();
        assert_eq!(room.len(), 1, "{:?}", report.warnings);
    });
}
