//! The stream of events: every one for whoever reads from the start, and no burden for others.

use std::{collections::BTreeMap, fs, time::Duration};

use futures::StreamExt;
use nix::sys::stat::Mode;
use orbit::{Attributes, CopyJob, DataOptions, Done, Engine, Event, Preserve, Report, Run, Sparse};

use super::tree::noise;
use crate::support::{Filesystem, Mount, Sandbox};

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A tree of several thousand entries of several kinds.
fn tree() -> Sandbox {
    let mut sandbox = Sandbox::new();
    for number in 0..3_000 {
        sandbox = sandbox.file(format!("src/{}/{number}", number % 30), &noise(number, number % 50));
    }
    for number in 0..500 {
        sandbox = sandbox.symlink("nowhere", format!("src/0/link-{number}"));
        fs::hard_link(sandbox.path("src/1/1"), sandbox.path(format!("src/2/hard-{number}"))).unwrap();
    }
    sandbox
}

/// What the events of entries say, by what was done.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    done: BTreeMap<String, u64>,
    bytes: u64,
    failed: u64,
    missed: u64,
}

impl Told {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Entry { done, bytes, .. } => {
                *self.done.entry(format!("{done:?}")).or_default() += 1;
                self.bytes += bytes;
            }
            Event::Failed(_) => self.failed += 1,
            Event::Missed { entries } => self.missed += entries,
            _ => {}
        }
    }

    fn of(&self, done: Done) -> u64 {
        self.done.get(&format!("{done:?}")).copied().unwrap_or(0)
    }

    #[track_caller]
    fn assert_agrees_with(&self, report: &Report) {
        let totals = &report.totals;
        let created = totals.files_copied + totals.directories_created + totals.symlinks_created;
        assert_eq!(self.of(Done::Created), created + totals.specials_created);
        assert_eq!(self.of(Done::Linked), totals.hard_links_created);
        assert_eq!(self.of(Done::Unchanged), totals.unchanged);
        assert_eq!(self.of(Done::Merged), totals.directories_merged);
        assert_eq!(self.of(Done::Skipped), totals.skipped);
        assert_eq!(self.failed, totals.failed);
        assert_eq!(self.bytes, totals.bytes_copied);
        assert_eq!(self.missed, 0);
        assert_eq!(totals.entries_found, totals.entries_done());
    }
}

#[test]
fn whoever_reads_from_the_start_misses_nothing() {
    let sandbox = tree();
    for round in 0..2 {
        on_a_runtime(async {
            let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(4);
            let mut run = Engine::new().unwrap().start(job);
            let mut told = Told::default();
            while let Some(event) = run.next().await {
                told.hear(&event);
            }
            let report = run.finish().await.unwrap();
            assert!(report.is_complete(), "{:?}", report.failures);
            told.assert_agrees_with(&report);
            let (created, unchanged) = (told.of(Done::Created), told.of(Done::Unchanged));
            assert!(if round == 0 { created > 3_500 } else { unchanged > 3_900 }, "{told:?}");
        });
    }
}

#[test]
fn a_run_that_nobody_reads_ends_by_itself() {
    let sandbox = tree();
    on_a_runtime(async {
        let run = Engine::new().unwrap().start(CopyJob::new(sandbox.path("src"), sandbox.path("dst")));
        let mut progress = run.progress();
        let all = progress.wait_for(|progress| progress.walked && progress.workers == 0);
        tokio::time::timeout(Duration::from_secs(60), all).await.expect("it waits for a reader").unwrap();
        let report = run.finish().await.unwrap();
        assert!(report.is_complete());
        assert_eq!(report.totals.files_copied, 3_000);
    });
}

#[test]
fn a_reader_who_comes_late_is_told_how_much_was_missed() {
    let sandbox = tree();
    on_a_runtime(async {
        let mut run = Engine::new().unwrap().start(CopyJob::new(sandbox.path("src"), sandbox.path("dst")));
        let mut progress = run.progress();
        progress.wait_for(|progress| progress.walked && progress.workers == 0).await.unwrap();
        let mut told = Told::default();
        while let Some(event) = run.next().await {
            told.hear(&event);
        }
        let done = run.finish().await.unwrap().totals.entries_done();
        assert_eq!(told.missed + told.done.values().sum::<u64>(), done, "{told:?}");
        assert!(told.missed > 0);
    });
}

/// More entries than all channels together hold.
const CROWD: u64 = 80_000;

/// A tree of [`CROWD`] entries.
fn crowd(mount: &Mount) -> Sandbox {
    let sandbox = Sandbox::on(mount).dir("src/0").dir("src/1").dir("src/2").dir("src/3");
    for number in 0..CROWD {
        let fifo = sandbox.path(format!("src/{}/{number}", number % 4));
        nix::unistd::mkfifo(&fifo, Mode::from_bits_truncate(0o600)).unwrap();
    }
    sandbox
}

/// Leave FIFOs out, which is as fast as an entry can be.
fn leaving_out(sandbox: &Sandbox) -> CopyJob {
    let preserve = Preserve::default().without(Attributes::SPECIAL);
    CopyJob::new(sandbox.path("src"), sandbox.path("dst")).preserve(preserve)
}

/// Read one event, and wait until everything between the run and its reader is full.
async fn read_one(run: &mut Run, told: &mut Told) {
    told.hear(&run.next().await.unwrap());
    let mut progress = run.progress();
    // Long enough for a worker that tells every 20 ms to fill what the supervisor does not empty.
    while tokio::time::timeout(Duration::from_secs(2), progress.changed()).await.is_ok() {}
    let done = progress.borrow().totals.entries_done();
    assert!(done < CROWD, "nothing held it back");
}

async fn read_on(run: &mut Run, told: &mut Told) {
    while let Some(event) = run.next().await {
        told.hear(&event);
    }
}

#[test]
fn a_slow_reader_slows_the_run_and_loses_nothing() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 200) else { return };
    let sandbox = crowd(&mount);
    on_a_runtime(async {
        let mut run = Engine::new().unwrap().start(leaving_out(&sandbox));
        let mut told = Told::default();
        read_one(&mut run, &mut told).await;
        read_on(&mut run, &mut told).await;
        let report = run.finish().await.unwrap();
        assert_eq!(report.totals.skipped, CROWD);
        told.assert_agrees_with(&report);
    });
}

#[test]
fn a_run_that_is_not_read_on_makes_room_for_others_and_loses_nothing() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 200) else { return };
    let (sandbox, other) = (crowd(&mount), Sandbox::new().file("src", b"content"));
    for jobs in [1, 2] {
        on_a_runtime(async {
            let engine = Engine::builder().jobs(jobs).build().unwrap();
            let mut unread = engine.start(leaving_out(&sandbox));
            let mut told = Told::default();
            read_one(&mut unread, &mut told).await;
            let job = CopyJob::new(other.path("src"), other.path(format!("dst-{jobs}")));
            let finished = tokio::time::timeout(Duration::from_secs(60), engine.start(job).finish()).await;
            assert!(finished.expect("it waits for another run's reader").unwrap().is_complete());
            read_on(&mut unread, &mut told).await;
            let report = unread.finish().await.unwrap();
            assert_eq!(report.totals.skipped, CROWD);
            told.assert_agrees_with(&report);
        });
        assert_eq!(other.read(format!("dst-{jobs}")), b"content");
    }
}

#[test]
fn a_run_that_is_not_read_on_is_cancelled_at_once_and_loses_nothing() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 200) else { return };
    let sandbox = crowd(&mount);
    fs::File::create(sandbox.path("src/hollow")).unwrap().set_len(1 << 40).unwrap();
    on_a_runtime(async {
        // One worker reads the hollow file while the other comes to an end of what may be told.
        let data = DataOptions::default().sparse(Sparse::Always);
        let preserve = Preserve::default().without(Attributes::SPECIAL | Attributes::SPARSE);
        let job = leaving_out(&sandbox).preserve(preserve).data(data).jobs(2);
        let mut run = Engine::new().unwrap().start(job);
        let mut told = Told::default();
        read_one(&mut run, &mut told).await;
        assert!(sandbox.path("dst/hollow").exists(), "it is not begun");
        run.cancel();
        let gone = async {
            while sandbox.path("dst/hollow").exists() {
                tokio::time::sleep(Duration::from_millis(10)).await; // nobody is told, nothing is read
            }
        };
        tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it waits for its reader");
        read_on(&mut run, &mut told).await;
        let report = run.finish().await.unwrap();
        assert!(report.cancelled && report.failures.is_empty());
        assert_eq!((told.of(Done::Skipped), told.missed), (report.totals.skipped, 0));
    });
}

#[test]
fn every_failure_is_an_event_and_the_report_keeps_the_first_thousand() {
    const FAILURES: u64 = 1_200;
    let mut sandbox = Sandbox::new();
    for number in 0..FAILURES {
        sandbox = sandbox.file(format!("src/{number}"), b"file").dir(format!("dst/{number}"));
    }
    let sandbox = sandbox.file("src/fine", b"fine");
    on_a_runtime(async {
        let mut run = Engine::new().unwrap().start(CopyJob::new(sandbox.path("src"), sandbox.path("dst")));
        let mut told = Told::default();
        while let Some(event) = run.next().await {
            told.hear(&event);
        }
        let report = run.finish().await.unwrap();
        told.assert_agrees_with(&report);
        assert_eq!(report.totals.failed, FAILURES);
        assert_eq!(report.failures.len(), Report::FAILURES_KEPT);
        assert_eq!(report.failure_counts.values().sum::<u64>(), FAILURES);
    });
    assert_eq!(sandbox.read("dst/fine"), b"fine");
}
