//! Power cuts: what a mounted filesystem has left when it is cut off, and what the next run makes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, FileTimes},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use orbit::{CopyJob, DataOptions, Delete, Fsync, Mirror, Reflink, Sparse};

use super::{
    traced::{Traced, can_trace},
    tree::{KIB, MIB, age, assert_no_temporaries, assert_same_tree, noise, sparse_file},
};
use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete, has_program, run, skip, tree::assert_same,
};

/// Filesystems that can be cut off.
fn mounts(mebibytes: u64) -> impl Iterator<Item = Mount> {
    if !has_program("xfs_io") {
        skip("xfs_io is not installed");
    }
    let kinds = if has_program("xfs_io") { &[Filesystem::Ext4, Filesystem::Xfs][..] } else { &[] };
    kinds.iter().map_while(move |kind| Mount::new(*kind, mebibytes))
}

/// Files of all sizes, some with holes, off the filesystem that is cut off.
fn source() -> Sandbox {
    let mut sandbox = Sandbox::new().dir("src");
    for index in 0..120 {
        let size = [1, 3_000, 30_000, 200_000][index as usize % 4];
        sandbox = sandbox.file(format!("src/{}/small-{index}", index % 5), &noise(index, size));
    }
    for (index, size) in [MIB, 3 * MIB, 9 * MIB, 20 * MIB].into_iter().enumerate() {
        sandbox = sandbox.file(format!("src/large-{index}"), &noise(500 + index as u64, size));
    }
    for index in 0..4 {
        sparse_file(&sandbox.path(format!("src/sparse-{index}")), &[0, 300 * KIB], 900 * KIB);
    }
    for path in files_of(&sandbox.path("src")).into_keys() {
        age(&sandbox.path("src").join(path), 30);
    }
    sandbox
}

fn files_of(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                dirs.push(entry.path());
            } else if entry.file_type().unwrap().is_file() {
                let path = entry.path().strip_prefix(root).unwrap().to_owned();
                files.insert(path, fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

/// Where two trees differ: the name, and from which byte on.
fn differing(there: &BTreeMap<PathBuf, Vec<u8>>, new: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<String> {
    let names: BTreeSet<_> = there.keys().chain(new.keys()).collect();
    let differing = names.into_iter().filter(|name| there.get(*name) != new.get(*name));
    let describe = |name: &PathBuf| {
        let [there, new] = [there, new].map(|files| files.get(name).map(Vec::as_slice).unwrap_or_default());
        let from = there.iter().zip(new).position(|(a, b)| a != b).unwrap_or(there.len().min(new.len()));
        let upto = there.iter().zip(new).rposition(|(a, b)| a != b).map_or(0, |last| last + 1);
        format!("{}: {} of {} bytes, differs from {from} to {upto}", name.display(), there.len(), new.len())
    };
    differing.map(describe).collect()
}

fn start(source: &Path, copy: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orbit"));
    command.arg("-qT").args([source, copy]).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Copy, cut the power `rounds` times at some moment, and assert what holds each time; how many files were
/// found that had lost something.
fn cut_at_many_moments(mount: &Mount, source: &Sandbox, replaces: bool, rounds: u32) -> usize {
    let (from, to) = (source.path("src"), mount.path().join("dst"));
    let new = files_of(&from);
    let length = {
        let began = Instant::now();
        assert!(start(&from, &to).wait().unwrap().success());
        began.elapsed()
    };
    let mut lost = 0;
    for round in 0..rounds {
        let _ = fs::remove_dir_all(&to);
        let mut old = BTreeMap::new();
        if replaces {
            for (path, content) in &new {
                let path = to.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, [b"old", &content[..content.len().min(5_000)]].concat()).unwrap();
            }
            old = files_of(&to);
        }
        nix::unistd::sync();
        let mut child = start(&from, &to);
        // From its beginning until some time after its end.
        thread::sleep(length * 2 * (round + 1) / rounds);
        mount.shut(round % 3 != 2);
        let _ = child.kill();
        child.wait().unwrap();
        mount.mount_again();
        for (path, content) in files_of(&to).iter().filter(|(path, _)| new.contains_key(*path)) {
            if replaces {
                let is_whole = *content == old[path] || *content == new[path];
                assert!(is_whole, "round {round}: {} is neither old nor new", path.display());
            } else if *content != new[path] {
                lost += 1;
            }
        }
        let there = files_of(&to);
        assert!(old.keys().all(|path| there.contains_key(path)), "round {round}: an old file is gone");
        let report = run(CopyJob::new(&from, &to));
        assert_complete(&report);
        let wrong: Vec<_> = differing(&files_of(&to), &new);
        assert!(wrong.is_empty(), "round {round}: the next run has not mended {wrong:?}");
        assert_same_tree(&from, &to);
        assert_no_temporaries(&to);
    }
    lost
}

fn rounds() -> u32 {
    std::env::var("ORBIT_TEST_CUTS").map_or(9, |rounds| rounds.parse().unwrap())
}

#[test]
fn whenever_the_power_goes_the_next_run_makes_it_right() {
    let source = source();
    for mount in mounts(400) {
        let lost = cut_at_many_moments(&mount, &source, false, rounds());
        assert!(lost > 0, "a cut takes something, or this shows nothing");
    }
}

#[test]
fn whenever_the_power_goes_a_replaced_file_is_the_old_one_or_the_new_one() {
    let source = source();
    for mount in mounts(400) {
        cut_at_many_moments(&mount, &source, true, rounds());
    }
}

#[test]
fn a_name_that_is_trusted_stands_for_a_whole_file_whenever_the_power_goes() {
    let source = source();
    let new = files_of(&source.path("src"));
    for mount in mounts(400) {
        let to = mount.path().join("dst");
        let mut seen = 0;
        for round in 0..rounds() {
            let _ = fs::remove_dir_all(&to);
            nix::unistd::sync();
            let mut command = Command::new(env!("CARGO_BIN_EXE_orbit"));
            command.args(["-qT", "--existing=skip"]).args([source.path("src"), to.clone()]);
            let mut child = command.stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(Duration::from_millis(u64::from(round) * 60));
            mount.shut(round % 3 != 2);
            let _ = child.kill();
            child.wait().unwrap();
            mount.mount_again();
            for (path, content) in files_of(&to) {
                seen += usize::from(new.contains_key(&path));
                assert!(
                    new.get(&path).is_none_or(|new| *new == content),
                    "round {round}: {}",
                    path.display()
                );
            }
            let job = CopyJob::new(source.path("src"), &to).existing(orbit::Existing::Skip);
            assert_complete(&run(job));
            assert!(files_of(&to) == new);
        }
        assert!(seen > 0, "no file got its name before a cut");
    }
}

#[test]
fn what_is_lost_after_the_end_is_seen_though_size_and_time_are_right() {
    let source = source();
    for mount in mounts(400) {
        let (from, to) = (source.path("src"), mount.path().join("dst"));
        assert!(start(&from, &to).wait().unwrap().success());
        mount.cut(true);
        let (new, there) = (files_of(&from), files_of(&to));
        let looks_right = |path: &PathBuf| {
            let metas = [&from, &to].map(|root| fs::metadata(root.join(path)).unwrap());
            metas[0].len() == metas[1].len() && metas[0].modified().unwrap() == metas[1].modified().unwrap()
        };
        let hidden = there.iter().filter(|(path, content)| looks_right(path) && **content != new[*path]);
        assert!(hidden.count() > 0, "nothing was lost unseen, so this shows nothing");
        assert_complete(&run(CopyJob::new(&from, &to)));
        assert!(files_of(&to) == new);
    }
}

#[test]
fn holes_that_the_source_has_or_that_hold_zeros_are_not_taken_for_losses() {
    for mount in mounts(400) {
        let sandbox = Sandbox::on(&mount).file("src/zeros", &vec![0; 3 << 20]);
        sparse_file(&sandbox.path("src/sparse"), &[MIB, 4 * MIB], 7 * MIB);
        for path in ["src/zeros", "src/sparse"] {
            age(&sandbox.path(path), 30);
        }
        let data = DataOptions::default().reflink(Reflink::Never).sparse(Sparse::Always);
        let job = || CopyJob::new(sandbox.path("src"), sandbox.path("dst")).data(data);
        assert_complete(&run(job()));
        assert!(fs::metadata(sandbox.path("dst/zeros")).unwrap().blocks() < 64);
        let again = run(job());
        assert_eq!((again.totals.unchanged, again.totals.files_copied), (2, 0));
    }
}

/// The mark of a run that was cut off in another boot, and began then.
fn mark(began: SystemTime) -> String {
    format!(".orbit-{:016x}-{:010x}.run", 0x0123_4567, began.duration_since(UNIX_EPOCH).unwrap().as_secs())
}

/// A finished copy in which one small file has lost its content, unseen.
fn damaged() -> Sandbox {
    let sandbox = Sandbox::new().file("src/file", b"content").file("src/below/other", b"other");
    for name in ["src/file", "src/below/other"] {
        age(&sandbox.path(name), 30);
    }
    assert_complete(&sandbox.copy());
    let meta = fs::metadata(sandbox.path("dst/file")).unwrap();
    fs::write(sandbox.path("dst/file"), b"\0\0\0\0\0\0\0").unwrap();
    let file = fs::File::options().write(true).open(sandbox.path("dst/file")).unwrap();
    file.set_times(FileTimes::new().set_modified(meta.modified().unwrap())).unwrap();
    sandbox
}

#[test]
fn what_changed_since_a_run_that_was_cut_off_is_compared_by_content() {
    let hour = Duration::from_secs(3600);
    for (began, is_mended) in [(SystemTime::now() - hour, true), (SystemTime::now() + hour, false)] {
        let sandbox = damaged();
        let name = mark(began);
        fs::write(sandbox.path("dst").join(&name), b"").unwrap();
        let would = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).dry_run(true));
        assert_eq!(would.totals.files_copied, u64::from(is_mended), "a dry run knows as much");
        assert!(sandbox.path("dst").join(&name).exists());
        let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")));
        assert_complete(&report);
        assert_eq!(report.totals.files_copied, u64::from(is_mended));
        assert_eq!(sandbox.read("dst/file") == b"content", is_mended);
        assert!(!sandbox.path("dst").join(&name).exists(), "it has said what it had to say");
    }
}

#[test]
fn a_mark_stays_while_something_could_not_be_looked_at() {
    let sandbox = damaged().dir("dst/in-the-way").file("src/in-the-way", b"");
    let name = mark(UNIX_EPOCH);
    fs::write(sandbox.path("dst").join(&name), b"").unwrap();
    // By a process of its own, whose locks no other process of these tests can have inherited.
    let status = start(&sandbox.path("src"), &sandbox.path("dst")).wait().unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(sandbox.path("dst").join(&name).exists());
    fs::remove_dir(sandbox.path("dst/in-the-way")).unwrap();
    assert_complete(&run(CopyJob::new(sandbox.path("src"), sandbox.path("dst"))));
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn the_mark_of_a_run_that_is_alive_is_left_alone_and_none_is_copied_or_deleted() {
    let sandbox = damaged();
    let (alive, other) = (mark(UNIX_EPOCH), mark(UNIX_EPOCH + Duration::from_secs(1)));
    let lock = fs::File::create(sandbox.path("dst").join(&alive)).unwrap();
    lock.lock().unwrap();
    fs::write(sandbox.path("src").join(&other), b"").unwrap();
    let mirror = Mirror::default().delete(Delete::After);
    let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).mirror(mirror));
    assert_complete(&report);
    assert_eq!((report.totals.skipped, report.totals.deleted, report.totals.unchanged), (1, 0, 2));
    assert!(sandbox.path("dst").join(&alive).exists() && !sandbox.path("dst").join(&other).exists());
}

#[test]
fn marks_that_are_no_files_are_not_opened_and_many_do_no_harm() {
    let sandbox = damaged();
    let at = |seconds| sandbox.path("dst").join(mark(UNIX_EPOCH + Duration::from_secs(seconds)));
    nix::unistd::mkfifo(&at(1), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("/dev/null", at(2)).unwrap();
    (100..400).for_each(|seconds| fs::write(at(seconds), b"").unwrap());
    assert_complete(&run(CopyJob::new(sandbox.path("src"), sandbox.path("dst"))));
    assert_eq!(sandbox.read("dst/file"), b"content");
}

#[test]
fn a_killed_runs_mark_says_nothing_while_the_machine_has_gone_on() {
    let source = source();
    let sandbox = Sandbox::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_orbit"));
    // Slowly enough for whoever looks.
    command.args(["-qT", "--bwlimit=10M"]).args([source.path("src"), sandbox.path("dst")]);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut marks = Vec::new();
    let patience = Instant::now() + Duration::from_secs(20);
    while marks.is_empty() && Instant::now() < patience {
        let names = fs::read_dir(sandbox.path("dst")).into_iter().flatten();
        marks = names
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().ends_with(".run"))
            .collect();
    }
    let _ = child.kill();
    child.wait().unwrap();
    assert_eq!(marks.len(), 1, "there is a mark while it copies");
    assert_complete(&run(CopyJob::new(source.path("src"), sandbox.path("dst"))));
    assert_same_tree(&source.path("src"), &sandbox.path("dst"));
    assert_no_temporaries(&sandbox.path("dst"));
}

/// Files that replace others, and how many.
fn to_be_replaced(count: u64) -> Sandbox {
    let mut sandbox = Sandbox::new();
    for index in 0..count {
        let name = format!("file-{index}");
        sandbox = sandbox
            .file(Path::new("src").join(&name), &noise(index, 900))
            .file(Path::new("dst").join(name), b"old");
    }
    sandbox
}

#[test]
fn few_replacements_are_made_durable_one_by_one_and_many_together() {
    if !can_trace() {
        return;
    }
    for (count, each, together) in [(3, 3, 0), (300, 0, 3)] {
        let sandbox = to_be_replaced(count);
        let outcome = Traced::copy(sandbox.path("src"), sandbox.path("dst"))
            .recording("fdatasync,syncfs,renameat,renameat2,fsync")
            .run();
        assert_eq!((outcome.count("fdatasync"), outcome.count("syncfs")), (each, together));
        assert_eq!(outcome.count("renameat") + outcome.count("renameat2"), count as usize);
        assert_same(&sandbox.path("src"), &sandbox.path("dst"));
        let sandbox = to_be_replaced(count);
        let none = Traced::copy(sandbox.path("src"), sandbox.path("dst"))
            .told("fsync", "none")
            .recording("fdatasync,syncfs,fsync")
            .run();
        assert_eq!(none.count("fdatasync") + none.count("syncfs") + none.count("fsync"), 0);
        assert_same(&sandbox.path("src"), &sandbox.path("dst"));
    }
}

#[test]
fn what_cannot_be_made_durable_together_is_made_so_one_by_one() {
    if !can_trace() {
        return;
    }
    let sandbox = to_be_replaced(20);
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).fault("syncfs", "error=EIO");
    let outcome = copy.recording("fdatasync").run();
    assert!(outcome.injected("syncfs") > 0);
    assert_eq!((outcome.count("fdatasync"), outcome.summary.total("files_copied")), (20, 20));
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn a_replacement_that_cannot_be_made_durable_leaves_the_old_file() {
    if !can_trace() {
        return;
    }
    let sandbox = to_be_replaced(3);
    let outcome =
        Traced::copy(sandbox.path("src"), sandbox.path("dst")).fault("fdatasync", "error=EIO:when=2").run();
    outcome.assert_one_failure_by("fdatasync", nix::errno::Errno::EIO);
    let kept = (0..3).filter(|index| sandbox.read(format!("dst/file-{index}")) == b"old").count();
    assert_eq!((kept, outcome.summary.total("files_copied")), (1, 2));
    assert_no_temporaries(&sandbox.path("dst"));
    assert_complete(&sandbox.copy());
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn what_waits_to_replace_others_makes_room_when_there_is_none() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 8) else { return };
    let sandbox = Sandbox::on(&mount).dir("dst");
    let source = Sandbox::new().dir("src");
    for index in 0..50 {
        let content = noise(index, 100 * KIB);
        fs::write(source.path(format!("src/{index}")), &content).unwrap();
        fs::write(sandbox.path(format!("dst/{index}")), &content[1..]).unwrap();
    }
    assert_complete(&run(CopyJob::new(source.path("src"), sandbox.path("dst"))));
    assert_same(&source.path("src"), &sandbox.path("dst"));
}

#[test]
fn durable_files_outlive_any_cut_that_comes_after_they_are_done() {
    let source = source();
    for (fsync, jobs) in [(Fsync::File, 1), (Fsync::File, 3), (Fsync::End, 3)] {
        for mount in mounts(400) {
            let to = mount.path().join("dst");
            assert_complete(&run(CopyJob::new(source.path("src"), &to).fsync(fsync).jobs(jobs)));
            mount.cut(false);
            if fsync == Fsync::End {
                assert_same(&source.path("src"), &to);
            } else {
                assert!(files_of(&source.path("src")) == files_of(&to));
            }
            assert_no_temporaries(&to);
        }
    }
}

#[test]
fn a_filesystem_that_cannot_be_made_durable_in_the_end_is_a_failure() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().file("src/file", b"content");
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).told("fsync", "end");
    let outcome = copy.fault("syncfs", "error=EIO").run();
    assert!(!outcome.status.success() && outcome.injected("syncfs") > 0);
}

#[test]
fn a_quota_that_is_used_up_at_the_last_flush_is_why_the_run_stopped() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().file("src/file", b"content");
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).told("fsync", "end");
    let outcome = copy.fault("syncfs", "error=EDQUOT").run();
    assert!(!outcome.status.success() && outcome.injected("syncfs") > 0);
    assert!(
        outcome.summary.was_stopped() && outcome.summary.total("unsynced") == 1,
        "{:#?}",
        outcome.summary
    );
}
