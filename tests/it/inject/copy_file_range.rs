//! What `copy_file_range` may answer, first or midway.

use std::fs;

use super::{
    errnos::{FATAL, all_that_go_on},
    mounts::Attached,
    traced::{Call, Traced, can_trace},
    tree::{
        KIB, MIB, assert_holes_kept, assert_no_temporaries, assert_same_tree, copied, noise, three_files,
        three_pieces,
    },
};
use crate::support::Sandbox;

fn copy_of(sandbox: &Sandbox) -> Traced {
    Traced::copy(sandbox.path("src"), sandbox.path("dst")).without_reflink()
}

#[test]
fn any_refusal_goes_on_with_the_next_method() {
    if !can_trace() {
        return;
    }
    for (how, is_remembered) in all_that_go_on() {
        let sandbox = three_files();
        let outcome = copy_of(&sandbox).fault("copy_file_range", &how).run();
        outcome.assert_complete_despite("copy_file_range");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        assert_eq!(outcome.count("copy_file_range"), if is_remembered { 1 } else { 3 }, "{how}");
        assert_eq!(outcome.summary.moved("sendfile"), 300 * KIB, "{how}");
    }
}

#[test]
fn a_refusal_after_some_bytes_goes_on_from_there_and_keeps_holes() {
    if !can_trace() {
        return;
    }
    for (how, is_remembered) in all_that_go_on() {
        let sandbox = three_pieces();
        let outcome = copy_of(&sandbox).fault("copy_file_range", &format!("{how}:when=2+")).run();
        outcome.assert_complete_despite("copy_file_range");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        assert_holes_kept(&sandbox.path("src/f"), &sandbox.path("dst/f"));
        assert_eq!(outcome.count("copy_file_range"), if is_remembered { 2 } else { 3 }, "{how}");
        assert_eq!(outcome.summary.moved("copy_file_range"), 64 * KIB, "{how}");
        assert_eq!(outcome.summary.moved("sendfile"), 128 * KIB, "{how}");
    }
}

#[test]
fn a_refusal_inside_a_large_file_goes_on_from_there() {
    if !can_trace() {
        return;
    }
    let size = 20 * MIB + 3;
    let sandbox = Sandbox::new().file("src/f", &noise(1, size));
    for (how, _) in all_that_go_on() {
        let _ = fs::remove_dir_all(sandbox.path("dst"));
        let copy = copy_of(&sandbox).told("zero-copy", "force");
        let outcome = copy.fault("copy_file_range", &format!("{how}:when=2+")).run();
        outcome.assert_complete_despite("copy_file_range");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        let moved = outcome.summary.moved("copy_file_range");
        assert!(0 < moved && moved < size, "{how}: {moved}");
        // The file position belongs to all workers on the file, so sendfile is for one alone.
        let others = ["sendfile", "splice"].map(|method| outcome.summary.moved(method));
        assert_eq!(others.iter().sum::<u64>(), size - moved, "{how}");
    }
}

#[test]
fn an_interrupted_call_is_made_again() {
    if !can_trace() {
        return;
    }
    let sandbox = three_pieces();
    let outcome = copy_of(&sandbox).fault("copy_file_range", "error=EINTR:when=2..4").run();
    outcome.assert_complete_despite("copy_file_range");
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    assert_eq!(outcome.count("copy_file_range"), 3 + 3);
    assert_eq!(outcome.summary.moved("copy_file_range"), 3 * 64 * KIB);
}

#[test]
fn a_want_of_space_or_memory_fails_the_file_and_leaves_nothing_of_it() {
    if !can_trace() {
        return;
    }
    for (name, errno) in FATAL {
        let sandbox = three_files();
        let outcome = copy_of(&sandbox).fault("copy_file_range", &format!("error={name}:when=2")).run();
        outcome.assert_one_failure_by("copy_file_range", errno);
        assert!(copied(&sandbox).len() >= outcome.others(2), "{name}");
        assert_no_temporaries(&sandbox.path("dst"));
    }
}

#[test]
fn a_want_of_space_midway_keeps_the_old_file() {
    if !can_trace() {
        return;
    }
    for (name, errno) in FATAL {
        let sandbox = three_pieces().file("dst/f", b"old");
        let outcome = copy_of(&sandbox).fault("copy_file_range", &format!("error={name}:when=2")).run();
        outcome.assert_one_failure_by("copy_file_range", errno);
        assert_eq!(sandbox.read("dst/f"), b"old", "{name}");
        assert_no_temporaries(&sandbox.path("dst"));
    }
}

#[test]
fn a_failing_range_removes_the_whole_large_file() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().file("src/f", &noise(1, 40 * MIB)).file("src/other", b"other");
    for (name, errno) in FATAL {
        for jobs in ["1", "2"] {
            let _ = std::fs::remove_dir_all(sandbox.path("dst"));
            let copy = copy_of(&sandbox).told("zero-copy", "force").told("jobs", jobs);
            let outcome = copy.fault("copy_file_range", &format!("error={name}:when=2")).run();
            outcome.assert_one_failure_by("copy_file_range", errno);
            assert!(!sandbox.path("dst/f").exists(), "{name}");
            assert!(outcome.others(1) == 0 || sandbox.read("dst/other") == b"other");
            assert_no_temporaries(&sandbox.path("dst"));
        }
    }
}

/// Where a server does not copy by itself the kernel splices, and sees a short read only past the page cache.
#[test]
fn inside_fuse_the_source_is_kept_out_of_the_page_cache() {
    if !can_trace() {
        return;
    }
    let below = Sandbox::new();
    let Some(attached) = Attached::fuse(&below.path("")) else { return };
    fs::create_dir(attached.path("src")).unwrap();
    for (name, size) in [("small", 200 * KIB), ("large", 20 * MIB)] {
        fs::write(attached.path("src").join(name), noise(1, size)).unwrap();
    }
    let copy = Traced::copy(attached.path("src"), attached.path("dst")).told("jobs", "4");
    let outcome = copy.recording("copy_file_range,sendfile,splice,fcntl").run();
    assert_same_tree(&attached.path("src"), &attached.path("dst"));
    assert_eq!(outcome.summary.moved("copy_file_range"), 20 * MIB + 200 * KIB);
    assert_eq!(outcome.count("sendfile") + outcome.count("splice"), 0);
    let file = |call: &Call| call.line.split(['(', ',']).nth(1).map(str::to_owned);
    let set: Vec<_> = outcome.calls.iter().filter(|call| call.line.contains("F_SETFL")).collect();
    // Nobody takes it away while others read.
    assert!(set.iter().all(|call| call.line.contains("O_DIRECT")), "{set:#?}");
    let direct: Vec<_> = set.into_iter().map(file).collect();
    let mut copies = outcome.calls.iter().filter(|call| call.line.contains("copy_file_range("));
    assert!(copies.all(|call| direct.contains(&file(call))), "{:#?}", outcome.calls);
}
