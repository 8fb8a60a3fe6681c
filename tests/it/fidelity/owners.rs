//! Owners, kept by root and reported by others.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
};

use orbit::Attributes;

use crate::support::{
    Sandbox,
    awkward::{set_mode, set_times},
    driver::{Drive, NOBODY},
    is_root, skip,
    tree::{Aspect, assert_same_but},
};

/// A tree of root's that everybody may read, and a place that `NOBODY` may write to.
fn sandbox() -> Option<Sandbox> {
    if !is_root() {
        skip("becoming another user needs root");
        return None;
    }
    let sandbox = Sandbox::new().opened().dir("to");
    chown(sandbox.path("to"), Some(NOBODY), Some(NOBODY)).unwrap();
    let sandbox = sandbox.file("src/dir/file", b"content").file("src/setuid", b"#!").file("src/plain", b"x");
    set_mode(&sandbox.path("src/setuid"), 0o6755);
    set_mode(&sandbox.path("src/dir"), 0o555);
    for name in ["src/dir/file", "src/setuid", "src/dir"] {
        set_times(&sandbox.path(name), 1_234_567_890, 12_345);
    }
    Some(sandbox)
}

fn sorted(lines: &[String]) -> Vec<String> {
    let mut lines = lines.to_vec();
    lines.sort();
    lines
}

#[test]
fn an_owner_that_may_not_be_set_is_one_warning_and_setuid_is_dropped() {
    let Some(sandbox) = sandbox() else { return };
    let (source, copy) = (sandbox.path("src"), sandbox.path("to/copy"));
    let driven = Drive::new(&source, &copy).user(NOBODY).run();
    driven.assert_complete();
    assert_eq!(sorted(&driven.warnings), ["Owner 5", "SetId 1"]);
    let program = fs::metadata(copy.join("setuid")).unwrap();
    assert_eq!((program.mode() & 0o7777, program.uid(), program.gid()), (0o755, NOBODY, NOBODY));
    set_mode(&source.join("setuid"), 0o755);
    // Whoever does not own the source may not read it without leaving a trace.
    assert_same_but(&source, &copy, &[Aspect::Owner, Aspect::Atime]);
}

#[test]
fn a_second_run_by_another_user_finds_nothing_to_do() {
    let Some(sandbox) = sandbox() else { return };
    let drive = Drive::new(&sandbox.path("src"), &sandbox.path("to/copy")).user(NOBODY);
    let first = drive.clone().run();
    first.assert_complete();
    for _ in 0..2 {
        let again = drive.clone().run();
        again.assert_complete();
        assert_eq!((again.number("files"), again.number("bytes"), again.number("done")), (0, 0, 5));
        assert_eq!(sorted(&again.warnings), sorted(&first.warnings), "what is not kept is said each time");
    }
}

#[test]
fn programs_that_lost_setuid_alone_are_counted_alike_by_every_run() {
    let Some(mut sandbox) = sandbox() else { return };
    for index in 0..6 {
        sandbox = sandbox.file(format!("src/dir/{index}"), b"#!");
        let program = sandbox.path(format!("src/dir/{index}"));
        chown(&program, Some(0), Some(NOBODY)).unwrap(); // the group is right
        set_mode(&program, 0o4755);
    }
    let drive = Drive::new(&sandbox.path("src/dir"), &sandbox.path("to/copy")).user(NOBODY);
    for _ in 0..3 {
        let driven = drive.clone().run();
        driven.assert_complete();
        assert_eq!(sorted(&driven.warnings), ["Owner 8", "SetId 6"]);
    }
}

#[test]
fn an_owner_that_was_asked_for_by_name_fails_the_entries() {
    let Some(sandbox) = sandbox() else { return };
    let drive = Drive::new(&sandbox.path("src"), &sandbox.path("to/copy")).user(NOBODY);
    let driven = drive.requiring(Attributes::OWNERSHIP).run();
    assert!(!driven.is_complete());
    assert!(driven.failures.iter().all(|line| line.contains("cannot set owner of")), "{:?}", driven.failures);
    assert!(!sandbox.path("to/copy/plain").exists(), "what failed is removed");
}

#[test]
fn an_owner_that_was_asked_for_by_name_fails_the_entries_of_a_copy_that_is_there_too() {
    let Some(sandbox) = sandbox() else { return };
    let drive = Drive::new(&sandbox.path("src"), &sandbox.path("to/copy")).user(NOBODY);
    drive.clone().run().assert_complete();
    for jobs in [1, 3] {
        let driven = drive.clone().jobs(jobs).requiring(Attributes::OWNERSHIP).run();
        assert_eq!((driven.number("failed"), driven.number("files")), (5, 0), "{:?}", driven.failures);
        let about_owners = |line: &String| line.contains("cannot set owner of");
        assert!(driven.failures.iter().all(about_owners), "{:?}", driven.failures);
        assert_eq!(sandbox.read("to/copy/plain"), b"x", "what was there stays");
    }
}

#[test]
fn groups_that_may_be_set_are_corrected_though_an_owner_was_refused() {
    // In any order, some whose owner is refused come before some whose group may be set.
    let Some(mut sandbox) = sandbox() else { return };
    let names: Vec<_> = (0..30).map(|index| format!("{index}")).collect();
    for name in &names {
        sandbox = sandbox.file(format!("src/dir/{name}"), b"x");
    }
    let set_group = |name: &str, gid| chown(sandbox.path(name), None, Some(gid)).unwrap();
    let mine: Vec<_> = names.iter().filter(|name| name.parse::<u32>().unwrap() % 3 == 0).collect();
    for name in &mine {
        chown(sandbox.path("src/dir").join(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let drive = Drive::new(&sandbox.path("src/dir"), &sandbox.path("to/copy")).user(NOBODY).jobs(1);
    drive.clone().run().assert_complete();
    mine.iter().for_each(|name| set_group(&format!("to/copy/{name}"), 1234));
    let driven = drive.run();
    driven.assert_complete();
    assert_eq!(driven.warnings, ["Owner 22"], "20 files of 30, another, and the directory");
    for name in mine {
        assert_eq!(fs::metadata(sandbox.path("to/copy").join(name)).unwrap().gid(), NOBODY, "{name}");
    }
}

#[test]
fn what_may_not_be_read_fails_and_the_rest_is_copied() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = sandbox.file("src/secret", b"no").file("src/closed/in", b"no");
    set_mode(&sandbox.path("src/secret"), 0o600);
    set_mode(&sandbox.path("src/closed"), 0o700);
    let driven = Drive::new(&sandbox.path("src"), &sandbox.path("to/copy")).user(NOBODY).run();
    assert!(!driven.is_complete());
    assert_eq!((driven.number("failed"), driven.number("files")), (2, 3));
    assert!(driven.failures.iter().all(|line| line.contains("cannot open")), "{:?}", driven.failures);
    assert_eq!(driven.number("found"), driven.number("done"));
    assert!(!sandbox.path("to/copy/closed").exists());
}

#[test]
fn a_destination_that_may_not_be_written_to_is_one_failure() {
    let Some(sandbox) = sandbox() else { return };
    let driven = Drive::new(&sandbox.path("src"), &sandbox.path("copy")).user(NOBODY).run();
    assert_eq!(driven.failures.len(), 1);
    assert!(driven.failures[0].contains("cannot create directory"), "{:?}", driven.failures);
    assert!(!sandbox.path("copy").exists());
}

#[test]
fn a_directory_that_may_only_be_searched_serves_to_hold_a_source_and_a_copy() {
    let Some(sandbox) = sandbox() else { return };
    set_mode(&sandbox.path("src/setuid"), 0o755);
    let (source, copy) = (sandbox.path("src"), sandbox.path("to/drop/copy"));
    let sandbox = sandbox.dir("to/drop");
    set_mode(&sandbox.path("to/drop"), 0o733);
    set_mode(&sandbox.path("to"), 0o711);
    set_mode(&sandbox.path(""), 0o711);
    for files in [3, 0] {
        let driven = Drive::new(&source, &copy).user(NOBODY).run();
        driven.assert_complete();
        assert_eq!((driven.number("files"), driven.number("found")), (files, 5));
    }
    let driven = Drive::new(&source.join("plain"), &sandbox.path("to/drop/plain")).user(NOBODY).run();
    driven.assert_complete();
    assert_same_but(&source, &copy, &[Aspect::Owner, Aspect::Atime]);
    // Searching is not listing.
    let unlisted = Drive::new(&sandbox.path("to/drop/."), &sandbox.path("to/again")).user(NOBODY).run();
    assert!(unlisted.failures.iter().all(|line| line.contains("cannot open")), "{:?}", unlisted.failures);
    assert!(unlisted.number("failed") == 1 && !sandbox.path("to/again").exists());
}

#[test]
fn closed_directories_of_ones_own_are_filled_and_closed_again() {
    let Some(sandbox) = sandbox() else { return };
    let drive = Drive::new(&sandbox.path("src"), &sandbox.path("to/copy")).user(NOBODY);
    drive.clone().run().assert_complete();
    let sandbox = sandbox.file("src/dir/new", b"new");
    // The mode is the source's again in the end, or the one that the copy had.
    drive.clone().run().assert_complete();
    let mode = || fs::metadata(sandbox.path("to/copy/dir")).unwrap().mode() & 0o7777;
    assert_eq!((sandbox.read("to/copy/dir/new"), mode()), (b"new".to_vec(), 0o555));
    let sandbox = sandbox.file("src/dir/newer", b"newer");
    set_mode(&sandbox.path("to/copy/dir"), 0o511);
    drive.without(Attributes::MODE).run().assert_complete();
    let mode = fs::metadata(sandbox.path("to/copy/dir")).unwrap().mode() & 0o7777;
    assert_eq!((sandbox.read("to/copy/dir/newer"), mode), (b"newer".to_vec(), 0o511));
}

#[test]
fn times_that_may_not_be_set_are_told_and_failures_where_they_were_named() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = sandbox.dir("to/copy/dir").dir("to/copy/other").dir("src/other");
    let (source, copy) = (sandbox.path("src"), sandbox.path("to/copy"));
    chown(&source, Some(NOBODY), Some(NOBODY)).unwrap();
    for name in ["plain", "dir/file", "dir"] {
        chown(source.join(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::remove_file(source.join("setuid")).unwrap();
    for name in ["", "dir", "other"] {
        // Root's, where others may write.
        set_mode(&copy.join(name), 0o777);
        set_mode(&source.join(name), 0o777);
        set_times(&source.join(name), 1_234_567_890, 12_345);
    }
    let drive = Drive::new(&source, &copy).user(NOBODY);
    for files in [2, 0] {
        let driven = drive.clone().run();
        driven.assert_complete();
        assert_eq!(driven.number("files"), files);
        // One of the three is as root's in the source as in the copy; and none has an ACL to be removed.
        assert_eq!(sorted(&driven.warnings), ["Owner 2", "Times 3"]);
    }
    let driven = drive.requiring(Attributes::TIMESTAMPS).run();
    assert_eq!(driven.number("failed"), 3, "{:?}", driven.failures);
    assert!(driven.failures.iter().all(|line| line.contains("cannot set times of")), "{:?}", driven.failures);
    assert_eq!(sandbox.read("to/copy/plain"), b"x");
}
