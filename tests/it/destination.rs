//! Where copies go: below their source, and where that cannot be looked at or is no place for one.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use orbit::{CopyJob, Delete, FileList, Mirror, Rule, Selection};

use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete, causes, copy_program, is_root, must, orbit, run, skip,
    stderr,
};

fn excluding(patterns: &[&str]) -> Selection {
    Selection::default().rules(patterns.iter().map(|pattern| Rule::Exclude((*pattern).to_owned()))).unwrap()
}

fn tree() -> Sandbox {
    Sandbox::new().file("src/x/f", b"f").file("src/g", b"g").dir("src/bk").dir("src/deep/er")
}

#[test]
fn a_copy_below_its_source_is_fine_where_a_rule_or_a_list_keeps_the_walk_from_it() {
    let list = |text: &str| Selection::default().files(FileList::read(text.as_bytes(), b'\n').unwrap());
    for (to, selection, is_fine) in [
        ("src/bk", excluding(&["/bk"]), true),
        ("src/bk", excluding(&["bk/"]), true),
        ("src/bk/new", excluding(&["/bk"]), true),
        ("src/bk/new", excluding(&["/bk/new"]), true),
        ("src/new", excluding(&["/new"]), true),
        ("src/deep/er", excluding(&["/deep"]), true),
        ("src/deep/er", excluding(&["er"]), true),
        ("src/deep/er", excluding(&["/deep/*"]), true),
        ("src/bk", excluding(&["/bk/*"]), false),
        ("src/bk", excluding(&["/deep", "x"]), false),
        ("src/bk", list("x/f\n"), true),
        ("src/bk", list("x\ndeep\n"), true),
        ("src/deep/er", list("deep/other\nx\n"), true),
        ("src/deep/er", list("deep\n"), false),
        ("src/deep/er", list("deep/er/x\n"), false),
        ("src/bk", list(".\n"), false),
        ("src/bk", Selection::default(), false),
    ] {
        for is_dry in [true, false] {
            let sandbox = tree().file("src/deep/other", b"other");
            let job = CopyJob::new(sandbox.path("src"), sandbox.path(to)).select(selection.clone());
            let report = run(job.clone().dry_run(is_dry));
            assert_eq!(report.is_complete(), is_fine, "{to} {selection:?} {:?}", causes(&report));
            let copied = sandbox.path(to).join("x/f").exists();
            assert_eq!(copied, is_fine && !is_dry, "{to} {selection:?}");
            if !is_fine {
                assert!(causes(&report)[0].contains("copied into itself"), "{:?}", causes(&report));
                assert_eq!(report.totals.directories_created, 0, "refused before anything is done");
            }
            // And again, with what the first run has put there.
            assert_eq!(run(job.mirror(Mirror::default().delete(Delete::After))).is_complete(), is_fine);
        }
    }
}

#[test]
fn what_is_in_the_way_of_a_copy_below_its_source_is_told_with_the_path_of_the_copy() {
    for (name, kind) in [("link", "a symbolic link"), ("file", "a regular file")] {
        let sandbox = tree().symlink("deep", "src/link").file("src/file", b"1");
        let to = sandbox.path("src").join(name);
        let report = run(CopyJob::new(sandbox.path("src"), &to).select(excluding(&["/deep"])));
        assert_eq!(report.failures.len(), 1, "{:?}", causes(&report));
        assert_eq!(report.failures[0].path(), to);
        let said = &causes(&report)[0];
        assert!(said.ends_with(&format!(": {kind} is in the way")), "{said}");
    }
}

#[test]
fn an_ignore_file_may_keep_the_walk_from_the_copy() {
    let sandbox = tree().file("src/.gitignore", b"/bk\n").file("src/deep/.gitignore", b"er/\n");
    for to in ["src/bk", "src/deep/er"] {
        let job = CopyJob::new(sandbox.path("src"), sandbox.path(to));
        assert!(!run(job.clone()).is_complete(), "{to}");
        assert_complete(&run(job.select(Selection::default().gitignore(true))));
        assert!(sandbox.path(to).join("x/f").exists());
    }
}

#[test]
fn a_copy_on_another_filesystem_below_its_source_is_fine_where_the_run_stays_on_one() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 16) else { return };
    for (inside, to) in [("", "src/mnt"), ("bk", "src/mnt/bk"), ("", "src/mnt/new"), ("a/b", "src/mnt/a/b")] {
        let sandbox = tree().dir("src/mnt");
        let at = sandbox.path("src/mnt").display().to_string();
        must("mount", &["--bind", mount.path().to_str().unwrap(), &at]);
        fs::create_dir_all(sandbox.path("src/mnt").join(inside)).unwrap();
        let job = CopyJob::new(sandbox.path("src"), sandbox.path(to));
        let refused = run(job.clone());
        let twice = [(); 2].map(|()| run(job.clone().select(Selection::default().one_file_system(true))));
        let copied = sandbox.path(to).join("x/f").exists();
        let left_empty = fs::read_dir(sandbox.path(to).join("mnt")).map(Iterator::count);
        for path in fs::read_dir(mount.path()).unwrap().map(|entry| entry.unwrap().path()) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.unwrap();
        }
        must("umount", &[&at]);
        assert!(causes(&refused)[0].contains("copied into itself"), "{to}");
        twice.iter().for_each(assert_complete);
        assert!(copied && left_empty.unwrap() == 0, "{to}");
    }
}

#[test]
fn a_log_on_another_filesystem_below_its_source_is_fine_where_the_run_stays_on_one() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 16) else { return };
    let sandbox = tree().dir("src/mnt");
    let at = sandbox.path("src/mnt").display().to_string();
    must("mount", &["--bind", mount.path().to_str().unwrap(), &at]);
    let logged = |option: &[&str]| {
        let mut command = orbit();
        command.args(option).args(["--log", "src/mnt/log", "-T", "src", "dst"]);
        command.current_dir(sandbox.path("")).output().unwrap().status.code()
    };
    let (refused, fine) = (logged(&[]), logged(&["-x"]));
    let is_there = sandbox.path("src/mnt/log").exists();
    must("umount", &[&at]);
    assert_eq!((refused, fine, is_there), (Some(2), Some(0), true));
}

#[test]
fn what_a_list_names_on_another_filesystem_is_left_out_where_the_run_stays_on_one() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 16) else { return };
    let sandbox = tree().dir("src/mnt");
    let at = sandbox.path("src/mnt").display().to_string();
    must("mount", &["--bind", mount.path().to_str().unwrap(), &at]);
    fs::write(sandbox.path("src/mnt/file"), b"there").unwrap();
    let listed = Selection::default().files(FileList::read(&b"mnt/file"[..], b'\n').unwrap());
    let job = |to: &str| CopyJob::new(sandbox.path("src"), sandbox.path(to));
    let reports = [false, true].map(|stays| {
        let to = if stays { "stays" } else { "dst" };
        run(job(to).select(listed.clone().one_file_system(stays)))
    });
    must("umount", &[&at]);
    reports.iter().for_each(assert_complete);
    assert_eq!(sandbox.read("dst/mnt/file"), b"there");
    assert_eq!(fs::read_dir(sandbox.path("stays/mnt")).unwrap().count(), 0);
}

#[test]
fn of_several_copies_below_a_source_none_may_be_come_to() {
    let sandbox = tree().file("other/h", b"h");
    let sources = [sandbox.path("src"), sandbox.path("other")];
    let job = CopyJob::into_directory(&sources, sandbox.path("src/bk"));
    let report = run(job.clone().select(excluding(&["/bk/src"])));
    assert_eq!(report.totals.failed, 1, "{:?}", causes(&report));
    assert_complete(&run(job.select(excluding(&["/bk"]))));
    assert!(sandbox.path("src/bk/src/x/f").exists() && sandbox.path("src/bk/other/h").exists());
}

#[test]
fn a_link_to_what_is_no_file_is_refused_where_it_is_named() {
    let sandbox =
        Sandbox::new().file("f", b"f").symlink("f", "l").symlink("nowhere", "nothing").symlink("f2", "file");
    fs::write(sandbox.path("f2"), b"other").unwrap();
    must("mkfifo", &[sandbox.path("fifo").to_str().unwrap()]);
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.path("sock")).unwrap();
    for (target, says) in [
        ("fifo", "a FIFO"),
        ("sock", "a socket"),
        ("/dev/null", "a character device"),
        ("/proc/self/exe", "open file"),
        ("chain", "a FIFO"),
        ("out", "FIFO"),
    ] {
        let _ = fs::remove_file(sandbox.path("chain"));
        symlink("fifo", sandbox.path("chain")).unwrap();
        let _ = fs::remove_file(sandbox.path("out"));
        symlink("/proc/self/fd/1", sandbox.path("out")).unwrap();
        symlink(target, sandbox.path("link")).unwrap();
        for source in ["f", "l"] {
            let output = orbit().current_dir(sandbox.path("")).args(["-P", source, "link"]).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{target}");
            assert!(stderr(&output).contains(says), "{target}: {}", stderr(&output));
            assert_eq!(fs::read_link(sandbox.path("link")).unwrap(), Path::new(target));
        }
        fs::remove_file(sandbox.path("link")).unwrap();
    }
    // What leads to a file or to nothing is replaced, never written through.
    for link in ["file", "nothing"] {
        assert_complete(&run(CopyJob::new(sandbox.path("f"), sandbox.path(link))));
        assert!(!sandbox.path(link).is_symlink());
    }
    assert_eq!(sandbox.read("f2"), b"other");
    assert!(!sandbox.path("nowhere").exists());
}

/// The command, run by somebody without any rights.
fn as_nobody(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let program = sandbox.path("orbit");
    if !program.exists() {
        copy_program(&program);
    }
    Command::new("setpriv")
        .current_dir(sandbox.path(""))
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_destination_that_cannot_be_looked_at_is_a_failure() {
    if !is_root() {
        return skip("another user's files");
    }
    let sandbox =
        Sandbox::new().opened().file("F", b"hi").file("S/f", b"f").dir("closed/dir").symlink("loop", "loop");
    let long = PathBuf::from("n".repeat(300));
    for (target, link) in [("closed/dir", "link"), ("closed/nothing", "hidden"), ("F/x", "through")] {
        symlink(target, sandbox.path(link)).unwrap();
    }
    symlink(&long, sandbox.path("long")).unwrap();
    for (name, mode) in [("", 0o777), ("closed", 0)] {
        fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    for link in ["link", "hidden", "through", "long", "loop"] {
        for arguments in [
            &["F", link][..],
            &["-T", "F", link],
            &["F", &format!("{link}/")],
            &["S", link],
            &["-n", "F", link],
            &["-t", link, "F", "S"],
        ] {
            let output = as_nobody(&sandbox, arguments);
            assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {}", stderr(&output));
            assert!(sandbox.path(link).is_symlink(), "{arguments:?}");
        }
    }
    let refused = as_nobody(&sandbox, &["-t", "link", "F", "S"]);
    assert!(stderr(&refused).contains("cannot look at link: Permission denied"), "{}", stderr(&refused));
    let inside = as_nobody(&sandbox, &["F", "closed/f"]);
    assert_eq!(inside.status.code(), Some(1));
    assert!(stderr(&inside).contains("Permission denied"), "{}", stderr(&inside));
}
