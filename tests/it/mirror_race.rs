//! Somebody changes the source, or the copy, while a mirror is made: nothing is deleted that should stay.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use orbit::{CopyJob, Delete, Limits, Mirror};

use crate::support::{Filesystem, Mount, Sandbox, assert_complete, causes, run};

fn mirror(sandbox: &Sandbox) -> CopyJob {
    let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst"));
    job.mirror(Mirror::default().delete(Delete::After))
}

/// What is taken away from the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    /// All of it, at any moment.
    Everything,
    /// What is in its directories, which stay, once they were listed.
    Files,
    /// Some of its directories, once they were listed.
    Directories,
}

#[test]
fn a_source_that_goes_away_meanwhile_is_no_reason_to_delete_its_copy() {
    const DIRS: usize = 12;
    const FILES: usize = 40;
    let mount = Mount::new(Filesystem::Tmpfs, 64);
    let (mut lost, mut withheld, mut deleted) = (Vec::new(), 0, 0);
    for round in 0..36_u64 {
        let mut sandbox = mount.as_ref().map_or_else(Sandbox::new, Sandbox::on);
        for index in 0..DIRS * FILES {
            sandbox = sandbox.file(format!("src/{}/{}", index / FILES, index % FILES), b"content");
        }
        assert_complete(&sandbox.copy());
        for dir in 0..DIRS {
            sandbox = sandbox.file(format!("dst/{dir}/extra"), b"extra");
            sandbox = sandbox.file(format!("src/{dir}/new"), b"new");
        }
        let gone = [Gone::Everything, Gone::Files, Gone::Directories][round as usize % 3];
        let (ended, source, copy) = (AtomicBool::new(false), sandbox.path("src"), sandbox.path("dst"));
        let report = thread::scope(|scope| {
            let ends = Ends(&ended);
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(round * 7));
                if gone == Gone::Everything {
                    return fs::remove_dir_all(source).unwrap();
                }
                for dir in (0..DIRS).map(|dir| dir.to_string()) {
                    while !copy.join(&dir).join("new").exists() && !ended.load(Ordering::Relaxed) {
                        thread::yield_now();
                    }
                    if gone == Gone::Files {
                        let files = fs::read_dir(source.join(dir)).unwrap();
                        files.for_each(|file| fs::remove_file(file.unwrap().path()).unwrap());
                    } else if dir.len() > 1 {
                        fs::remove_dir_all(source.join(dir)).unwrap();
                    }
                }
            });
            let slowly = Limits::default().operations(2_000.try_into().unwrap());
            let report = run(mirror(&sandbox).jobs(2).limits(slowly));
            drop(ends);
            report
        });
        let there = |index: &usize| sandbox.path(format!("dst/{}/{}", index / FILES, index % FILES)).exists();
        let missing = (0..DIRS * FILES).filter(|index| !there(index)).count();
        if missing > 0 {
            lost.push((round, gone, missing));
        }
        withheld += causes(&report).iter().filter(|cause| cause.contains("changed while")).count();
        deleted += report.totals.deleted;
    }
    assert!(lost.is_empty(), "{lost:?}");
    assert!(withheld > 0, "nothing went away in time for this to show anything");
    assert!(deleted > 0, "what only the copy has goes where the source stood still");
}

#[test]
fn directories_that_are_swapped_for_links_while_they_are_deleted_lead_nowhere() {
    const SWAPS: usize = 10_000;
    const RUNS: usize = 150;
    let mount = Mount::new(Filesystem::Tmpfs, 32);
    let sandbox = mount.as_ref().map_or_else(Sandbox::new, Sandbox::on).file("src/a", b"a").dir("dst");
    for name in ["outside/canary", "outside/d/canary", "outside/d/e/canary"] {
        fs::create_dir_all(sandbox.path(name).parent().unwrap()).unwrap();
        fs::write(sandbox.path(name), b"canary").unwrap();
    }
    let (ended, turn, swaps) = (AtomicBool::new(false), Mutex::new(()), AtomicUsize::new(0));
    let (dst, outside) = (sandbox.path("dst"), sandbox.path("outside"));
    thread::scope(|scope| {
        let _ends = Ends(&ended);
        scope.spawn(|| {
            // Swaps a directory for a link to the canaries and back, at two depths.
            while !ended.load(Ordering::Relaxed) {
                let _turn = turn.lock();
                for name in ["d", "d/d"] {
                    let (here, aside) = (dst.join(name), dst.join("a-side"));
                    if fs::rename(&here, &aside).is_ok() {
                        let _ = symlink(&outside, &here);
                        let _ = fs::remove_file(&here);
                        let _ = fs::rename(&aside, &here);
                        swaps.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        let patience = Instant::now() + Duration::from_secs(120);
        let mut runs = 0;
        while runs < RUNS || swaps.load(Ordering::Relaxed) < SWAPS {
            runs += 1;
            assert!(Instant::now() < patience, "directories are swapped too slowly");
            let paused = turn.lock(); // what is made here must not go through a link itself
            for name in ["d/d/e/canary", "d/canary", "d/d/canary"] {
                let path = dst.join(name);
                let _ = fs::create_dir_all(path.parent().unwrap());
                let _ = fs::write(path, b"mine");
            }
            drop(paused);
            run(mirror(&sandbox).jobs(2));
            for name in ["canary", "d/canary", "d/e/canary"] {
                assert_eq!(fs::read(outside.join(name)).unwrap(), b"canary");
            }
        }
    });
}

/// Tells another thread to end, also when an assertion fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
