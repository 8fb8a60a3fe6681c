//! Going on inside large files: killed, cancelled, cut off, tampered with.

use std::{
    fs::{self, FileTimes},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use orbit::{CopyJob, Limits, Method, Report, Verify, ZeroCopy};

use super::tree::{MIB, age, assert_no_temporaries, assert_same_tree, noise, sparse_file};
use crate::support::{Filesystem, Mount, Sandbox, assert_complete, has_program, is_root, run};

/// What is written down at once.
const STEP: u64 = 8 * MIB;
const SIZE: u64 = 5 * STEP + 4_321;

/// A large file, and small ones beside it.
fn sandbox_in(sandbox: Sandbox) -> Sandbox {
    let sandbox = sandbox.file("src/below/large", &noise(1, SIZE)).file("src/small", b"small");
    age(&sandbox.path("src/below/large"), 30);
    sandbox
}

fn started(sandbox: &Sandbox, options: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orbit"));
    command.args(["-qT", "--resume", "--reflink=never"]).args(options);
    command.args([sandbox.path("src"), sandbox.path("dst")]).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn journal_in(dir: &Path) -> Option<PathBuf> {
    let names = fs::read_dir(dir).ok()?.map(|entry| entry.unwrap().path());
    names.into_iter().find(|path| path.to_string_lossy().ends_with(".journal"))
}

fn temporary_in(dir: &Path) -> Option<PathBuf> {
    let names = fs::read_dir(dir).ok()?.map(|entry| entry.unwrap().path());
    names.into_iter().find(|path| path.to_string_lossy().ends_with(".tmp"))
}

/// Copy until `steps` are written down, and kill it there.
#[track_caller]
fn kill_after(steps: usize, sandbox: &Sandbox, options: &[&str]) {
    let mut child = started(sandbox, &[&["--bwlimit=25M"], options].concat());
    let patience = Instant::now() + Duration::from_secs(60);
    let written = || {
        let text = journal_in(&sandbox.path("dst")).and_then(|path| fs::read_to_string(path).ok());
        text.unwrap_or_default().matches("\nrange ").count()
    };
    while written() < steps {
        assert!(Instant::now() < patience && child.try_wait().unwrap().is_none(), "it did not come so far");
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn job(sandbox: &Sandbox) -> CopyJob {
    let data = orbit::DataOptions::default().reflink(orbit::Reflink::Never);
    CopyJob::new(sandbox.path("src"), sandbox.path("dst")).data(data).resume(true)
}

#[track_caller]
fn resumed(sandbox: &Sandbox) -> Report {
    let report = run(job(sandbox));
    assert_finished(sandbox, &report);
    report
}

#[track_caller]
fn assert_finished(sandbox: &Sandbox, report: &Report) {
    assert_complete(report);
    let totals = &report.totals;
    assert_eq!(totals.bytes_done(), totals.bytes_found, "{totals:?}");
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    assert_no_temporaries(&sandbox.path("dst"));
}

#[test]
fn a_killed_copy_goes_on_where_it_was() {
    for options in [&["-j1"][..], &["-j1", "--zero-copy"], &["-j3"], &["-j1", "--fsync=none"]] {
        let sandbox = sandbox_in(Sandbox::new());
        kill_after(2, &sandbox, options);
        assert!(!sandbox.path("dst/below/large").exists(), "nothing unfinished has its name");
        let report = resumed(&sandbox);
        // What the journal got after the test looked is more.
        assert!(report.totals.bytes_resumed >= 2 * STEP - 2 * MIB, "{options:?} {:?}", report.totals);
        assert!(report.totals.bytes_copied <= SIZE - report.totals.bytes_resumed + 5);
    }
}

#[test]
fn what_is_left_is_copied_by_the_kernel_where_it_can() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 600) else { return };
    let sandbox = sandbox_in(Sandbox::on(&mount));
    kill_after(1, &sandbox, &["-j1"]);
    let data = orbit::DataOptions::default().zero_copy(ZeroCopy::Force);
    let report = run(job(&sandbox).data(data));
    assert_finished(&sandbox, &report);
    let by_kernel: u64 = report
        .methods()
        .filter(|(method, _)| *method == Method::CopyFileRange)
        .map(|(_, moved)| moved.bytes)
        .sum();
    assert!(report.totals.bytes_resumed >= STEP && by_kernel >= SIZE - report.totals.bytes_resumed - 5);
}

#[test]
fn what_the_journal_says_is_checked() {
    let sandbox = sandbox_in(Sandbox::new());
    kill_after(3, &sandbox, &["-j1"]);
    let there = temporary_in(&sandbox.path("dst/below")).unwrap();
    let file = fs::File::options().write(true).open(&there).unwrap();
    file.write_all_at(b"not what was copied", STEP + 77).unwrap();
    drop(file);
    let report = resumed(&sandbox);
    assert!(report.totals.bytes_resumed >= 2 * STEP && report.totals.bytes_copied >= SIZE - 4 * STEP);
}

#[test]
fn what_is_cut_off_in_the_file_or_its_journal_is_copied_again() {
    for cuts_journal in [false, true] {
        let sandbox = sandbox_in(Sandbox::new());
        kill_after(3, &sandbox, &["-j1"]);
        let path = if cuts_journal {
            journal_in(&sandbox.path("dst"))
        } else {
            temporary_in(&sandbox.path("dst/below"))
        };
        let path = path.unwrap();
        let length = if cuts_journal { fs::metadata(&path).unwrap().len() - 9 } else { STEP + 5 };
        fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        let report = resumed(&sandbox);
        assert!(report.totals.bytes_resumed >= STEP);
    }
}

#[test]
fn a_source_that_is_another_by_now_is_copied_from_its_beginning() {
    let sandbox = sandbox_in(Sandbox::new());
    kill_after(2, &sandbox, &["-j1"]);
    // The same size and time, and other content: its change time makes that worth a look.
    let path = sandbox.path("src/below/large");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"other content", 0).unwrap();
    file.set_times(FileTimes::new().set_modified(modified)).unwrap();
    drop(file);
    assert!(resumed(&sandbox).totals.bytes_resumed >= STEP, "the second range is what it was");
}

#[test]
fn a_source_that_was_touched_but_not_changed_is_gone_on_with() {
    let sandbox = sandbox_in(Sandbox::new());
    kill_after(2, &sandbox, &["-j1"]);
    let path = sandbox.path("src/below/large");
    fs::hard_link(&path, sandbox.path("another name")).unwrap();
    assert!(resumed(&sandbox).totals.bytes_resumed >= 2 * STEP);
}

#[test]
fn a_source_that_is_gone_leaves_nothing() {
    let sandbox = sandbox_in(Sandbox::new());
    kill_after(1, &sandbox, &["-j1"]);
    fs::remove_file(sandbox.path("src/below/large")).unwrap();
    assert_eq!(resumed(&sandbox).totals.bytes_resumed, 0);
}

#[test]
fn the_old_file_stays_until_the_new_one_is_whole() {
    let sandbox = sandbox_in(Sandbox::new()).file("dst/below/large", b"old");
    kill_after(2, &sandbox, &["-j1"]);
    assert_eq!(sandbox.read("dst/below/large"), b"old");
    assert!(resumed(&sandbox).totals.bytes_resumed >= 2 * STEP);
}

#[test]
fn a_run_without_it_sweeps_what_is_left() {
    let sandbox = sandbox_in(Sandbox::new());
    kill_after(1, &sandbox, &["-j1"]);
    let report = run(job(&sandbox).resume(false));
    assert_finished(&sandbox, &report);
    assert_eq!(report.totals.bytes_resumed, 0);
}

#[test]
fn a_single_file_has_its_journal_beside_it() {
    let sandbox = sandbox_in(Sandbox::new()).dir("dst");
    let (from, to) = (sandbox.path("src/below/large"), sandbox.path("dst/copy"));
    let job = || {
        let data = orbit::DataOptions::default().reflink(orbit::Reflink::Never);
        CopyJob::new(&from, &to).data(data).resume(true).jobs(1)
    };
    let first = cancelled_after(job(), 10 * MIB);
    assert!(journal_in(&sandbox.path("dst")).is_some(), "{:?}", first.totals);
    let second = run(job());
    assert_complete(&second);
    assert!(second.totals.bytes_resumed >= STEP);
    assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap());
    assert_no_temporaries(&sandbox.path("dst"));
}

/// Run a job, and cancel it when that many bytes are in place.
fn cancelled_after(job: CopyJob, bytes: u64) -> Report {
    let rate = Limits::default().bandwidth((50 * MIB).try_into().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let run = orbit::Engine::new().unwrap().start(job.limits(rate));
        let mut progress = run.progress();
        progress.wait_for(|progress| progress.totals.bytes_copied >= bytes).await.unwrap();
        run.cancel();
        run.finish().await.unwrap()
    })
}

#[test]
fn a_cancelled_copy_goes_on_too() {
    let sandbox = sandbox_in(Sandbox::new());
    let first = cancelled_after(job(&sandbox).jobs(1), 2 * STEP + MIB);
    assert!(first.cancelled && !sandbox.path("dst/below/large").exists());
    assert!(resumed(&sandbox).totals.bytes_resumed >= 2 * STEP);
}

#[test]
fn what_is_in_place_already_needs_no_more_room() {
    for [from, to] in [["src", "dst"], ["src/below/large", "copy"]] {
        let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
        let sandbox = sandbox_in(Sandbox::new());
        let job = || CopyJob::new(sandbox.path(from), mount.path().join(to)).resume(true).jobs(1);
        cancelled_after(job(), STEP + MIB);
        let report = run(job().limits(Limits::default().preflight(true)));
        assert_complete(&report);
        assert!(report.totals.bytes_resumed > 0, "{:?}", report.totals);
    }
}

#[test]
fn deleting_before_leaves_what_is_gone_on_with() {
    let sandbox = sandbox_in(Sandbox::new());
    kill_after(2, &sandbox, &["-j1"]);
    fs::write(sandbox.path("dst/extra"), b"").unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_orbit"))
        .args(["-T", "--json", "--resume", "--reflink=never", "--delete=before"])
        .args([sandbox.path("src"), sandbox.path("dst")])
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert!(report["totals"]["bytes_resumed"].as_u64().unwrap() >= STEP, "{report:#}");
    assert_eq!(report["totals"]["deleted"], 1);
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn holes_stay_holes_and_are_checked_as_well() {
    for tampers in [false, true] {
        let sandbox = Sandbox::new().dir("src");
        let places: Vec<u64> = (0..11).map(|index| index * 8 * MIB).collect();
        sparse_file(&sandbox.path("src/sparse"), &places, 90 * MIB);
        for place in &places {
            let file = fs::File::options().write(true).open(sandbox.path("src/sparse")).unwrap();
            file.write_all_at(&noise(*place, 3 * MIB), *place).unwrap();
        }
        age(&sandbox.path("src/sparse"), 30);
        kill_after(3, &sandbox, &["-j1"]);
        if tampers {
            let there = temporary_in(&sandbox.path("dst")).unwrap();
            let file = fs::File::options().write(true).open(&there).unwrap();
            file.write_all_at(b"where there is a hole", 5 * MIB).unwrap();
        }
        let report = resumed(&sandbox);
        assert!(report.totals.bytes_resumed >= STEP);
        let blocks = |name: &str| fs::metadata(sandbox.path(name)).unwrap().blocks();
        // At most the holes of one range are filled.
        let filled = if tampers { 12 * 1024 } else { 64 };
        assert!(blocks("dst/sparse") <= blocks("src/sparse") + filled, "{tampers}");
    }
}

#[test]
fn what_others_may_have_written_is_not_gone_on_with() {
    if !is_root() {
        return;
    }
    type Tamper = fn(&Path, &Path);
    let tamper: [(&str, Tamper); 5] = [
        ("the journal's owner", |journal, _| chown(journal, Some(1234), None).unwrap()),
        ("the journal's mode", |journal, _| {
            fs::set_permissions(journal, fs::Permissions::from_mode(0o622)).unwrap();
        }),
        ("the file's owner", |_, file| chown(file, Some(1234), None).unwrap()),
        ("a second name", |_, file| fs::hard_link(file, file.with_file_name("second")).unwrap()),
        ("a link", |_, file| {
            let elsewhere = file.with_file_name("elsewhere");
            fs::rename(file, &elsewhere).unwrap();
            std::os::unix::fs::symlink(elsewhere, file).unwrap();
        }),
    ];
    for (what, tamper) in tamper {
        let sandbox = sandbox_in(Sandbox::new());
        kill_after(1, &sandbox, &["-j1"]);
        let (journal, file) = (journal_in(&sandbox.path("dst")), temporary_in(&sandbox.path("dst/below")));
        tamper(&journal.unwrap(), &file.unwrap());
        let report = run(job(&sandbox));
        assert_complete(&report);
        assert_eq!(report.totals.bytes_resumed, 0, "{what}");
        assert!(sandbox.read("src/below/large") == sandbox.read("dst/below/large"), "{what}");
        assert_no_temporaries(&sandbox.path("dst"));
    }
}

#[test]
fn a_resumed_file_is_verified_as_every_other() {
    let sandbox = sandbox_in(Sandbox::new());
    kill_after(2, &sandbox, &["-j1"]);
    let report = run(job(&sandbox).verify(Verify::Sha256));
    assert_finished(&sandbox, &report);
    assert!(report.totals.bytes_resumed >= 2 * STEP);
    assert_eq!((report.totals.mismatches, report.totals.bytes_verified >= SIZE), (0, true));
}

#[test]
fn killed_again_and_again_it_comes_to_its_end() {
    let sandbox = sandbox_in(Sandbox::new()).file("src/second", &noise(7, 3 * STEP));
    let mut kills = 0;
    for round in 0..40 {
        let mut child = started(&sandbox, &["-j2", "--bwlimit=100M"]);
        thread::sleep(Duration::from_millis(60 + 53 * (round * 7 % 10)));
        if child.try_wait().unwrap().is_some_and(|status| status.success()) {
            break;
        }
        let _ = child.kill();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 0);
    resumed(&sandbox);
}

#[test]
fn whenever_the_power_goes_the_next_run_goes_on_and_makes_it_right() {
    if !has_program("xfs_io") {
        return;
    }
    for mount in [Filesystem::Ext4, Filesystem::Xfs].into_iter().map_while(|kind| Mount::new(kind, 500)) {
        let source = sandbox_in(Sandbox::new());
        let to = mount.path().join("dst");
        for round in 0..4 {
            let _ = fs::remove_dir_all(&to);
            nix::unistd::sync();
            let mut command = Command::new(env!("CARGO_BIN_EXE_orbit"));
            command.args(["-qT", "--resume", "--bwlimit=60M", "-j2"]).args([source.path("src"), to.clone()]);
            let mut child = command.stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(Duration::from_millis(150 + 200 * round));
            if round % 2 == 0 {
                nix::unistd::sync();
            }
            mount.shut(round % 2 == 1);
            let _ = child.kill();
            child.wait().unwrap();
            mount.mount_again();
            let report = run(CopyJob::new(source.path("src"), &to).resume(true));
            assert_complete(&report);
            assert_same_tree(&source.path("src"), &to);
            assert_no_temporaries(&to);
        }
    }
}

#[test]
fn a_link_put_in_place_of_what_is_gone_on_with_is_not_written_through() {
    const EXCHANGES: usize = 10_000;
    let secret = vec![b's'; 1_000];
    let sandbox = sandbox_in(Sandbox::new()).file("outside", &secret).dir("dst/below");
    std::os::unix::fs::symlink("../../outside", sandbox.path("dst/below/trap")).unwrap();
    let below = sandbox.path("dst/below");
    let (ended, exchanges) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let dir = fs::File::open(&below).unwrap();
            let mut name = None;
            while !ended.load(Ordering::Relaxed) {
                let Some(there) = name.clone().or_else(|| temporary_in(&below)) else { continue };
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                let file_name = there.file_name().unwrap();
                match rustix::fs::renameat_with(&dir, file_name, &dir, "trap", exchange) {
                    Ok(()) => {
                        exchanges.fetch_add(1, Ordering::Relaxed);
                        name = Some(there);
                    }
                    Err(_) => name = None,
                }
            }
        });
        let patience = Instant::now() + Duration::from_secs(100);
        while exchanges.load(Ordering::Relaxed) < EXCHANGES {
            assert!(Instant::now() < patience, "names are exchanged too slowly");
            let mut child = started(&sandbox, &["-j2", "--bwlimit=40M"]);
            thread::sleep(Duration::from_millis(300));
            let _ = child.kill();
            child.wait().unwrap();
            assert!(sandbox.read("outside") == secret);
        }
        ended.store(true, Ordering::Relaxed);
    });
    let _ = fs::remove_file(sandbox.path("dst/below/trap"));
    assert_complete(&run(job(&sandbox)));
    assert!(sandbox.read("outside") == secret);
    assert!(sandbox.read("src/below/large") == sandbox.read("dst/below/large"));
}
