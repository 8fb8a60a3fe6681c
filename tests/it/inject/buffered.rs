//! Reads and writes through a buffer that fail, first or midway.

use nix::errno::Errno;

use super::{
    traced::{Traced, can_trace},
    tree::{
        KIB, MIB, assert_holes_kept, assert_no_temporaries, assert_same_tree, copied, noise, three_pieces,
    },
};
use crate::support::Sandbox;

const READ: [(&str, Errno); 2] = [("EIO", Errno::EIO), ("EACCES", Errno::EACCES)];
const WRITE: [(&str, Errno); 5] = [
    ("EIO", Errno::EIO),
    ("ENOSPC", Errno::ENOSPC),
    ("EDQUOT", Errno::EDQUOT),
    ("EFBIG", Errno::EFBIG),
    ("EROFS", Errno::EROFS),
];

fn failing() -> impl Iterator<Item = (&'static str, &'static str, Errno)> {
    let reads = READ.into_iter().map(|(name, errno)| ("pread64", name, errno));
    reads.chain(WRITE.into_iter().map(|(name, errno)| ("pwrite64", name, errno)))
}

fn copy_of(sandbox: &Sandbox) -> Traced {
    Traced::copy(sandbox.path("src"), sandbox.path("dst")).without_reflink().told("zero-copy", "forbid")
}

#[test]
fn a_failed_read_or_write_fails_the_file_and_leaves_nothing_of_it() {
    if !can_trace() {
        return;
    }
    for (call, name, errno) in failing() {
        // A megabyte is four reads and four writes; the first and the third of the first file.
        for when in [1, 3] {
            let sandbox = Sandbox::new().file("src/a", &noise(1, MIB)).file("src/b", &noise(2, MIB));
            let outcome = copy_of(&sandbox).fault(call, &format!("error={name}:when={when}")).run();
            outcome.assert_one_failure_by(call, errno);
            assert!(copied(&sandbox).len() >= outcome.others(1), "{call} {name} {when}");
            assert_no_temporaries(&sandbox.path("dst"));
        }
    }
}

#[test]
fn a_failed_read_or_write_leaves_the_old_file_as_it_was() {
    if !can_trace() {
        return;
    }
    for (call, name, errno) in failing() {
        let sandbox = three_pieces().file("dst/f", b"old");
        let outcome = copy_of(&sandbox).fault(call, &format!("error={name}:when=2")).run();
        outcome.assert_one_failure_by(call, errno);
        assert_eq!(sandbox.read("dst/f"), b"old", "{call} {name}");
        assert_no_temporaries(&sandbox.path("dst"));
    }
}

#[test]
fn a_failure_in_one_range_removes_the_whole_large_file() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().file("src/f", &noise(1, 20 * MIB)).file("src/other", b"other");
    for (call, name, errno) in failing() {
        for jobs in ["1", "2"] {
            let _ = std::fs::remove_dir_all(sandbox.path("dst"));
            let copy = copy_of(&sandbox).told("jobs", jobs);
            let outcome = copy.fault(call, &format!("error={name}:when=9")).run();
            outcome.assert_one_failure_by(call, errno);
            assert!(!sandbox.path("dst/f").exists(), "{call} {name} {jobs}");
            assert!(copied(&sandbox).len() >= outcome.others(1), "{call} {name} {jobs}");
        }
    }
}

#[test]
fn interrupted_reads_and_writes_are_made_again() {
    if !can_trace() {
        return;
    }
    for call in ["pread64", "pwrite64"] {
        for (size, jobs) in [(MIB + 7, "1"), (20 * MIB + 7, "2")] {
            let sandbox = Sandbox::new().file("src/f", &noise(1, size));
            let copy = copy_of(&sandbox).told("jobs", jobs);
            let outcome = copy.fault(call, "error=EINTR:when=1+3").run();
            outcome.assert_complete_despite(call);
            assert_eq!(outcome.summary.moved("buffered"), size, "{call}");
            assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        }
    }
}

#[test]
fn holes_are_kept_through_a_buffer() {
    if !can_trace() {
        return;
    }
    let sandbox = three_pieces();
    let outcome = copy_of(&sandbox).fault("pwrite64", "error=EINTR:when=2").run();
    outcome.assert_complete_despite("pwrite64");
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    assert_holes_kept(&sandbox.path("src/f"), &sandbox.path("dst/f"));
    assert_eq!(outcome.summary.moved("buffered"), 3 * 64 * KIB);
}

#[test]
fn a_write_that_takes_nothing_is_a_failure_and_no_endless_loop() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().file("src/f", &noise(1, MIB)).file("src/other", b"other");
    let copy = copy_of(&sandbox);
    let at = copy.fault_at("pwrite64", &["/dst/f>"], "retval=0", || {
        std::fs::remove_dir_all(sandbox.path("dst")).unwrap();
    });
    let outcome = at.run();
    assert_eq!(outcome.injected("pwrite64"), 1);
    assert_eq!(outcome.summary.total("failed"), 1, "{:?}", outcome.summary);
    assert_eq!(copied(&sandbox), ["other"]);
}

#[test]
fn a_source_that_ends_before_its_size_is_never_silently_short() {
    if !can_trace() {
        return;
    }
    for (size, when) in [(MIB, 3), (20 * MIB, 30)] {
        let sandbox = Sandbox::new().file("src/f", &noise(1, size));
        let outcome = copy_of(&sandbox).fault("pread64", &format!("retval=0:when={when}")).run();
        assert_eq!(outcome.injected("pread64"), 1);
        assert_eq!(outcome.summary.total("changed_while_copied"), 1, "{:?}", outcome.summary);
        assert_eq!(outcome.status.code(), Some(1));
        let again = copy_of(&sandbox).run();
        assert_eq!(again.summary.total("files_copied"), 1, "the next run copies it again");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    }
}
