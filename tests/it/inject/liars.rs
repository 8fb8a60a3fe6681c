//! A source that gives less or more than it says, fails midway, or hangs; one that goes away; a destination
//! that becomes read-only meanwhile.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use fuser::FileType;
use orbit::{Backend, CopyJob, DataOptions, Engine, FollowLinks, Limits, Report, Selection};

use super::tree::{MIB, assert_no_temporaries, assert_same_tree, noise};
use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete, causes, is_root,
    liar::{Liar, Lie, LyingFile},
    must, run, skip,
};

const HANG: Duration = Duration::from_secs(5);

fn files() -> Vec<LyingFile> {
    let file = |name, seed, size, lie| LyingFile { name, content: noise(seed, size), lie };
    vec![
        file("honest", 1, 100_000, Lie::None),
        file("short", 2, 100_000, Lie::ShortReads(1_000)),
        file("short-large", 3, 9 * MIB, Lie::ShortReads(50_000)),
        file("more", 4, 100_000, Lie::SaysMore(5_000)),
        file("more-large", 5, 9 * MIB, Lie::SaysMore(MIB)),
        file("less", 6, 100_000, Lie::SaysLess(5_000)),
        file("fails", 7, 100_000, Lie::FailsFrom(50_000)),
        file("fails-large", 8, 9 * MIB, Lie::FailsFrom(5 * MIB)),
        file("hangs", 9, 50_000, Lie::Hangs(HANG)),
        file("last", 10, 10, Lie::None),
    ]
}

fn mounted(sandbox: &Sandbox, files: Vec<LyingFile>) -> Option<Liar> {
    if !is_root() || !Path::new("/dev/fuse").exists() {
        skip("mounting a FUSE filesystem needs root and /dev/fuse");
        return None;
    }
    Some(Liar::mount(files, &sandbox.path("src")).expect("root may mount it"))
}

fn content(name: &str) -> Vec<u8> {
    files().into_iter().find(|file| file.name == name).unwrap().content
}

#[test]
fn what_a_filesystem_lies_about_is_right_or_a_failure_and_never_trusted() {
    let sandbox = Sandbox::new().dir("src");
    let Some(liar) = mounted(&sandbox, files()) else { return };
    for jobs in [1, 4] {
        let _ = fs::remove_dir_all(sandbox.path("dst"));
        let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(jobs));
        let mut failed: Vec<_> =
            report.failures.iter().map(|failure| failure.path().file_name().unwrap().to_owned()).collect();
        failed.sort();
        assert_eq!(failed, ["fails", "fails-large", "more", "more-large"], "{:?}", causes(&report));
        for name in ["honest", "short", "short-large", "hangs", "last"] {
            let (copy, there) = (sandbox.read(Path::new("dst").join(name)), content(name));
            let from = copy.iter().zip(&there).position(|(a, b)| a != b);
            let sizes = [copy.len(), there.len()];
            assert!(copy == there, "{name}: {sizes:?} bytes, other from {from:?} on");
        }
        // As many bytes as it said to have; these were there.
        assert!(sandbox.read("dst/less") == content("less")[..95_000]);
        for name in ["fails", "fails-large"] {
            assert!(!sandbox.path("dst").join(name).exists(), "{name}");
        }
        for name in ["more", "more-large"] {
            let [is, says] = ["dst", "src"].map(|tree| fs::metadata(sandbox.path(tree).join(name)).unwrap());
            assert!(is.modified().unwrap() != says.modified().unwrap(), "{name} would be trusted");
        }
        assert_no_temporaries(&sandbox.path("dst"));
    }
    liar.behave();
    assert_complete(&run(CopyJob::new(sandbox.path("src"), sandbox.path("dst"))));
    for file in files() {
        assert!(sandbox.read(Path::new("dst").join(file.name)) == file.content, "{}", file.name);
    }
}

/// Says that it is over, however the test ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asking makes the kernel take a short read of a page for a page with zeros at its end.
#[test]
fn short_reads_are_whole_copies_whoever_asks_for_the_size_meanwhile() {
    let sandbox = Sandbox::new().dir("src").dir("links");
    let short = LyingFile { name: "short", content: noise(3, 9 * MIB), lie: Lie::ShortReads(50_000) };
    let content = short.content.clone();
    let Some(_liar) = mounted(&sandbox, vec![short]) else { return };
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _ends = Ends(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let _ = fs::metadata(sandbox.path("src/short"));
            }
        });
        // By its directory, and by a link from a directory of another filesystem.
        symlink(sandbox.path("src/short"), sandbox.path("links/short")).unwrap();
        for (source, backend) in [
            ("src", Backend::Uring),
            ("src", Backend::Blocking),
            ("links", Backend::Uring),
            ("links", Backend::Blocking),
        ] {
            let _ = fs::remove_dir_all(sandbox.path("dst"));
            let selection = Selection::default().follow(FollowLinks::Always);
            let job = CopyJob::new(sandbox.path(source), sandbox.path("dst")).select(selection);
            let report = run(job.data(DataOptions::default().backend(backend)));
            assert_complete(&report);
            let moved = report.methods().collect::<Vec<_>>();
            assert!(sandbox.read("dst/short") == content, "{source} {backend:?}: {moved:?}");
        }
    });
}

#[test]
fn what_a_directory_calls_its_entries_is_not_believed() {
    let sandbox = Sandbox::new().dir("src");
    let file = |name, lie| LyingFile { name, content: noise(1, 1_000), lie };
    let files = vec![
        file("file-as-directory", Lie::ListedAs(FileType::Directory)),
        file("file-as-link", Lie::ListedAs(FileType::Symlink)),
        file("file-as-fifo", Lie::ListedAs(FileType::NamedPipe)),
        file("directory-as-file", Lie::DirectoryListedAs(FileType::RegularFile)),
        file("directory-as-link", Lie::DirectoryListedAs(FileType::Symlink)),
        file("directory-as-device", Lie::DirectoryListedAs(FileType::CharDevice)),
    ];
    let Some(_liar) = mounted(&sandbox, files) else { return };
    // Into nothing, and into what is there.
    for _ in 0..2 {
        let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")));
        assert_complete(&report);
        for entry in fs::read_dir(sandbox.path("dst")).unwrap().map(Result::unwrap) {
            let (name, kind) = (entry.file_name().into_string().unwrap(), entry.file_type().unwrap());
            assert_eq!(kind.is_dir(), name.starts_with("directory"), "{name}");
            assert_eq!(kind.is_file(), name.starts_with("file"), "{name}");
            assert!(kind.is_dir() || fs::read(entry.path()).unwrap() == noise(1, 1_000), "{name}");
        }
        assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), 6);
        fs::remove_file(sandbox.path("dst/file-as-link")).unwrap();
        fs::remove_dir(sandbox.path("dst/directory-as-device")).unwrap();
    }
}

#[test]
fn a_read_that_hangs_holds_up_one_worker_and_a_cancelled_run_ends_with_it() {
    let sandbox = Sandbox::new().dir("src");
    let mut files = files();
    // Longer than anybody waits.
    files.iter_mut().filter(|file| file.name == "hangs").for_each(|file| file.lie = Lie::Hangs(HANG * 100));
    let Some(liar) = mounted(&sandbox, files) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let report: Report = runtime.block_on(async {
        let run =
            Engine::new().unwrap().start(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(3));
        // All others go on meanwhile.
        let copied =
            |name: &str| fs::read(sandbox.path("dst").join(name)).is_ok_and(|copy| copy == content(name));
        let others_are_done = || ["honest", "short", "short-large"].into_iter().all(copied);
        let patience = Instant::now() + Duration::from_secs(60);
        while liar.hanging() == 0 || !others_are_done() {
            assert!(Instant::now() < patience, "the others waited for it");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        run.cancel();
        liar.behave();
        run.finish().await.unwrap()
    });
    assert!(report.cancelled && liar.hanging() == 0, "it ends with the call, and no call is left behind");
    // Its one read came to an end, and with it the file.
    assert!(fs::read(sandbox.path("dst/hangs")).map_or(true, |copy| copy == content("hangs")));
    assert_no_temporaries(&sandbox.path("dst"));
}

/// Many files, as a source or in the way of a full stop.
fn many(sandbox: Sandbox) -> Sandbox {
    (0..3_000).fold(sandbox, |sandbox, index| {
        sandbox.file(format!("src/{}/file-{index}", index / 100), &noise(index, 200 + index))
    })
}

#[test]
fn a_source_that_goes_away_fails_what_is_missing_and_loses_nothing() {
    let sandbox = many(Sandbox::new());
    let (from, aside) = (sandbox.path("src"), sandbox.path("aside"));
    let away = (from.clone(), sandbox.path("dst"));
    let going = thread::spawn(move || {
        while fs::read_dir(&away.1).map_or(0, Iterator::count) < 5 {
            thread::yield_now();
        }
        for index in 10..30 {
            let _ = fs::remove_dir_all(away.0.join(index.to_string()));
        }
        fs::rename(&away.0, &aside).unwrap();
    });
    let slowly = Limits::default().operations(3_000.try_into().unwrap());
    let report = run(CopyJob::new(&from, sandbox.path("dst")).jobs(2).limits(slowly));
    going.join().unwrap();
    // Whatever was copied is what it was; the rest are failures.
    assert!(report.totals.failed > 0, "it ended before");
    assert!(report.failures.iter().all(|failure| !failure.path().exists()));
    for index in 0..3_000_u64 {
        let copy = sandbox.path("dst").join(format!("{}/file-{index}", index / 100));
        if copy.exists() {
            assert!(fs::read(copy).unwrap() == noise(index, 200 + index));
        }
    }
    assert_no_temporaries(&sandbox.path("dst"));
}

#[test]
fn a_destination_that_becomes_read_only_stops_the_run_and_the_next_one_mends_it() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 100) else { return };
    let source = many(Sandbox::new());
    let to = mount.path().join("dst");
    // The kernel does that by itself when it finds the filesystem damaged (ext4(5)).
    let at = mount.path().to_str().unwrap();
    must("mount", &["-o", "remount,errors=remount-ro", at]);
    let device = must("findmnt", &["-n", "-o", "SOURCE", at]);
    let device = Path::new(&device).file_name().unwrap();
    let trigger = Path::new("/sys/fs/ext4").join(device).join("trigger_fs_error");
    let mut command = Command::new(env!("CARGO_BIN_EXE_orbit"));
    command
        .args(["-T", "--iops-limit=1500"])
        .args([source.path("src"), to.clone()])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while fs::read_dir(&to).map_or(0, Iterator::count) < 3 && Instant::now() < patience {
        thread::yield_now();
    }
    fs::write(trigger, "damaged on purpose").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let failures = String::from_utf8_lossy(&output.stderr);
    assert!(failures.contains("orbit: stopped: the destination is read-only; "), "{failures}");
    // What several workers had begun, and no more.
    assert!(failures.matches(": cannot ").count() < 100, "it went on: {failures}");
    mount.mount_again();
    assert_complete(&run(CopyJob::new(source.path("src"), &to)));
    assert_same_tree(&source.path("src"), &to);
    assert_no_temporaries(&to);
}
