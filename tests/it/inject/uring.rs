//! Large files by a ring: what it moves, what it leaves to others, and what happens where there is none.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Output},
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{PosixFadviseAdvice, posix_fadvise},
};
use orbit::{Backend, Capabilities, CopyJob, DataOptions, Engine, Method, Reflink, Report, Route};
use serde_json::Value;

use super::{
    mounts::Attached,
    traced::{Call, Traced, can_trace},
    tree::{KIB, MIB, assert_no_temporaries, assert_same_tree, noise, set_mode, sparse_file},
};
use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete, copy_program, driver::NOBODY, is_root, run, skip, stderr,
};

const RING: &str = "io_uring";

/// A file of nine chunks and a piece of a block, in which many requests are in flight.
fn large_file(sandbox: Sandbox) -> Sandbox {
    sandbox.file("src/large", &noise(1, 9 * MIB + 5))
}

fn by_ring(sandbox: &Sandbox) -> Traced {
    Traced::copy(sandbox.path("src"), sandbox.path("dst")).told("reflink", "never").told("backend", "uring")
}

fn moved(report: &Report, method: Method) -> u64 {
    report.methods().find(|(of, _)| *of == method).map_or(0, |(_, moved)| moved.bytes)
}

/// Whether this process can have a ring, and mount what it is tried on.
fn can_ring() -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let able = runtime.block_on(Capabilities::probe("/tmp", "/tmp")).unwrap();
    let can = able.conveniences.io_uring.is_yes() && is_root();
    if !can {
        skip(&format!("root and a ring are needed: {:?}", able.conveniences.io_uring));
    }
    can
}

#[test]
fn whole_blocks_of_large_files_go_by_the_ring_on_every_filesystem() {
    let kinds = [Filesystem::Ext4, Filesystem::Xfs, Filesystem::Btrfs, Filesystem::Tmpfs];
    let mounts: Vec<Mount> = kinds.into_iter().map_while(|kind| Mount::new(kind, 400)).collect();
    if mounts.len() < kinds.len() || !can_ring() {
        return;
    }
    let data = DataOptions::default().backend(Backend::Uring).reflink(Reflink::Never);
    for mount in &mounts {
        let sandbox = Sandbox::on(mount);
        // At the least size, a byte and a block more, and a chunk with a part of a block.
        let sizes = [8 * MIB, 8 * MIB + 1, 8 * MIB + 4096, 9 * MIB + 4095, 20 * MIB + 513];
        let sandbox = (0..)
            .zip(sizes)
            .fold(sandbox, |sandbox, (seed, size)| sandbox.file(format!("src/{size}"), &noise(seed, size)));
        let sandbox = sandbox.file("src/below", &noise(9, 8 * MIB - 1));
        for jobs in [1, 3] {
            let copy = sandbox.path(format!("dst-{jobs}"));
            let report = run(CopyJob::new(sandbox.path("src"), &copy).data(data).jobs(jobs));
            assert_complete(&report);
            let blocks: u64 = sizes.iter().map(|size| size - size % 4096).sum();
            assert_eq!(moved(&report, Method::IoUring), blocks, "{:?}", report.ring_refused);
            assert_same_tree(&sandbox.path("src"), &copy);
        }
    }
}

#[test]
fn the_ring_goes_past_the_page_cache_where_the_filesystem_can() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 100).filter(|_| can_trace() && can_ring()) else { return };
    let sandbox = large_file(Sandbox::on(&mount));
    // What memory has is not read from the device again.
    for direct in [1, 2] {
        if direct == 2 {
            let source = File::open(sandbox.path("src/large")).unwrap();
            source.sync_all().unwrap();
            posix_fadvise(&source, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
            fs::remove_dir_all(sandbox.path("dst")).unwrap();
        }
        let outcome = by_ring(&sandbox).recording("fcntl").run();
        assert_eq!(outcome.summary.moved(RING), 9 * MIB);
        let is_direct = |call: &&Call| call.line.contains("F_SETFL") && call.line.contains("O_DIRECT");
        assert_eq!(outcome.calls.iter().filter(is_direct).count(), direct, "{:#?}", outcome.calls);
    }
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn overlay_gets_whole_copies_too_and_fuse_without_the_ring() {
    if !can_ring() {
        return;
    }
    let data = DataOptions::default().backend(Backend::Uring).reflink(Reflink::Never);
    for is_overlay in [true, false] {
        let below = Sandbox::new();
        let attach = if is_overlay { Attached::overlay } else { Attached::fuse };
        let Some(attached) = attach(below.path("").as_path()) else { continue };
        fs::create_dir(attached.path("src")).unwrap();
        fs::write(attached.path("src/large"), noise(1, 9 * MIB + 5)).unwrap();
        let report = run(CopyJob::new(attached.path("src"), attached.path("dst")).data(data));
        assert_complete(&report);
        assert_eq!(moved(&report, Method::IoUring), if is_overlay { 9 * MIB } else { 0 });
        assert_eq!(report.ring_refused.is_some(), !is_overlay);
        assert_same_tree(&attached.path("src"), &attached.path("dst"));
    }
}

#[test]
fn holes_are_kept_without_the_ring() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 100).filter(|_| can_ring()) else { return };
    let sandbox = Sandbox::on(&mount).dir("src");
    sparse_file(&sandbox.path("src/sparse"), &[MIB, 30 * MIB], 40 * MIB);
    let data = DataOptions::default().backend(Backend::Uring).reflink(Reflink::Never);
    let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).data(data));
    assert_complete(&report);
    assert_eq!(moved(&report, Method::IoUring), 0);
    super::tree::assert_holes_kept(&sandbox.path("src/sparse"), &sandbox.path("dst/sparse"));
}

#[test]
fn where_the_kernel_refuses_a_ring_the_copy_goes_on_without() {
    if !can_trace() {
        return;
    }
    for errno in ["ENOSYS", "EPERM", "ENOMEM"] {
        let sandbox = large_file(Sandbox::new());
        let outcome = by_ring(&sandbox).fault("io_uring_setup", &format!("error={errno}")).run();
        outcome.assert_complete_despite("io_uring_setup");
        assert_eq!(outcome.summary.moved(RING), 0);
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    }
}

/// Copy as a user who may lock no more than so many bytes in memory.
fn limited(sandbox: &Sandbox, locked: u64) -> Output {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={NOBODY}"), "--clear-groups", "prlimit", &format!("--memlock={locked}")]);
    command.arg(sandbox.path("orbit")).args(["--backend=uring", "--reflink=never", "--json"]);
    command.arg(sandbox.path("src")).arg(sandbox.path("out/dst")).output().unwrap()
}

#[test]
fn a_limit_of_locked_memory_means_fewer_buffers_or_no_ring() {
    if !can_ring() {
        return;
    }
    for (locked, bytes) in [(8 * MIB, 9 * MIB), (3 * MIB, 9 * MIB), (512 * KIB, 0)] {
        let sandbox = large_file(Sandbox::new().opened()).dir("out");
        set_mode(&sandbox.path("out"), 0o777);
        // Where it was built may be closed to others.
        copy_program(&sandbox.path("orbit"));
        let output = limited(&sandbox, locked);
        assert!(output.status.success(), "{}", stderr(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let methods = report["methods"].as_array().unwrap();
        let of_ring = methods.iter().find(|moved| moved["method"] == RING);
        assert_eq!(of_ring.map_or(0, |moved| moved["bytes"].as_u64().unwrap()), bytes, "{report:#}");
        assert_eq!(report["ring_refused"].is_null(), bytes > 0, "{report:#}");
        assert_eq!(stderr(&output).contains("no ring of io_uring"), bytes == 0, "{}", stderr(&output));
        let [source, copy] = ["src/large", "out/dst/large"].map(|name| sandbox.read(name));
        assert!(source == copy);
    }
}

#[test]
fn a_full_filesystem_is_said_and_nothing_is_left() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 64).filter(|_| can_ring()) else { return };
    let from = Sandbox::new().file("src/large", &noise(2, 80 * MIB));
    let copy = mount.path().join("dst");
    let data = DataOptions::default().backend(Backend::Uring).reflink(Reflink::Never);
    let report = run(CopyJob::new(from.path("src"), &copy).data(data));
    // There is no room for it, which is known before the first byte.
    assert_eq!(moved(&report, Method::IoUring), 0);
    assert_eq!(report.totals.failed, 1);
    assert!(report.stopped.as_ref().is_some_and(|why| why.contains("were needed")), "{report:?}");
    assert_eq!(report.failures[0].errno(), Some(Errno::ENOSPC as i32));
    assert_eq!(fs::read_dir(&copy).unwrap().count(), 0);
}

#[test]
fn a_source_that_ends_early_is_a_change_and_no_silent_loss() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 100).filter(|_| can_trace() && can_ring()) else { return };
    let sandbox = large_file(Sandbox::on(&mount));
    let source = sandbox.path("src/large");
    let shortened = source.clone();
    let copy = sandbox.path("dst/large");
    // The copy gets its size some time before its content, and after the source was asked for holes.
    let shortening = thread::spawn(move || {
        while fs::metadata(&copy).map_or(0, |meta| meta.len()) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        File::options().write(true).open(shortened).unwrap().set_len(5 * MIB + 100).unwrap();
    });
    let outcome = by_ring(&sandbox).fault("ftruncate", "delay_exit=1000000").run();
    shortening.join().unwrap();
    assert_eq!(outcome.summary.total("changed_while_copied"), 1, "{:#?}", outcome.summary);
    assert_eq!(outcome.summary.moved(RING), 5 * MIB);
    assert_eq!(fs::read(sandbox.path("dst/large")).unwrap(), fs::read(source).unwrap());
}

#[test]
fn after_a_cancel_the_ring_begins_nothing_and_leaves_nothing() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 900).filter(|_| can_trace() && can_ring()) else { return };
    let sandbox = Sandbox::on(&mount).file("src/large", &noise(1, 400 * MIB));
    let outcome =
        by_ring(&sandbox).told("cancel", "midway").recording("io_uring_enter,statx,newfstatat").run();
    assert!(outcome.summary.was_cancelled() && outcome.summary.failures.is_empty());
    let moved = outcome.summary.moved(RING);
    assert!(0 < moved && moved < 400 * MIB, "{moved}");
    // What is in flight, in eight lanes, is read and written; hundreds of chunks are not begun.
    let after = outcome.count_after_cancel(&["io_uring_enter"]);
    assert!(after <= 40, "{after} calls");
    assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), 0, "the unfinished file is gone");
}

#[test]
fn what_a_killed_ring_leaves_is_no_finished_file() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 200).filter(|_| can_trace() && can_ring()) else { return };
    // The first call may be the probe's.
    for nth in [2, 3, 6] {
        let sandbox = Sandbox::on(&mount).file("src/large", &noise(nth, 40 * MIB));
        let outcome = by_ring(&sandbox).fault("io_uring_enter", &format!("signal=SIGKILL:when={nth}")).run();
        assert!(outcome.was_killed(), "{:#?}", outcome.summary);
        let left = sandbox.path("dst/large");
        let time = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        assert!(!left.exists() || time(&left) != time(&sandbox.path("src/large")));
        assert_complete(&sandbox.copy());
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        assert_no_temporaries(&sandbox.path("dst"));
    }
}

#[test]
fn an_engine_without_runs_has_no_ring() {
    if !can_ring() {
        return;
    }
    let threads = || {
        let all = fs::read_dir("/proc/self/task").unwrap().flatten();
        all.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok()).collect::<Vec<_>>()
    };
    let sandbox = large_file(Sandbox::new());
    let data = DataOptions::default().backend(Backend::Uring).reflink(Reflink::Never);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let engine = Engine::new().unwrap();
    for round in 0..3 {
        let job = CopyJob::new(sandbox.path("src"), sandbox.path(format!("dst-{round}"))).data(data);
        let report = runtime.block_on(async { engine.start(job).finish().await }).unwrap();
        assert_eq!(moved(&report, Method::IoUring), 9 * MIB, "round {round}");
    }
    // Other tests of this process may have rings of their own for a moment.
    let is_gone = |_| {
        thread::sleep(Duration::from_millis(100));
        !threads().iter().any(|name| name.starts_with("orbit-ring"))
    };
    assert!((0..100).any(is_gone), "{:?}", threads());
}

#[test]
fn left_to_itself_an_engine_tries_all_ways_of_a_large_file() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 1_800).filter(|_| can_ring()) else { return };
    let content = noise(1, 800 * MIB);
    let sandbox = Sandbox::on(&mount).file("src/large", &content);
    for jobs in [1, 2] {
        let copy = sandbox.path(format!("dst-{jobs}"));
        let report = run(CopyJob::new(sandbox.path("src"), &copy).jobs(jobs));
        assert_complete(&report);
        let learned = &report.pairs[0];
        let tried = |route| learned.route_steps.iter().any(|step| step.to == route);
        let other = if jobs == 1 { Route::Buffer } else { Route::BufferRanges };
        assert!(tried(Route::Ring) && tried(other), "{learned:#?}");
        assert!(learned.routes.iter().all(|known| known.bytes_per_second > 0.0), "{learned:#?}");
        assert!(moved(&report, Method::IoUring) > 0 && moved(&report, Method::CopyFileRange) > 0);
        assert_eq!(report.methods().map(|(_, moved)| moved.bytes).sum::<u64>(), 800 * MIB);
        assert!(fs::read(copy.join("large")).unwrap() == content);
        fs::remove_dir_all(copy).unwrap();
    }
}
