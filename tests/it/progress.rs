//! How far a run says it has come, and of how much.

use std::{
    fs,
    num::NonZeroU64,
    os::unix::fs::MetadataExt,
    time::{Duration, SystemTime},
};

use orbit::{CopyJob, Counted, DataOptions, Engine, Limits, Progress, Reflink, Report, Rule, Run, Selection};
use tokio::runtime::Builder;

use crate::support::{Sandbox, assert_complete, tree::assert_same};

/// Nothing that is waited for takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn job(sandbox: &Sandbox) -> CopyJob {
    CopyJob::new(sandbox.path("src"), sandbox.path("dst"))
}

/// Directories with files, links of two kinds, and ignore files.
fn tree() -> Sandbox {
    let mut sandbox = Sandbox::new();
    for number in 0..400 {
        sandbox = sandbox.file(format!("src/{}/{}/f{number}", number % 20, number % 3), &[7; 3000]);
    }
    sandbox = sandbox.file("src/names/0", &[9; 4000]);
    for number in 1..20 {
        sandbox = sandbox.symlink("f1", format!("src/{number}/link"));
        fs::hard_link(sandbox.path("src/names/0"), sandbox.path(format!("src/names/{number}"))).unwrap();
    }
    sandbox.file("src/1/.gitignore", b"*\n").file("src/large", &[1; 100_000])
}

async fn wait(run: &Run, until: impl FnMut(&Progress) -> bool) -> Progress {
    let mut progress = run.progress();
    let seen = tokio::time::timeout(PATIENCE, progress.wait_for(until)).await.expect("it hangs");
    seen.unwrap().clone()
}

/// A run that gets no further than its first file until it is counted what there is to be done; what was counted
/// in the end.
fn counted(job: CopyJob) -> (Counted, Report) {
    on_a_runtime(async {
        let data = DataOptions::default().reflink(Reflink::Never);
        let job = job.data(data).limits(Limits::default().bandwidth(NonZeroU64::MIN));
        let run = Engine::builder().jobs(1).build().unwrap().start(job.count_ahead(true));
        let whole = |progress: &Progress| progress.counted.is_some_and(|counted| counted.is_whole);
        let early = wait(&run, whole).await;
        assert!(early.totals.entries_done() <= 3, "{:?}", early.totals);
        run.limits().set_bandwidth(None);
        let progress = run.progress();
        let report = run.finish().await.unwrap();
        assert_complete(&report);
        let progress = progress.borrow();
        assert_eq!(progress.counted.unwrap().entries, early.counted.unwrap().entries);
        (progress.counted.unwrap(), report)
    })
}

#[test]
fn what_there_is_to_be_done_is_counted_while_the_copying_goes_on() {
    let selections: [fn() -> Selection; 4] = [
        Selection::default,
        || Selection::default().rules([Rule::Exclude("large".into()), Rule::Exclude("/3/".into())]).unwrap(),
        || Selection::default().gitignore(true),
        || Selection::default().sizes(0..=50_000),
    ];
    for selection in selections {
        let sandbox = tree();
        for round in 0..2 {
            // Files come before directories.
            fs::write(sandbox.path(format!("src/new-{round}")), [2; 5000]).unwrap();
            let (counted, report) = counted(job(&sandbox).select(selection()));
            let totals = &report.totals;
            assert_eq!(counted.entries, totals.entries_found, "{round}");
            assert_eq!(counted.bytes, totals.bytes_found, "{round}: {totals:?}");
            assert!(if round == 0 { totals.bytes_found > 500_000 } else { totals.bytes_found == 5000 });
        }
    }
}

#[test]
fn counting_looks_at_nothing_of_the_copy_and_changes_nothing() {
    let sandbox = tree();
    let before = fs::metadata(sandbox.path("src/large")).unwrap();
    let (counted, _) = counted(job(&sandbox));
    assert!(counted.is_whole);
    let after = fs::metadata(sandbox.path("src/large")).unwrap();
    assert_eq!((before.ctime(), before.mtime()), (after.ctime(), after.mtime()));
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn what_a_preflight_counted_is_the_whole_from_the_first_entry_on() {
    let sandbox = tree();
    on_a_runtime(async {
        let limits = Limits::default().preflight(true).bandwidth(NonZeroU64::MIN);
        let job = job(&sandbox).limits(limits).data(DataOptions::default().reflink(Reflink::Never));
        let run = Engine::builder().jobs(1).build().unwrap().start(job);
        let early = wait(&run, |progress| progress.totals.entries_found > 0).await;
        let counted = early.counted.unwrap();
        run.limits().set_bandwidth(None);
        let totals = run.finish().await.unwrap().totals;
        assert!(counted.is_whole);
        assert_eq!((counted.entries, counted.bytes), (totals.entries_found, totals.bytes_found));
    });
}

#[test]
fn a_run_that_ends_first_does_not_wait_for_its_count() {
    let sandbox = Sandbox::new().file("src/a", b"a");
    on_a_runtime(async {
        for _ in 0..50 {
            let engine = Engine::new().unwrap();
            assert_complete(&engine.start(job(&sandbox).count_ahead(true)).finish().await.unwrap());
            engine.quiesce().await;
        }
    });
}

#[test]
fn all_is_found_when_it_says_so_and_it_never_takes_that_back() {
    let sandbox = (0..600).fold(Sandbox::new(), |sandbox, number| {
        sandbox.file(format!("src/{}/{}/{number}/file", number % 7, number % 50), b"content")
    });
    for round in 0..5 {
        on_a_runtime(async {
            let job = CopyJob::new(sandbox.path("src"), sandbox.path(format!("dst-{round}"))).jobs(4);
            let run = Engine::new().unwrap().start(job);
            let mut progress = run.progress();
            let mut found = None;
            while progress.changed().await.is_ok() {
                let now = progress.borrow_and_update().clone();
                let all = now.walked.then_some(now.totals.entries_found);
                assert!(found.is_none() || all == found, "{found:?}, then {all:?}");
                found = all;
            }
            assert_eq!(found, Some(run.finish().await.unwrap().totals.entries_found));
        });
    }
}

#[test]
fn a_run_that_was_cancelled_does_not_say_that_all_is_found() {
    let sandbox = tree();
    on_a_runtime(async {
        let limits = Limits::default().operations(NonZeroU64::MIN);
        let run = Engine::builder().jobs(1).build().unwrap().start(job(&sandbox).limits(limits));
        wait(&run, |progress| progress.totals.entries_found > 1).await;
        run.cancel();
        let progress = run.progress();
        run.finish().await.unwrap();
        assert!(!progress.borrow().walked);
    });
}

#[test]
fn the_path_that_is_copied_moves_on_as_files_do() {
    let mut sandbox = Sandbox::new();
    for number in 0..4_000 {
        sandbox = sandbox.file(format!("src/{}/{number}", number % 40), &[7; 100]);
    }
    for number in 0..40 {
        // A link counts otherwise than a file does.
        sandbox = sandbox.symlink("nowhere", format!("src/{number}/link"));
    }
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::open(sandbox.path("src")).unwrap().set_modified(old).unwrap();
    on_a_runtime(async {
        let run = Engine::new().unwrap().start(job(&sandbox).jobs(1));
        let mut progress = run.progress();
        let (mut files, mut path, mut moves) = (0, None, 0);
        while progress.changed().await.is_ok() {
            let now = progress.borrow_and_update().clone();
            // It is looked at the clock after 16 entries, and said then which one comes next.
            if now.totals.files_copied > files + 40 {
                assert_ne!(now.current, path, "after {} files", now.totals.files_copied);
                (files, path, moves) = (now.totals.files_copied, now.current, moves + 1);
            }
        }
        assert!(moves > 1, "{moves}");
    });
}
