//! The library inside another program: runtimes, runs side by side, and sums.

use std::{collections::HashMap, fs, num::NonZeroU64, path::PathBuf, time::Duration};

use futures::StreamExt;
use orbit::{CopyJob, Done, Engine, Event, Limits, Report};

use crate::support::{Sandbox, assert_complete, awkward, is_root, run, skip, tree::assert_same, zeros};

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A tree of this many small files.
fn sandbox(files: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    for index in 0..files {
        let dir = sandbox.path(format!("src/{}", index / 100));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(index.to_string()), vec![index as u8; index % 3000]).unwrap();
    }
    sandbox
}

#[test]
fn it_runs_on_either_kind_of_runtime() {
    let sandbox = sandbox(500);
    let two = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let bare = tokio::runtime::Builder::new_current_thread().build().unwrap(); // neither timers nor I/O
    for (name, runtime) in [("one", current_thread()), ("two", two), ("bare", bare)] {
        let report = runtime.block_on(async {
            let engine = Engine::builder().jobs(3).build().unwrap();
            engine.start(CopyJob::new(sandbox.path("src"), sandbox.path(name))).finish().await.unwrap()
        });
        assert_complete(&report);
        assert_same(&sandbox.path("src"), &sandbox.path(name));
    }
}

#[test]
fn a_run_on_a_current_thread_runtime_does_not_block_its_thread() {
    let sandbox = sandbox(3000);
    current_thread().block_on(async {
        let engine = Engine::new().unwrap();
        let mut run = engine.start(CopyJob::new(sandbox.path("src"), sandbox.path("dst")));
        let mut turns = 0_u64;
        let turning = async {
            loop {
                turns += 1;
                tokio::task::yield_now().await;
            }
        };
        let ended = async { while run.next().await.is_some() {} };
        tokio::select! { () = ended => {}, () = turning => {} }
        assert!(turns > 100, "{turns}");
        assert_complete(&run.finish().await.unwrap());
    });
}

#[test]
fn two_runs_that_share_one_worker_both_get_on() {
    let (small, other) = (sandbox(1000), sandbox(1000));
    current_thread().block_on(async {
        let engine = Engine::builder().jobs(1).build().unwrap();
        // However fast the machine is, each takes a second by itself.
        let limits = Limits::default().operations(NonZeroU64::new(1000).unwrap());
        let start = |sandbox: &Sandbox| {
            engine.start(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).limits(limits))
        };
        let (mut one, mut two) = (start(&small), start(&other));
        // Turn and turn about: each has news before the other has ended.
        let (mut turns, mut last) = (0, 0);
        loop {
            let (who, event) = tokio::select! {
                event = one.next() => (1, event),
                event = two.next() => (2, event),
            };
            if event.is_none() {
                break;
            }
            turns += usize::from(who != last);
            last = who;
        }
        assert!(turns >= 3, "one run waited for the other to end");
        for (run, sandbox) in [(one, &small), (two, &other)] {
            assert_complete(&run.finish().await.unwrap());
            assert_same(&sandbox.path("src"), &sandbox.path("dst"));
        }
    });
}

#[test]
fn a_large_file_makes_room_for_another_run() {
    let (large, small) = (Sandbox::in_memory().dir("src"), sandbox(50));
    // It is read for seconds, and nothing is written.
    zeros(&large.path("src/large"), 1 << 30);
    current_thread().block_on(async {
        let engine = Engine::builder().jobs(1).build().unwrap();
        let data = orbit::DataOptions::default().sparse(orbit::Sparse::Always);
        let kept = orbit::Preserve::default().without(orbit::Attributes::SPARSE);
        let job = CopyJob::new(large.path("src"), large.path("dst")).data(data).preserve(kept);
        let long = engine.start(job);
        let mut progress = long.progress();
        progress.wait_for(|progress| progress.totals.bytes_done() > 0).await.unwrap();
        let job = CopyJob::new(small.path("src"), small.path("dst"));
        assert_complete(&engine.start(job).finish().await.unwrap());
        assert!(!progress.borrow().walked || progress.borrow().totals.files_copied == 0);
        long.cancel();
        let report = long.finish().await.unwrap();
        assert!(report.cancelled && report.totals.files_copied == 0, "{:?}", report.totals);
        assert!(!large.path("dst/large").exists());
    });
}

#[test]
fn the_engines_jobs_bound_the_workers_of_all_runs() {
    const THREADS: &str = "bounded-workers";
    let sandboxes: Vec<_> = (0..6).map(|_| sandbox(1500)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().thread_name(THREADS).build();
    runtime.unwrap().block_on(async {
        let engine = Engine::builder().jobs(2).build().unwrap();
        let runs = sandboxes
            .iter()
            .map(|sandbox| engine.start(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(8)));
        let finish = futures::future::join_all(runs.map(orbit::Run::finish).collect::<Vec<_>>());
        let mut most = 0;
        let watch = async {
            loop {
                most = most.max(threads_named(THREADS));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let reports = tokio::select! { reports = finish => reports, () = watch => unreachable!() };
        for report in reports {
            let report = report.unwrap();
            assert_complete(&report);
            assert_eq!(report.jobs.limit, 2);
            assert!((1..=2).contains(&report.jobs.peak), "{:?}", report.jobs);
            assert!(report.jobs.reason.contains("bounded by the engine"), "{:?}", report.jobs);
        }
        // One that has ended may still be going to sleep when the next one is started.
        assert!((1..=4).contains(&most), "{most} threads");
        engine.quiesce().await;
    });
}

/// Threads of this process that are called so.
fn threads_named(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|comm| comm.trim() == name).count()
}

#[test]
fn the_reports_sums_add_up_and_agree_with_the_events() {
    if !is_root() {
        return skip("the awkward tree has entries that only root can read");
    }
    let sandbox = Sandbox::new();
    awkward::plant(&sandbox.path("src"));
    let (events, report) = current_thread().block_on(async {
        let engine = Engine::new().unwrap();
        let mut run = engine.start(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(3));
        let mut events = Vec::new();
        while let Some(event) = run.next().await {
            events.push(event);
        }
        (events, run.finish().await.unwrap())
    });
    assert_complete(&report);
    let totals = &report.totals;
    assert_eq!(totals.entries_found, totals.entries_done());
    assert_eq!(totals.entries_found, crate::support::tree::Tree::of(&sandbox.path("src")).0.len() as u64);
    let mut told: HashMap<Done, u64> = HashMap::new();
    let (mut bytes, mut paths) = (0, Vec::<PathBuf>::new());
    for event in events {
        let Event::Entry { path, done, bytes: of_entry, cost, .. } = event else { panic!("{event:?}") };
        assert_eq!(cost, None, "nobody asked what it costs");
        *told.entry(done).or_default() += 1;
        bytes += of_entry;
        paths.push(path);
    }
    let created =
        totals.files_copied + totals.directories_created + totals.symlinks_created + totals.specials_created;
    assert_eq!((told[&Done::Created], told[&Done::Linked]), (created, totals.hard_links_created));
    assert_eq!(bytes, totals.bytes_copied);
    assert_eq!(moved_bytes(&report), totals.bytes_copied);
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len() as u64, totals.entries_found, "each entry has its own path");
    assert!(paths.iter().all(|path| path.symlink_metadata().is_ok()));
}

#[test]
fn what_an_entry_takes_is_told_to_who_asks_for_it() {
    let sandbox = Sandbox::new();
    awkward::plant(&sandbox.path("src"));
    let (costs, report) = current_thread().block_on(async {
        let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(3).entry_costs(true);
        let mut run = Engine::new().unwrap().start(job);
        let mut costs = Vec::new();
        while let Some(event) = run.next().await {
            let Event::Entry { kind, cost, .. } = event else { panic!("{event:?}") };
            assert_eq!(cost.is_none(), kind == orbit::Kind::Directory, "{kind:?}");
            costs.extend(cost);
        }
        (costs, run.finish().await.unwrap())
    });
    assert_complete(&report);
    assert!(costs.iter().all(|cost| !cost.elapsed.is_zero() && cost.elapsed <= report.elapsed));
    for (method, moved) in report.methods() {
        let each = costs.iter().flat_map(|cost| &cost.methods).filter(|(used, _)| *used == method);
        assert_eq!(each.map(|(_, bytes)| bytes).sum::<u64>(), moved.bytes, "{method:?}");
    }
}

fn moved_bytes(report: &Report) -> u64 {
    report.methods().map(|(_, moved)| moved.bytes).sum()
}

#[test]
fn a_failure_is_told_with_its_operation_path_and_cause() {
    let sandbox = Sandbox::new().file("src/file", b"x").dir("dst/file");
    let report = sandbox.copy();
    let failure = &report.failures[0];
    assert_eq!((failure.op(), failure.path()), (orbit::Op::Replace, &*sandbox.path("dst/file")));
    assert_eq!(failure.to_string(), format!("cannot replace {}", sandbox.path("dst/file").display()));
    assert_eq!(report.failure_counts[&(orbit::Op::Replace, None)], 1);
    assert!(!report.is_complete());
}

#[test]
fn what_orbit_itself_refuses_is_told_by_kind_in_the_report_and_in_events() {
    let sandbox = Sandbox::new().file("src/file", b"x").dir("dst/file");
    let in_the_way = sandbox.copy();
    assert!(matches!(in_the_way.failures[0].refusal(), Some(orbit::Refusal::InTheWay(_))));
    let same = run(CopyJob::new(sandbox.path("src/file"), sandbox.path("src/file")));
    assert_eq!(same.failures[0].refusal(), Some(&orbit::Refusal::SameFile));
    let exists = run(CopyJob::new(sandbox.path("src/file"), sandbox.path("other")));
    assert!(exists.is_complete());
    let job = CopyJob::new(sandbox.path("src/file"), sandbox.path("other")).existing(orbit::Existing::Fail);
    let refused = current_thread().block_on(async {
        let events: Vec<_> = Engine::new().unwrap().start(job).collect().await;
        events.into_iter().find_map(|event| match event {
            Event::Failed(failure) => failure.refusal().cloned(),
            _ => None,
        })
    });
    assert_eq!(refused, Some(orbit::Refusal::Exists));
    let into_itself = run(CopyJob::new(sandbox.path("src"), sandbox.path("src/below")));
    assert!(matches!(into_itself.failures[0].refusal(), Some(orbit::Refusal::IntoItself(_))));
}
