//! Mirrors: what only the copy has goes, and nothing else ever does; comparing by content.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, symlink},
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use orbit::{Compare, CopyJob, Delete, Done, Engine, Existing, MaxDelete, Mirror, Rule, Selection};

use crate::{
    dry_run::events,
    support::{
        Filesystem, Mount, Sandbox, assert_complete, causes, has_program, is_root, must, orbit, skip, stderr,
        tree::{Aspect, assert_same_but},
    },
};

pub fn mirror(sandbox: &Sandbox) -> CopyJob {
    let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst"));
    job.mirror(Mirror::default().delete(Delete::After))
}

/// A source, and a copy with more in it.
pub fn with_extras() -> Sandbox {
    let sandbox = Sandbox::new()
        .file("src/a", b"a")
        .file("src/d/b", b"b")
        .dir("src/empty")
        .file("dst/a", b"a")
        .file("dst/extra", b"extra")
        .file("dst/d/extra", b"extra")
        .file("dst/gone/deep/er/file", b"gone")
        .symlink("/nowhere", "dst/gone/link")
        .symlink("a", "dst/d/link");
    nix::unistd::mkfifo(&sandbox.path("dst/gone/fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600))
        .unwrap();
    sandbox
}

#[test]
fn what_only_the_copy_has_is_deleted_and_directories_keep_their_times() {
    let sandbox = with_extras();
    let report = sandbox.run(mirror(&sandbox));
    assert_complete(&report);
    assert_eq!(report.totals.deleted, 9);
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
    let again = sandbox.run(mirror(&sandbox));
    assert_eq!((again.totals.deleted, again.totals.files_copied), (0, 0));
    // Without, nothing is.
    fs::write(sandbox.path("dst/extra"), b"extra").unwrap();
    assert_complete(&sandbox.copy());
    assert!(sandbox.path("dst/extra").exists());
}

#[test]
fn the_directory_that_a_copy_goes_into_is_no_mirror() {
    let sandbox = with_extras().file("dst/src/extra", b"extra");
    let output = orbit().arg("--delete").args([sandbox.path("src"), sandbox.path("dst/")]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(sandbox.path("dst/extra").exists() && !sandbox.path("dst/src/extra").exists());
}

#[test]
fn links_are_removed_and_what_they_lead_to_is_not() {
    let sandbox = with_extras().file("outside/canary", b"canary");
    for link in ["dst/to-dir", "dst/gone/to-dir", "dst/d/to-file"] {
        symlink(sandbox.path("outside"), sandbox.path(link)).unwrap();
    }
    assert_complete(&sandbox.run(mirror(&sandbox)));
    assert_eq!(sandbox.read("outside/canary"), b"canary");
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
}

#[test]
fn what_a_selection_leaves_out_is_left_alone_at_the_destination_too() {
    let sandbox =
        with_extras().file("dst/d/keep.o", b"o").file("dst/build/x", b"x").file("dst/gone.o/x", b"x");
    let rules = [Rule::Exclude("*.o".into()), Rule::Exclude("/build/".into())];
    let job = mirror(&sandbox).select(Selection::default().rules(rules).unwrap());
    assert_complete(&sandbox.run(job));
    for kept in ["dst/d/keep.o", "dst/build/x", "dst/gone.o/x"] {
        assert!(sandbox.path(kept).exists(), "{kept}");
    }
    assert!(!sandbox.path("dst/extra").exists());
}

#[test]
fn an_empty_source_empties_nothing_unless_that_is_said() {
    let sandbox = Sandbox::new().dir("src").file("dst/only", b"only");
    let report = sandbox.run(mirror(&sandbox));
    assert_eq!((report.totals.failed, report.totals.deleted), (1, 0));
    assert!(causes(&report)[0].contains("source is empty"), "{:?}", causes(&report));
    assert_eq!(sandbox.read("dst/only"), b"only");
    let missing = CopyJob::new(sandbox.path("missing"), sandbox.path("dst"));
    let report = sandbox.run(missing.mirror(Mirror::default().delete(Delete::After).force_empty(true)));
    assert_eq!((report.totals.failed, report.totals.deleted), (1, 0));
    assert_eq!(sandbox.read("dst/only"), b"only");
    let forced = mirror(&sandbox).mirror(Mirror::default().delete(Delete::After).force_empty(true));
    let report = sandbox.run(forced);
    assert_complete(&report);
    assert_eq!(report.totals.deleted, 1);
}

#[test]
fn more_than_may_be_deleted_is_nothing_deleted() {
    for (max, deletes) in [
        (MaxDelete::Entries(8), false),
        (MaxDelete::Entries(9), true),
        (MaxDelete::Percent(80), false),
        (MaxDelete::Percent(85), true),
    ] {
        let sandbox = with_extras();
        let job = mirror(&sandbox).mirror(Mirror::default().delete(Delete::After).max(max));
        let report = sandbox.run(job);
        assert_eq!(report.totals.deleted > 0, deletes, "{max:?}: {:?}", causes(&report));
        assert_eq!(sandbox.path("dst/gone").exists(), !deletes);
        if !deletes {
            assert!(causes(&report)[0].contains("9 of 11 entries"), "{:?}", causes(&report));
        }
        assert_eq!(sandbox.read("dst/d/b"), b"b", "the rest is copied");
    }
}

#[test]
fn sources_of_one_name_are_not_mirrored() {
    let sandbox = Sandbox::new().file("a/x/1", b"1").file("b/x/2", b"2").file("dst/x/extra", b"extra");
    let job = CopyJob::into_directory([sandbox.path("a/x"), sandbox.path("b/x")], sandbox.path("dst"));
    let report = sandbox.run(job.mirror(Mirror::default().delete(Delete::After)));
    assert_eq!((report.totals.failed, report.totals.deleted), (2, 0));
    assert!(sandbox.path("dst/x/extra").exists());
    let job = CopyJob::into_directory([sandbox.path("a/x"), sandbox.path("b")], sandbox.path("dst"));
    let report = sandbox.run(job.mirror(Mirror::default().delete(Delete::After)));
    assert_complete(&report);
    assert!(!sandbox.path("dst/x/extra").exists() && sandbox.path("dst/b/x/2").exists());
}

#[test]
fn another_filesystem_that_is_mounted_in_the_copy_is_not_emptied() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 16) else { return };
    fs::write(mount.path().join("canary"), b"canary").unwrap();
    let sandbox = with_extras().dir("dst/gone/mounted");
    let at = sandbox.path("dst/gone/mounted").display().to_string();
    must("mount", &["--bind", mount.path().to_str().unwrap(), &at]);
    let report = sandbox.run(mirror(&sandbox));
    must("umount", &[&at]);
    assert_eq!(report.totals.undeleted, 1, "{:?}", causes(&report));
    assert!(causes(&report)[0].contains("mounted there"), "{:?}", causes(&report));
    assert_eq!(fs::read(mount.path().join("canary")).unwrap(), b"canary");
    assert!(!sandbox.path("dst/gone/deep").exists(), "all else goes");
}

#[test]
fn a_directory_that_cannot_be_read_loses_nothing_in_the_copy() {
    if !is_root() || !has_program("setpriv") {
        return skip("root is needed to become somebody else");
    }
    let sandbox = with_extras().opened();
    fs::create_dir(sandbox.path("src/closed")).unwrap();
    fs::create_dir(sandbox.path("dst/closed")).unwrap();
    fs::write(sandbox.path("dst/closed/precious"), b"precious").unwrap();
    must("chown", &["-R", "1234:1234", sandbox.path("dst").to_str().unwrap()]);
    must("chmod", &["000", sandbox.path("src/closed").to_str().unwrap()]);
    let output = Command::new("setpriv")
        .args(["--reuid=1234", "--regid=1234", "--clear-groups"])
        .arg(env!("CARGO_BIN_EXE_orbit"))
        .args(["--delete", "-T"])
        .args([sandbox.path("src"), sandbox.path("dst")])
        .output()
        .unwrap();
    if stderr(&output).contains("failed to execute") {
        return; // the program itself lies where nobody else may go
    }
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(sandbox.read("dst/closed/precious"), b"precious");
    assert!(sandbox.path("dst/extra").exists(), "what failed may be the same: {}", stderr(&output));
}

#[test]
fn deep_trees_are_deleted_with_few_open_files() {
    const DEPTH: usize = 5000;
    let sandbox = Sandbox::new().file("src/a", b"a").dir("dst");
    let mut at = fs::File::open(sandbox.path("dst")).unwrap();
    for _ in 0..DEPTH {
        rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY;
        at = rustix::fs::openat(&at, "d", flags, rustix::fs::Mode::empty()).unwrap().into();
    }
    rustix::fs::mkdirat(&at, "last", rustix::fs::Mode::RWXU).unwrap();
    let script = format!(
        "ulimit -n 64; exec '{}' -q --delete -T '{}' '{}'",
        env!("CARGO_BIN_EXE_orbit"),
        sandbox.path("src").display(),
        sandbox.path("dst").display()
    );
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!sandbox.path("dst/d").exists());
}

#[test]
fn deleting_before_makes_room() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 32) else { return };
    let source = Sandbox::new().file("src/new", &vec![1; 20 << 20]);
    let copy = |when: &str| -> Output {
        let dst = mount.path().join("dst");
        let _ = fs::remove_dir_all(&dst);
        fs::create_dir(&dst).unwrap();
        fs::write(dst.join("old"), vec![2; 20 << 20]).unwrap();
        orbit().arg(format!("--delete={when}")).arg("-T").arg(source.path("src")).arg(&dst).output().unwrap()
    };
    let after = copy("after");
    assert_eq!(after.status.code(), Some(3), "{}", stderr(&after));
    let before = copy("before");
    assert!(before.status.success(), "{}", stderr(&before));
    assert!(String::from_utf8_lossy(&before.stdout).contains("1 deleted"), "{before:?}");
    assert_eq!(fs::read(mount.path().join("dst/new")).unwrap().len(), 20 << 20);
    assert!(!mount.path().join("dst/old").exists());
}

#[test]
fn items_are_lines_for_people_and_objects_for_programs() {
    let sandbox = with_extras();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    fs::File::options().write(true).open(sandbox.path("src/a")).unwrap().set_modified(long_ago).unwrap();
    let copy = |arguments: &[&str]| {
        let mut command = orbit();
        command.args(arguments).args(["--delete", "-T"]).args([sandbox.path("src"), sandbox.path("dst")]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let objects: Vec<serde_json::Value> =
        copy(&["-n", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (report, entries) = objects.split_last().unwrap();
    assert_eq!(report["totals"]["deleted"], 9);
    let actions: BTreeSet<&str> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, BTreeSet::from(["created", "replaced", "deleted", "merged"]));
    let replaced = entries.iter().find(|entry| entry["action"] == "replaced").unwrap();
    assert_eq!(replaced["differs"], serde_json::json!(["time"]));
    let said = copy(&["-i"]);
    assert!(said.contains("replaced file") && said.contains("(1 B, time differs)"), "{said}");
    assert!(said.contains("deleted symlink"), "{said}");
}

#[test]
fn comparing_by_content_believes_no_time() {
    let sandbox = Sandbox::new()
        .file("src/same", b"same")
        .file("src/other", b"one")
        .file("src/size", b"longer")
        .file("dst/same", b"same")
        .file("dst/other", b"two")
        .file("dst/size", b"short");
    let time = |name: &str, secs: u64| {
        let file = fs::File::options().write(true).open(sandbox.path(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(secs)).unwrap();
    };
    for name in ["src/same", "src/other", "dst/other", "src/size"] {
        time(name, 1_000_000);
    }
    time("dst/same", 2_000_000);
    let inode = fs::metadata(sandbox.path("dst/same")).unwrap().ino();
    let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst"));
    let by_time = sandbox.run(job.clone().dry_run(true));
    assert_eq!(by_time.totals.unchanged, 1, "the one that is not");
    let report = sandbox.run(job.clone().compare(Compare::Content));
    assert_complete(&report);
    assert_eq!((report.totals.files_copied, report.totals.metadata_corrected), (2, 1));
    assert_eq!(fs::metadata(sandbox.path("dst/same")).unwrap().ino(), inode, "its content stayed");
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
    let again = sandbox.run(job.clone().compare(Compare::Content));
    assert_eq!((again.totals.files_copied, again.totals.unchanged), (0, 3));
    let skips = sandbox.run(job.compare(Compare::Content).existing(Existing::Skip));
    assert_eq!(skips.totals.skipped, 3);
}

#[test]
fn a_cancelled_run_deletes_nothing_more() {
    let mut sandbox = with_extras();
    for number in 0..200 {
        sandbox = sandbox.file(format!("src/many/{number}"), &[1; 5000]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let run = Engine::new().unwrap().start(mirror(&sandbox));
        run.cancel();
        run.finish().await.unwrap()
    });
    assert!(report.cancelled);
    assert_eq!(report.totals.deleted, 0);
    assert!(sandbox.path("dst/extra").exists());
    let (told, _) = events(mirror(&sandbox));
    assert!(told.iter().any(|(_, what)| what.contains(&format!("{:?}", Done::Deleted))));
}
