//! Entries that fail for themselves: one failure each, and everything else is copied.

use std::{fs, path::Path};

use nix::errno::Errno;

use super::{
    traced::{Outcome, Traced, can_trace},
    tree::{assert_no_temporaries, noise, same_entry, walk},
};
use crate::support::Sandbox;

const ERRNOS: [(&str, Errno); 2] = [("EIO", Errno::EIO), ("EACCES", Errno::EACCES)];

/// A tree in which `bad` is one of several, and everything else can be copied.
fn tree() -> Sandbox {
    let sandbox = Sandbox::new()
        .file("src/a/file", &noise(1, 5_000))
        .file("src/bad-dir/inside", b"inside")
        .file("src/bad-file", &noise(2, 5_000))
        .file("src/z/file", b"last")
        .symlink("a/file", "src/bad-symlink")
        .symlink("bad-file", "src/symlink");
    let fifo = nix::sys::stat::Mode::from_bits_truncate(0o640);
    nix::unistd::mkfifo(&sandbox.path("src/bad-fifo"), fifo).unwrap();
    nix::unistd::mkfifo(&sandbox.path("src/fifo"), fifo).unwrap();
    fs::hard_link(sandbox.path("src/a/file"), sandbox.path("src/z/bad-link")).unwrap();
    sandbox
}

/// What of the source has no equal in the copy; directories are compared by name alone.
fn missing(sandbox: &Sandbox) -> Vec<String> {
    let (source, copy) = (sandbox.path("src"), sandbox.path("dst"));
    let mut missing = Vec::new();
    for path in walk(&source) {
        let name = path.strip_prefix(&source).unwrap();
        let there = copy.join(name);
        if fs::symlink_metadata(&there).is_err() {
            missing.push(name.display().to_string());
        } else if !path.is_dir() || path.is_symlink() {
            same_entry(&path, &there).unwrap();
        }
    }
    assert_no_temporaries(&copy);
    missing
}

fn copy_of(sandbox: &Sandbox) -> Traced {
    Traced::copy(sandbox.path("src"), sandbox.path("dst")).without_reflink()
}

/// Make the call that touches `parts` fail with `errno`.
fn failing_at(sandbox: &Sandbox, call: &str, parts: &[&str], errno: &str) -> Outcome {
    let afresh = || fs::remove_dir_all(sandbox.path("dst")).unwrap();
    copy_of(sandbox).fault_at(call, parts, &format!("error={errno}"), afresh).run()
}

#[test]
fn an_entry_that_cannot_be_read_or_created_is_one_failure() {
    if !can_trace() {
        return;
    }
    for (call, parts, lost) in [
        ("openat", ["/src>", "\"bad-dir\""], &["bad-dir", "bad-dir/inside"][..]),
        ("mkdirat", ["/dst>", "\"bad-dir\""], &["bad-dir", "bad-dir/inside"]),
        ("openat", ["/src>", "\"bad-file\""], &["bad-file"]),
        ("openat", ["/dst>", "\"bad-file\""], &["bad-file"]),
        ("readlinkat", ["/src>", "\"bad-symlink\""], &["bad-symlink"]),
        ("symlinkat", ["/dst>", "\"bad-symlink\""], &["bad-symlink"]),
        ("newfstatat", ["/src>", "\"bad-fifo\""], &["bad-fifo"]),
    ] {
        for (name, errno) in ERRNOS {
            let sandbox = tree();
            let outcome = failing_at(&sandbox, call, &parts, name);
            outcome.assert_one_failure_by(call, errno);
            assert_eq!(missing(&sandbox), lost, "{call} {parts:?} {name}");
            let bad = lost[0];
            // The path is that of the side on which the call failed.
            let side = parts[0].trim_end_matches('>');
            assert!(outcome.summary.failures[0].contains(&format!("{side}/{bad}")), "{:?}", outcome.summary);
        }
    }
}

#[test]
fn a_special_file_or_link_that_the_storage_refuses_is_one_failure() {
    if !can_trace() {
        return;
    }
    let sandbox = tree();
    let outcome = failing_at(&sandbox, "mknodat", &["\"bad-fifo\""], "EIO");
    outcome.assert_one_failure_by("mknodat", Errno::EIO);
    assert_eq!(missing(&sandbox), ["bad-fifo"]);
    let sandbox = tree();
    let outcome = failing_at(&sandbox, "linkat", &[], "EIO");
    outcome.assert_one_failure_by("linkat", Errno::EIO);
    assert_eq!(missing(&sandbox).len(), 1, "either name may have come first");
}

#[test]
fn a_listing_that_breaks_off_loses_only_what_it_did_not_list() {
    if !can_trace() {
        return;
    }
    for (name, errno) in ERRNOS {
        let sandbox = tree();
        let outcome = failing_at(&sandbox, "getdents64", &["/src/bad-dir>"], name);
        outcome.assert_one_failure_by("getdents64", errno);
        assert_eq!(missing(&sandbox), ["bad-dir/inside"], "{name}");
        // A second call finds the end of a small directory, where it is not refused.
        let sandbox = tree();
        let outcome = failing_at(&sandbox, "getdents64", &["/src/bad-dir>", " = 0"], name);
        outcome.assert_one_failure_by("getdents64", errno);
        assert_eq!(missing(&sandbox), [""; 0], "{name}");
    }
}

#[test]
fn a_directory_that_fails_is_one_failed_entry_and_not_a_created_one() {
    if !can_trace() {
        return;
    }
    let sandbox = tree();
    let whole = copy_of(&sandbox).run().summary;
    // A call on the directory itself, of either side, is a failure of that one.
    for side in ["/src/bad-dir", "/dst/bad-dir"] {
        let sandbox = tree();
        let outcome = failing_at(&sandbox, "newfstatat", &[&format!("{side}>, \"\"")], "EIO");
        outcome.assert_one_failure_by("newfstatat", Errno::EIO);
        assert!(outcome.summary.failures[0].contains(side), "{side}: {:?}", outcome.summary);
    }
    for (call, named, parts) in [
        ("fchmod", "MODE", ["/dst/bad-dir>"]),
        ("utimensat", "TIMESTAMPS", ["/dst/bad-dir>"]),
        ("getdents64", "MODE", ["/src/bad-dir>"]),
    ] {
        let sandbox = tree();
        let afresh = || fs::remove_dir_all(sandbox.path("dst")).unwrap();
        let copy = copy_of(&sandbox).told("requiring", named);
        let outcome = copy.fault_at(call, &parts, "error=EIO", afresh).run();
        outcome.assert_one_failure_by(call, Errno::EIO);
        let path = parts[0].trim_end_matches('>');
        assert!(outcome.summary.failures[0].contains(path), "{:?}", outcome.summary);
        let created = whole.total("directories_created") - 1;
        assert_eq!(outcome.summary.total("directories_created"), created, "{call}");
        let again = copy_of(&sandbox).run();
        assert_eq!(again.summary.total("directories_merged"), whole.total("directories_created"), "{call}");
    }
    // It is one entry however often it fails.
    let sandbox = tree();
    let afresh = || fs::remove_dir_all(sandbox.path("dst")).unwrap();
    let copy = copy_of(&sandbox).told("requiring", "MODE");
    let copy = copy.fault_at("getdents64", &["/src/bad-dir>"], "error=EIO", afresh);
    let outcome = copy.fault_at("fchmod", &["/dst/bad-dir>"], "error=EIO", afresh).run();
    assert_eq!((outcome.injected("fchmod"), outcome.injected("getdents64")), (1, 1));
    assert_eq!((outcome.summary.failures.len(), outcome.summary.total("failed")), (2, 1));
    assert!(outcome.summary.failures.iter().all(|failure| failure.contains("/bad-dir:")));
}

#[test]
fn a_file_without_memory_is_one_failure() {
    if !can_trace() {
        return;
    }
    let sandbox = tree();
    let outcome = failing_at(&sandbox, "openat", &["/src>", "\"bad-file\""], "ENOMEM");
    outcome.assert_one_failure_by("openat", Errno::ENOMEM);
    assert_eq!(missing(&sandbox), ["bad-file"]);
}

#[test]
fn a_descriptor_that_is_missing_for_a_moment_is_waited_for() {
    if !can_trace() {
        return;
    }
    for (errno, parts) in [
        ("EMFILE", ["/src>", "\"bad-file\""]),
        ("ENFILE", ["/dst>", "\"bad-file\""]),
        ("EMFILE", ["/src>", "\"bad-dir\""]),
        ("ENFILE", ["/dst>", "\"bad-dir\""]),
    ] {
        let sandbox = tree();
        let outcome = failing_at(&sandbox, "openat", &parts, errno);
        outcome.assert_complete_despite("openat");
        assert_eq!(outcome.summary.total("retries"), 0, "{parts:?}");
        assert!(missing(&sandbox).is_empty() && outcome.summary.warnings() == 0);
    }
}

#[test]
fn a_rename_that_fails_keeps_the_old_entry_and_leaves_no_temporary() {
    if !can_trace() {
        return;
    }
    for (name, errno) in [("EIO", Errno::EIO), ("ENOSPC", Errno::ENOSPC), ("EACCES", Errno::EACCES)] {
        let sandbox = Sandbox::in_memory().file("src/f", b"new content").file("dst/f", b"old");
        let outcome = copy_of(&sandbox).fault("renameat", &format!("error={name}")).run();
        outcome.assert_one_failure_by("renameat", errno);
        assert_eq!(sandbox.read("dst/f"), b"old");
        assert_no_temporaries(&sandbox.path("dst"));
        let sandbox = Sandbox::in_memory()
            .file("src/f", b"f")
            .dir("dst")
            .symlink("new", "src/s")
            .symlink("old", "dst/s");
        let outcome = copy_of(&sandbox).fault("renameat", &format!("error={name}")).run();
        outcome.assert_one_failure_by("renameat", errno);
        assert_eq!(fs::read_link(sandbox.path("dst/s")).unwrap(), Path::new("old"));
        assert_eq!(sandbox.read("dst/f"), b"f");
        assert_no_temporaries(&sandbox.path("dst"));
    }
}

#[test]
fn what_cannot_be_removed_after_a_failure_is_said() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().file("src/f", &noise(1, 1000)).file("src/g", b"g");
    let copy = copy_of(&sandbox).fault("unlinkat", "error=EIO");
    let outcome = copy.fault("pwrite64", "error=ENOSPC:when=1").run();
    // The copy; the mark of the run stays, since it speaks of that.
    assert_eq!((outcome.injected("unlinkat"), outcome.injected("pwrite64")), (1, 1));
    assert_eq!((outcome.summary.total("failed"), outcome.summary.warned("Leftover")), (1, 0));
    assert!(outcome.summary.failures[0].contains("could not be removed"), "{:?}", outcome.summary);
    // It has not the time of its source, so the next run does not take it for finished.
    let again = copy_of(&sandbox).run();
    assert!(again.status.success(), "{:?}", again.summary);
    assert_eq!(missing(&sandbox), [""; 0]);
}

#[test]
fn a_source_that_may_not_be_opened_without_a_trace_is_opened_with_one() {
    if !can_trace() {
        return;
    }
    let sandbox = tree();
    let afresh = || fs::remove_dir_all(sandbox.path("dst")).unwrap();
    let copy = copy_of(&sandbox);
    let copy = copy.fault_at("openat", &["\"bad-file\"", "O_NOATIME"], "error=EPERM", afresh);
    let outcome = copy.run();
    outcome.assert_complete_despite("openat");
    assert_eq!(missing(&sandbox), [""; 0]);
}
