//! What a mirror does not delete: where anything failed, what rules exclude, what is mounted.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    process::{Command, Output},
};

use orbit::{CopyJob, Delete, MaxDelete, Mirror, Rule, Selection, WarningKind};

use crate::{
    mirror::{mirror, with_extras},
    support::{
        Filesystem, Mount, Sandbox, assert_complete, causes, has_program, is_root, must, orbit, skip, stderr,
        tree::{Aspect, assert_same_but},
    },
};

fn delete() -> Mirror {
    Mirror::default().delete(Delete::After)
}

/// An entry that fails in every run: the copy's file is the source's.
fn with_failure(sandbox: Sandbox) -> Sandbox {
    let sandbox = sandbox.file("src/itself", b"same");
    fs::hard_link(sandbox.path("src/itself"), sandbox.path("dst/itself")).unwrap();
    sandbox
}

fn said(sandbox: &Sandbox, options: &[&str]) -> Output {
    let mut command = orbit();
    command.current_dir(sandbox.path("")).args(options).args(["-T", "src", "dst"]).output().unwrap()
}

#[test]
fn where_an_entry_failed_nothing_is_deleted_and_the_reason_is_said() {
    for options in [&["--delete"][..], &["--delete=before"], &["--delete", "-n"], &["--delete=before", "-n"]]
    {
        let sandbox = with_failure(with_extras());
        let output = said(&sandbox, options);
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        let why = "cannot remove dst: 9 extraneous entries stay, because 1 entry failed";
        assert!(stderr(&output).contains(why), "{options:?}: {}", stderr(&output));
        for kept in ["dst/extra", "dst/d/extra", "dst/gone/deep/er/file", "dst/gone/fifo", "dst/d/link"] {
            assert!(sandbox.path(kept).symlink_metadata().is_ok(), "{options:?}: {kept}");
        }
    }
    let sandbox = with_failure(with_extras());
    let json = said(&sandbox, &["--delete", "--json", "-q"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["totals"]["undeleted"], 1);
    assert!(report["failures"].to_string().contains("9 extraneous entries stay"), "{report}");
    // Where that is what is wanted, they go.
    for options in [&["--delete", "--ignore-errors"][..], &["--delete=before", "--ignore-errors"]] {
        let sandbox = with_failure(with_extras());
        let output = said(&sandbox, options);
        assert_eq!(output.status.code(), Some(1));
        assert!(!sandbox.path("dst/extra").exists() && !sandbox.path("dst/gone").exists());
        assert!(!stderr(&output).contains("extraneous"), "{}", stderr(&output));
    }
    // Once nothing fails, they go as well.
    fs::remove_file(sandbox.path("dst/itself")).unwrap();
    assert_complete(&sandbox.run(mirror(&sandbox)));
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
}

#[test]
fn what_failed_in_one_source_keeps_nothing_of_another() {
    let sandbox = Sandbox::new()
        .file("one/a", b"a")
        .file("two/b", b"b")
        .file("dst/one/extra", b"extra")
        .file("dst/two/extra", b"extra");
    fs::hard_link(sandbox.path("one/a"), sandbox.path("dst/one/a")).unwrap();
    for jobs in [1, 4] {
        let sources = ["one", "two", "missing"].map(|name| sandbox.path(name));
        let job = CopyJob::into_directory(sources, sandbox.path("dst")).mirror(delete()).jobs(jobs);
        let report = sandbox.run(job);
        assert_eq!((report.totals.failed, report.totals.undeleted), (2, 1), "{:?}", causes(&report));
        assert!(causes(&report).iter().any(|cause| cause.contains("dst/one: 1 extraneous entry stays")));
        assert!(sandbox.path("dst/one/extra").exists() && !sandbox.path("dst/two/extra").exists());
        fs::write(sandbox.path("dst/two/extra"), b"extra").unwrap();
    }
}

/// A tree in which `what` is run by somebody without rights, if that can be done here.
fn as_somebody(sandbox: &Sandbox, options: &[&str]) -> Option<Output> {
    if !is_root() || !has_program("setpriv") {
        skip("root is needed to become somebody else");
        return None;
    }
    let program = sandbox.path("orbit");
    if !program.exists() {
        crate::support::copy_program(&program);
    }
    let output = Command::new("setpriv")
        .args(["--reuid=1234", "--regid=1234", "--clear-groups"])
        .arg(program)
        .args(options)
        .args(["-T", "src", "dst"])
        .current_dir(sandbox.path(""))
        .output()
        .unwrap();
    Some(output)
}

fn mode(sandbox: &Sandbox, name: &str, mode: u32) {
    fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_renamed_file_that_cannot_be_read_keeps_its_old_copy() {
    for (closed, when) in [
        ("renamed", "--delete"),
        ("renamed", "--delete=before"),
        ("dir", "--delete"),
        ("dir", "--delete=before"),
    ] {
        let sandbox = Sandbox::new()
            .opened()
            .file("src/renamed", b"thesis")
            .file("src/dir/notes", b"notes")
            .file("src/other", b"x")
            .file("dst/old name", b"thesis")
            .file("dst/old dir/notes", b"notes");
        must("chown", &["-R", "1234:1234", sandbox.path("src").to_str().unwrap()]);
        must("chown", &["-R", "1234:1234", sandbox.path("dst").to_str().unwrap()]);
        mode(&sandbox, &format!("src/{closed}"), 0);
        let Some(output) = as_somebody(&sandbox, &[when]) else { return };
        assert_eq!(output.status.code(), Some(1), "{closed} {when}: {}", stderr(&output));
        assert!(stderr(&output).contains("extraneous entries stay, because 1 entry failed"));
        assert_eq!(sandbox.read("dst/old name"), b"thesis");
        assert_eq!(sandbox.read("dst/old dir/notes"), b"notes");
        mode(&sandbox, &format!("src/{closed}"), 0o700);
        let output = as_somebody(&sandbox, &[when]).unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(!sandbox.path("dst/old name").exists() && !sandbox.path("dst/old dir").exists());
    }
}

#[test]
fn an_entry_that_is_not_made_for_want_of_an_attribute_keeps_what_it_was_renamed_from() {
    let preserve = "--preserve=ownership,special,mode";
    for (made, name) in
        [("ln -s to src/new", "a link"), ("mkfifo src/new", "a FIFO"), ("echo > src/new", "a file")]
    {
        for when in ["--delete", "--delete --existing=newer"] {
            let sandbox = Sandbox::new().opened().dir("src").dir("dst");
            must(
                "sh",
                &["-c", &format!("cd {} && {made} && cp -a src/new dst/old", sandbox.path("").display())],
            );
            for open in ["src", "dst"] {
                mode(&sandbox, open, 0o777);
            }
            let options: Vec<&str> = [preserve].into_iter().chain(when.split(' ')).collect();
            let Some(output) = as_somebody(&sandbox, &options) else { return };
            assert_eq!(output.status.code(), Some(1), "{name}");
            assert!(stderr(&output).contains("cannot set owner of dst/new"), "{name}: {}", stderr(&output));
            assert!(stderr(&output).contains("1 extraneous entry stays, because 1 entry failed"), "{name}");
            assert!(sandbox.path("dst/new").symlink_metadata().is_err(), "{name} was not made");
            assert!(sandbox.path("dst/old").symlink_metadata().is_ok(), "{name} is the only copy");
        }
    }
}

#[test]
fn a_directory_of_the_copy_that_cannot_be_opened_up_keeps_what_was_moved_into_it() {
    let sandbox = Sandbox::new()
        .opened()
        .file("src/closed/moved", b"thesis")
        .dir("src/d")
        .file("dst/d/moved", b"thesis");
    let sandbox = sandbox.dir("dst/closed");
    must("chown", &["-R", "1234:1234", sandbox.path("src").to_str().unwrap()]);
    must("chown", &["-R", "1234:1234", sandbox.path("dst").to_str().unwrap()]);
    mode(&sandbox, "dst/closed", 0o500);
    let closed = sandbox.path("dst/closed").display().to_string();
    let sealed = Command::new("chattr").args(["+i", &closed]).output();
    if !sealed.is_ok_and(|sealed| sealed.status.success()) {
        return skip("no file can be made immutable here");
    }
    let output = as_somebody(&sandbox, &["--delete"]);
    must("chattr", &["-i", &closed]);
    let Some(output) = output else { return };
    assert!(stderr(&output).contains("cannot set mode of dst/closed"), "{}", stderr(&output));
    assert_eq!(sandbox.read("dst/d/moved"), b"thesis", "it is the only copy");
}

#[test]
fn times_and_modes_of_others_keep_nothing_from_being_deleted() {
    let sandbox = Sandbox::new().opened().file("src/d/a", b"a").file("dst/d/extra", b"extra");
    assert_complete(&sandbox.copy());
    fs::write(sandbox.path("src/closed"), b"a file by now").unwrap();
    let sandbox = sandbox.file("dst/read only/deep/file", b"closed").dir("dst/unreadable/below");
    for name in ["src", "dst", "dst/read only", "dst/read only/deep", "dst/unreadable"] {
        chown(sandbox.path(name), Some(1234), Some(1234)).unwrap_or(());
    }
    for name in ["src/d", "dst/d"] {
        mode(&sandbox, name, 0o777);
    }
    mode(&sandbox, "dst/read only", 0o555);
    mode(&sandbox, "dst/read only/deep", 0o555);
    mode(&sandbox, "dst/unreadable", 0);
    assert_eq!(fs::metadata(sandbox.path("src/d")).unwrap().modified().unwrap(), {
        fs::metadata(sandbox.path("dst/d")).unwrap().modified().unwrap()
    });
    let Some(output) = as_somebody(&sandbox, &["--delete"]) else { return };
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("warning: times not kept: dst/d"), "{}", stderr(&output));
    for gone in ["dst/d/extra", "dst/read only", "dst/unreadable"] {
        assert!(!sandbox.path(gone).exists(), "{gone}: {}", stderr(&output));
    }
}

/// A source, and a copy in which `old` is extraneous and holds what rules exclude.
fn with_kept() -> Sandbox {
    Sandbox::new()
        .file("src/a", b"a")
        .file("src/d/.gitignore", b"*.ignored\n!not.ignored\n")
        .file("src/d/b", b"b")
        .file("dst/old/x.keep", b"k")
        .file("dst/old/z", b"z")
        .file("dst/old/sub/y.keep", b"k")
        .file("dst/old/empty/sub/z", b"z")
        .file("dst/old/cache/any/thing", b"c")
        .file("dst/d/old/a.ignored", b"i")
        .file("dst/d/old/not.ignored", b"i")
        .file("dst/d/old/sub/b.ignored", b"i")
        .file("dst/a.ignored", b"i")
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    let found = Command::new("find").current_dir(sandbox.path("dst")).args([".", "-mindepth", "1"]).output();
    let text = String::from_utf8(found.unwrap().stdout).unwrap();
    let mut names: Vec<_> = text.lines().map(|line| line.trim_start_matches("./").to_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_rules_exclude_stays_at_every_depth_with_the_directories_above() {
    let both = ["a", "d", "d/.gitignore", "d/b"];
    let ignored =
        ["a.ignored", "d/old", "d/old/a.ignored", "d/old/not.ignored", "d/old/sub", "d/old/sub/b.ignored"];
    let old = ["old", "old/cache", "old/cache/any", "old/cache/any/thing", "old/empty", "old/empty/sub"];
    let old = [&old[..], &["old/empty/sub/z", "old/sub", "old/sub/y.keep", "old/x.keep", "old/z"]].concat();
    for (options, kept) in [
        (&["--exclude=*.keep"][..], &["old", "old/sub", "old/sub/y.keep", "old/x.keep"][..]),
        (&["--exclude=/old/sub/*.keep"], &["old", "old/sub", "old/sub/y.keep"]),
        (&["--exclude=old/sub/y.keep"], &["old", "old/sub", "old/sub/y.keep"]),
        (&["--exclude=cache/"], &["old", "old/cache", "old/cache/any", "old/cache/any/thing"]),
        (&["--exclude=/old/cache/any"], &["old", "old/cache", "old/cache/any", "old/cache/any/thing"]),
        (&["--include=x.keep", "--exclude=*.keep"], &["old", "old/sub", "old/sub/y.keep"]),
        (&["--exclude=*.keep", "--include=x.keep"], &["old", "old/sub", "old/sub/y.keep", "old/x.keep"]),
        (&["--gitignore"], &["d/old", "d/old/a.ignored", "d/old/sub", "d/old/sub/b.ignored"]),
        (&["--exclude=*.keep", "--delete-excluded"], &[]),
        (&["--gitignore", "--delete-excluded"], &[]),
        (&["--exclude=/d", "--delete-excluded"], &["without d"]),
        // What the source has is copied or not by its size; what it lacks is extraneous, whatever its size.
        (&["--max-size=0"], &[]),
    ] {
        let mut expected: Vec<String> = both.iter().chain(kept).map(|name| (*name).to_owned()).collect();
        if kept == ["without d"] {
            expected = vec!["a".into()];
        }
        if options == ["--max-size=0"] {
            expected = vec!["d".into()];
        }
        expected.sort();
        for when in ["--delete", "--delete=before"] {
            let sandbox = with_kept();
            let before = names(&sandbox);
            assert_eq!(before.len(), ignored.len() + old.len() + 1);
            let options = [&["-i", when], options].concat();
            let dry = said(&sandbox, &[&options[..], &["-n"]].concat());
            assert_eq!(names(&sandbox), before, "a dry run");
            let count = |output: &Output| {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                text.lines().filter(|line| line.starts_with("delete")).count()
            };
            let will_go = count(&dry);
            // A limit counts what goes, and nothing that stays.
            let limit = format!("--max-delete={}", will_go - 1);
            let limited = said(&sandbox, &[&options[..], &[&limit]].concat());
            assert_eq!(limited.status.code(), Some(1));
            assert!(stderr(&limited).contains(&format!("{will_go} of")), "{}", stderr(&limited));
            let sandbox = with_kept();
            let limit = format!("--max-delete={will_go}");
            let real = said(&sandbox, &[&options[..], &[&limit]].concat());
            assert!(real.status.success(), "{options:?}: {}", stderr(&real));
            assert_eq!(names(&sandbox), expected, "{options:?}");
            assert_eq!(count(&real), will_go, "{options:?}");
        }
    }
}

#[test]
fn what_rules_exclude_of_the_source_goes_only_where_that_is_said() {
    let sandbox = Sandbox::new().file("src/a.o", b"o").file("src/b/c", b"c").file("src/d", b"d");
    assert_complete(&sandbox.copy());
    let select = || Selection::default().rules([Rule::Exclude("*.o".into()), Rule::Exclude("b/".into())]);
    assert_complete(&sandbox.run(mirror(&sandbox).select(select().unwrap())));
    assert_eq!(names(&sandbox), ["a.o", "b", "b/c", "d"]);
    let job = mirror(&sandbox).mirror(delete().delete_excluded(true)).select(select().unwrap());
    let report = sandbox.run(job);
    assert_complete(&report);
    assert_eq!((names(&sandbox), report.totals.deleted), (vec!["d".to_owned()], 3));
    assert!(sandbox.path("src/a.o").exists() && sandbox.path("src/b/c").exists());
}

#[test]
fn what_is_mounted_in_the_copy_stays_whatever_it_is_of() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 16) else { return };
    let sandbox = Sandbox::on(&mount)
        .file("src/a", b"a")
        .file("elsewhere/canary", b"canary")
        .dir("dst/gone/mounted")
        .file("dst/gone/extra", b"extra")
        .file("dst/file", b"mounted on");
    let at = ["dst/gone/mounted", "dst/file"].map(|name| sandbox.path(name).display().to_string());
    let from = ["elsewhere", "elsewhere/canary"].map(|name| sandbox.path(name).display().to_string());
    for (from, at) in from.iter().zip(&at) {
        must("mount", &["--bind", from, at]);
    }
    let dry = sandbox.run(mirror(&sandbox).dry_run(true));
    // Nothing that stays counts against a limit.
    let report = sandbox.run(mirror(&sandbox).mirror(delete().max(MaxDelete::Entries(2))));
    at.iter().for_each(|at| drop(must("umount", &[at])));
    assert!(causes(&dry).iter().any(|cause| cause.contains("is mounted there")), "{:?}", causes(&dry));
    assert_eq!(report.totals.undeleted, 2, "{:?}", causes(&report));
    assert!(
        causes(&report).iter().any(|cause| cause.contains("gone/mounted: another part of this filesystem"))
    );
    assert_eq!(sandbox.read("elsewhere/canary"), b"canary");
    assert!(sandbox.path("dst/gone/mounted").exists() && !sandbox.path("dst/gone/extra").exists());
}

#[test]
fn deleting_more_than_half_suggests_a_limit() {
    let copy = |extras: usize, options: &[&str]| {
        let sandbox = Sandbox::new().file("src/a", b"a").file("src/d/b", b"b").dir("src/e");
        assert_complete(&sandbox.copy());
        let sandbox = (0..extras)
            .fold(sandbox, |sandbox, number| sandbox.file(format!("dst/d/extra/{number}"), b"extra"));
        let output = said(&sandbox, &[options, &["--delete"]].concat());
        assert!(output.status.success());
        stderr(&output)
    };
    // Four are there, and the directory of the others.
    for (extras, options, is_most) in [
        (3, &[][..], false),
        (4, &[], true),
        (4, &["-n"], true),
        (4, &["--max-delete=9"], false),
        (0, &[], false),
    ] {
        let said = copy(extras, options);
        assert_eq!(said.contains("--max-delete"), is_most, "{extras} {options:?}: {said}");
        assert!(!is_most || said.contains("5 of 9 entries"), "{said}");
    }
    let sandbox = with_extras();
    let report = sandbox.run(mirror(&sandbox));
    let told: Vec<_> = report.warnings.iter().map(|warning| (warning.kind, warning.count)).collect();
    assert_eq!(told, [(WarningKind::Extraneous, 1)]);
}

#[test]
fn a_directory_with_a_name_of_ours_is_extraneous_like_any_other() {
    let sandbox = with_extras().file("dst/.orbit-0123456789abcdef.tmp/a", b"a");
    assert_complete(&sandbox.run(mirror(&sandbox)));
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
    assert_eq!(fs::metadata(sandbox.path("dst")).unwrap().nlink(), 4);
}
