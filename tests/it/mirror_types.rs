//! Mirrors of entries that have become something else: what is in the way goes, with all guards of deletions.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    process::{Command, Output},
};

use orbit::{CopyJob, Delete, Existing, MaxDelete, Mirror, Rule, Selection};
use rustix::fs::FileType;

use crate::{
    dry_run::events,
    mirror::mirror,
    support::{
        Filesystem, Mount, Sandbox, assert_complete,
        awkward::make_node,
        causes, copy_program, has_program, is_root, must, orbit, skip, stderr,
        tree::{Aspect, assert_same_but},
    },
};

const KINDS: [&str; 6] = ["file", "directory", "empty", "symlink", "fifo", "socket"];

fn make(path: &Path, kind: &str) {
    match kind {
        "file" => fs::write(path, b"content").unwrap(),
        "directory" => {
            fs::create_dir_all(path.join("deep/er")).unwrap();
            fs::write(path.join("deep/er/file"), b"inside").unwrap();
        }
        "empty" => fs::create_dir(path).unwrap(),
        "symlink" => symlink("nowhere", path).unwrap(),
        "fifo" => make_node(path, FileType::Fifo, 0),
        "socket" => make_node(path, FileType::Socket, 0),
        kind => panic!("{kind}"),
    }
}

/// In `src` and `dst` each kind of entry meets each other, two levels down.
fn with_all_pairs() -> Sandbox {
    let sandbox = Sandbox::new().file("src/d/e/same", b"same").file("dst/d/e/same", b"same");
    for from in KINDS {
        for to in KINDS {
            make(&sandbox.path(format!("src/d/e/{from} for {to}")), from);
            make(&sandbox.path(format!("dst/d/e/{from} for {to}")), to);
        }
    }
    sandbox
}

fn said(sandbox: &Sandbox, options: &[&str]) -> Output {
    let mut command = orbit();
    command.current_dir(sandbox.path("")).args(options).args(["-T", "src", "dst"]).output().unwrap()
}

#[test]
fn a_mirror_converges_whatever_has_become_of_what() {
    for existing in [Existing::Update, Existing::Replace] {
        for jobs in [1, 4] {
            let sandbox = with_all_pairs();
            let job = mirror(&sandbox).existing(existing).jobs(jobs);
            let (told, dry) = events(job.clone().dry_run(true));
            assert_complete(&dry);
            let (done, report) = events(job.clone());
            assert_complete(&report);
            assert_eq!(told, done, "a dry run says the same");
            assert_eq!(dry.totals, report.totals);
            assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
            let again = sandbox.run(mirror(&sandbox));
            assert_complete(&again);
            assert_eq!((again.totals.deleted, again.totals.files_copied), (0, 0));
        }
    }
    let sandbox = with_all_pairs();
    let dry = said(&sandbox, &["--delete=before", "-n"]);
    let output = said(&sandbox, &["--delete=before"]);
    assert!(dry.status.success() && output.status.success(), "{}", stderr(&output));
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
}

#[test]
fn policies_are_about_entries_of_one_type() {
    for existing in [Existing::Skip, Existing::Newer, Existing::Fail] {
        let sandbox =
            Sandbox::new().file("src/x", b"x").file("src/y/z", b"z").dir("dst/x/old").file("dst/y", b"y");
        let report = sandbox.run(mirror(&sandbox).existing(existing));
        assert_complete(&report);
        assert_eq!((sandbox.read("dst/x"), sandbox.read("dst/y/z")), (b"x".to_vec(), b"z".to_vec()));
    }
}

#[test]
fn without_a_mirror_what_is_in_the_way_fails_the_entry_and_stays() {
    let sandbox = with_all_pairs();
    let report = sandbox.copy();
    for from in KINDS {
        for to in KINDS {
            let [a, b] = [from, to].map(|kind| matches!(kind, "directory" | "empty"));
            let replaces = matches!(to, "file" | "symlink") || from == to;
            let fails = a != b || !a && !replaces;
            let name = format!("dst/d/e/{from} for {to}");
            let told =
                causes(&report).iter().any(|cause| cause.contains(&name) && cause.contains("in the way"));
            assert_eq!(told, fails, "{from} for {to}: {:?}", causes(&report));
            if to == "directory" {
                assert_eq!(sandbox.read(format!("{name}/deep/er/file")), b"inside");
            }
        }
    }
}

/// A directory and a file that have become each other, and an entry that is extraneous besides.
fn with_two() -> Sandbox {
    Sandbox::new()
        .file("src/a/x", b"new file")
        .file("src/a/y/new", b"new directory")
        .file("dst/a/x/old", b"old directory")
        .file("dst/a/x/other", b"old directory")
        .file("dst/a/y", b"old file")
        .file("dst/extra", b"extra")
}

fn assert_untouched(sandbox: &Sandbox) {
    for (name, content) in [
        ("dst/a/x/old", "old directory"),
        ("dst/a/x/other", "old directory"),
        ("dst/a/y", "old file"),
        ("dst/extra", "extra"),
    ] {
        assert_eq!(sandbox.read(name), content.as_bytes(), "{name}");
    }
}

#[test]
fn a_limit_counts_what_is_in_the_way_with_everything_else() {
    // Two in a directory, that, a file, and the one besides, of those and the directory that holds them.
    for (max, goes) in [
        (MaxDelete::Entries(4), false),
        (MaxDelete::Entries(5), true),
        (MaxDelete::Percent(83), false),
        (MaxDelete::Percent(84), true),
    ] {
        let sandbox = with_two();
        let job = mirror(&sandbox).mirror(Mirror::default().delete(Delete::After).max(max));
        let dry = sandbox.run(job.clone().dry_run(true));
        let report = sandbox.run(job);
        assert_eq!(causes(&dry), causes(&report));
        if goes {
            assert_complete(&report);
            assert_eq!(report.totals.deleted, 5);
            assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
            continue;
        }
        assert_untouched(&sandbox);
        assert_eq!((report.totals.failed, report.totals.undeleted), (2, 1), "{:?}", causes(&report));
        assert!(causes(&report)[0].contains("5 of 6 entries"), "{:?}", causes(&report));
    }
}

#[test]
fn where_anything_failed_what_is_in_the_way_stays_too() {
    for when in ["--delete", "--delete=before"] {
        let sandbox = with_two().file("src/itself", b"same");
        fs::hard_link(sandbox.path("src/itself"), sandbox.path("dst/itself")).unwrap();
        let output = said(&sandbox, &[when]);
        assert_eq!(output.status.code(), Some(1));
        assert_untouched(&sandbox);
        let said_so = stderr(&output);
        assert!(said_so.contains("1 extraneous entry stays, because 1 entry failed"), "{said_so}");
        assert!(said_so.contains("dst/a/x: a directory is in the way"), "{said_so}");
        let output = said(&sandbox, &[when, "--ignore-errors"]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(sandbox.read("dst/a/x"), b"new file");
        assert!(sandbox.path("dst/a/y/new").exists() && !sandbox.path("dst/extra").exists());
    }
}

#[test]
fn what_cannot_be_put_there_removes_nothing_to_make_room_for_it() {
    // A file that cannot be opened, although whoever runs this may read everything: a loop of links is none.
    let sandbox = with_two();
    fs::remove_file(sandbox.path("src/a/x")).unwrap();
    symlink("x", sandbox.path("src/a/x")).unwrap();
    let output = said(&sandbox, &["--delete", "-L"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_untouched(&sandbox);
    // Of several files, whichever it is.
    for bad in ["a", "b", "c"] {
        let mut sandbox = Sandbox::new().dir("src");
        for name in ["a", "b", "c"] {
            sandbox = sandbox.file(format!("dst/{name}/old"), b"there");
            match name == bad {
                true => symlink(name, sandbox.path("src").join(name)).unwrap(),
                false => sandbox = sandbox.file(format!("src/{name}"), b"new"),
            }
        }
        for options in [&["-j1", "-n"][..], &["-j1"], &["-j1", "--existing=skip"]] {
            let output = said(&sandbox, &[&["--delete", "-L"], options].concat());
            assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
            for name in ["a", "b", "c"] {
                assert_eq!(sandbox.read(format!("dst/{name}/old")), b"there", "{bad} {options:?}");
            }
        }
    }
}

#[test]
fn where_no_inode_is_left_room_is_made_before() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 16) else { return };
    let [source, target] = ["src", "dst"].map(|name| mount.path().join(name));
    fs::create_dir_all(source.join("x")).unwrap();
    fs::create_dir(&target).unwrap();
    fs::write(target.join("x"), b"old").unwrap();
    let others = mount.path().join("others");
    fs::create_dir(&others).unwrap();
    let is_full = (0..100_000).any(|number| fs::write(others.join(number.to_string()), b"").is_err());
    assert!(is_full);
    let run = |when: &str| orbit().args(["-q", when, "-T"]).args([&source, &target]).output().unwrap();
    assert_eq!(run("--delete").status.code(), Some(3));
    assert_eq!(fs::read(target.join("x")).unwrap(), b"old");
    let output = run("--delete=before");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(target.join("x").is_dir());
}

#[test]
fn what_a_rule_keeps_in_the_way_stays_and_the_entry_fails() {
    for (rule, kept) in [("old", "dst/a/x/old"), ("x/", "dst/a/x/other"), ("/a/x/old", "dst/a/x/old")] {
        for when in [Delete::After, Delete::Only] {
            let sandbox = with_two();
            let select = Selection::default().rules([Rule::Exclude(rule.into())]).unwrap();
            let job = mirror(&sandbox).select(select).mirror(Mirror::default().delete(when));
            let dry = sandbox.run(job.clone().dry_run(true));
            let report = sandbox.run(job);
            assert_eq!(causes(&dry), causes(&report));
            assert!(sandbox.path(kept).exists(), "{rule}");
            assert_eq!(report.totals.failed, 1, "{rule}: {:?}", causes(&report));
            assert!(
                causes(&report)[0].contains("a directory is in the way, and stays"),
                "{:?}",
                causes(&report)
            );
            // What failed may be the same as what is extraneous.
            assert!(sandbox.path("dst/extra").exists());
        }
    }
}

#[test]
fn what_is_mounted_in_the_way_stays() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 16) else { return };
    let sandbox = with_two();
    fs::write(mount.path().join("canary"), b"canary").unwrap();
    fs::create_dir(sandbox.path("dst/a/x/mounted")).unwrap();
    let at = sandbox.path("dst/a/x/mounted").display().to_string();
    must("mount", &["--bind", mount.path().to_str().unwrap(), &at]);
    let report = sandbox.run(mirror(&sandbox));
    must("umount", &[&at]);
    assert_eq!(fs::read(mount.path().join("canary")).unwrap(), b"canary");
    assert_eq!(report.totals.failed, 1, "{:?}", causes(&report));
    assert!(causes(&report).iter().any(|cause| cause.contains("is mounted there")), "{:?}", causes(&report));
}

#[test]
fn the_copy_as_a_whole_is_never_in_the_way() {
    let sandbox = Sandbox::new().file("src", b"a file").file("dst/precious", b"precious");
    let report = sandbox.run(mirror(&sandbox));
    assert_eq!((report.totals.failed, report.totals.deleted), (1, 0));
    assert_eq!(sandbox.read("dst/precious"), b"precious");
    let sandbox = Sandbox::new().file("src/a", b"a").file("dst", b"precious");
    let report = sandbox.run(mirror(&sandbox));
    assert_eq!((report.totals.failed, report.totals.deleted), (1, 0));
    assert_eq!(sandbox.read("dst"), b"precious");
    let job = CopyJob::into_directory([sandbox.path("src")], sandbox.path("into"));
    let sandbox = sandbox.file("into/src", b"precious");
    let report = sandbox.run(job.mirror(Mirror::default().delete(Delete::After)));
    assert_eq!((report.totals.failed, report.totals.deleted), (1, 0));
    assert_eq!(sandbox.read("into/src"), b"precious");
}

#[test]
fn links_stay_links_and_large_files_whole() {
    for (first, second) in [(true, false), (false, true), (true, true)] {
        for jobs in [1, 4] {
            let sandbox =
                Sandbox::new().file("src/a/first", &vec![7; 20 << 20]).dir("src/b").dir("dst/a").dir("dst/b");
            fs::hard_link(sandbox.path("src/a/first"), sandbox.path("src/a/third")).unwrap();
            fs::hard_link(sandbox.path("src/a/first"), sandbox.path("src/b/second")).unwrap();
            let sandbox = sandbox.file("src/replaced", b"new").file("dst/replaced", b"old one");
            for (is_there, name) in [(first, "dst/a/first"), (second, "dst/b/second")] {
                if is_there {
                    fs::create_dir_all(sandbox.path(name).join("old")).unwrap();
                }
            }
            assert_complete(&sandbox.run(mirror(&sandbox).jobs(jobs)));
            assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
            let number = |name: &str| fs::metadata(sandbox.path(name)).unwrap().ino();
            assert_eq!(number("dst/a/first"), number("dst/b/second"), "{first} {second} {jobs}");
            assert_eq!(number("dst/a/first"), number("dst/a/third"));
        }
    }
}

#[test]
fn names_with_a_suffix_are_cleared_as_well() {
    for when in ["--delete", "--delete=before"] {
        let sandbox = Sandbox::new()
            .file("src/d/a", b"text")
            .file("src/d/b/c", b"more")
            .file("dst/d/a.zst/old", b"in the way")
            .file("dst/d/b", b"in the way");
        let told = said(&sandbox, &[when, "--compress", "-n"]);
        assert!(told.status.success(), "{}", stderr(&told));
        let output = said(&sandbox, &[when, "--compress"]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(sandbox.path("dst/d/a.zst").is_file() && sandbox.path("dst/d/b/c.zst").is_file());
    }
    // What one of the run's own entries is to another, is not in the way of a mirror.
    let sandbox = Sandbox::new().file("src/a", b"1").file("src/a.zst/b", b"2").dir("dst");
    let output = said(&sandbox, &["--delete", "--compress"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(sandbox.path("dst/a.zst").is_file());
}

#[test]
fn entries_of_one_name_never_clear_each_other() {
    let Some(mount) = Mount::new(Filesystem::Ext4Folding, 32) else { return };
    for several in [false, true] {
        let sandbox = Sandbox::new().file("src/Foo/a", b"a").file("src/foo", b"a file").file("other/b", b"b");
        let to = mount.path().join(format!("to-{several}"));
        fs::create_dir(&to).unwrap();
        must("chattr", &["+F", to.to_str().unwrap()]);
        // It is there already, and its copy in this run.
        fs::create_dir_all(to.join("src/Foo")).unwrap();
        fs::write(to.join("src/Foo/a"), b"a").unwrap();
        let mut sources = vec![sandbox.path("src")];
        sources.extend(several.then(|| sandbox.path("other")));
        let job = CopyJob::into_directory(sources, &to).mirror(Mirror::default().delete(Delete::After));
        for _ in 0..2 {
            let report = sandbox.run(job.clone());
            assert_eq!(report.totals.failed, 1, "{:?}", causes(&report));
            assert_eq!(fs::read(to.join("src/Foo/a")).unwrap(), b"a");
        }
    }
}

#[test]
fn a_kill_at_any_moment_loses_nothing_but_what_is_extraneous() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    for when in ["--delete", "--delete=before"] {
        let mut killed = 0;
        for number in 1.. {
            let sandbox =
                with_two().file("src/a/same", b"same").file("dst/a/keep", b"keep").file("src/z", b"z");
            sandbox.tick();
            let fault = format!("inject=unlinkat,mkdirat,renameat,utimensat:signal=SIGKILL:when={number}");
            let output = Command::new("strace")
                .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=unlinkat,mkdirat,renameat,utimensat"])
                .args(["-e", &fault])
                .arg(env!("CARGO_BIN_EXE_orbit"))
                .args(["-q", "-j1", when, "--exclude=keep", "-T", "src", "dst"])
                .current_dir(sandbox.path(""))
                .output()
                .unwrap();
            if stderr(&output).contains("ptrace") {
                return skip("strace may not trace");
            }
            assert_eq!(sandbox.read("dst/a/keep"), b"keep");
            assert_eq!(sandbox.read("src/a/x"), b"new file");
            if output.status.success() {
                break;
            }
            killed += 1;
            let again = said(&sandbox, &["-q", when, "--exclude=keep"]);
            assert!(again.status.success(), "{when} {number}: {}", stderr(&again));
            fs::remove_file(sandbox.path("dst/a/keep")).unwrap();
            let again = said(&sandbox, &["-q", when]);
            assert!(again.status.success(), "{when} {number}: {}", stderr(&again));
            assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
        }
        assert!(killed > 5, "{when}: {killed}");
    }
}

#[test]
fn what_cannot_be_made_is_no_reason_to_delete_what_is_in_its_place() {
    if !is_root() || !has_program("setpriv") {
        return skip("root is needed to make a device, and to become somebody else");
    }
    for when in ["--delete", "--delete=before"] {
        let sandbox =
            Sandbox::new().opened().dir("src").file("dst/null/deep/file", b"there").file("dst/old", b"old");
        make_node(&sandbox.path("src/null"), FileType::CharacterDevice, 0x103);
        must("chown", &["-R", "1234:1234", sandbox.path("dst").to_str().unwrap()]);
        let program = sandbox.path("orbit");
        copy_program(&program);
        for is_dry in [true, false] {
            let output = Command::new("setpriv")
                .args(["--reuid=1234", "--regid=1234", "--clear-groups"])
                .arg(&program)
                .args([&[when, "-T", "src", "dst"][..], if is_dry { &["-n"] } else { &[] }].concat())
                .current_dir(sandbox.path(""))
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
            assert!(stderr(&output).contains("cannot create special file dst/null"), "{}", stderr(&output));
            assert!(stderr(&output).contains("1 extraneous entry stays"), "{}", stderr(&output));
            assert_eq!(sandbox.read("dst/null/deep/file"), b"there");
            assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), 2, "nothing is left of the trial");
        }
    }
}

#[test]
fn what_cannot_be_finished_is_no_reason_either() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    const READS: &str = "copy_file_range,ioctl,sendfile,splice,read,pread64,preadv2:error=EIO";
    for (kind, fault, options) in [
        ("symlink", "utimensat:error=EPERM", &["--preserve=timestamps"][..]),
        ("fifo", "utimensat:error=EPERM", &["--preserve=special,timestamps"]),
        ("file", "utimensat:error=EPERM", &["--preserve=timestamps"]),
        ("file", "fsetxattr:error=E2BIG", &["--preserve=xattr"]),
        ("file", READS, &[]),
        ("file", "linkat:error=EPERM", &[]),
        ("link", "linkat:error=EMLINK", &["--preserve=links"]),
    ] {
        let sandbox =
            Sandbox::in_memory().file("dst/x/deep/old", b"there").file("dst/y", b"old").dir("src/y");
        let x = sandbox.path("src/x");
        match kind {
            "link" => fs::write(sandbox.path("src/first"), b"content")
                .and_then(|()| fs::hard_link(sandbox.path("src/first"), &x))
                .unwrap(),
            kind => make(&x, kind),
        }
        if options == ["--preserve=xattr"] {
            must("setfattr", &["-n", "user.a", "-v", "b", x.to_str().unwrap()]);
        }
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={fault}")]);
        if fault == READS {
            command.args(["-P", x.to_str().unwrap()]);
        }
        let output = command
            .arg(env!("CARGO_BIN_EXE_orbit"))
            .args(["-q", "-j1", "--delete", "-T", "src", "dst"])
            .args(options)
            .current_dir(sandbox.path(""))
            .output()
            .unwrap();
        if stderr(&output).contains("ptrace") {
            return skip("strace may not trace");
        }
        let told = format!("{kind} {fault}: {}", stderr(&output));
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(stderr(&output).contains("dst/x: ") || stderr(&output).contains("src/x: "), "{told}");
        assert_eq!(fs::read(sandbox.path("dst/x/deep/old")).ok().as_deref(), Some(&b"there"[..]), "{told}");
        let again = said(&sandbox, &["-q", "--delete"]);
        assert!(again.status.success(), "{told}{}", stderr(&again));
        assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
    }
}
