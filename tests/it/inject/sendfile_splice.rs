//! What `sendfile` and `splice` may answer, first or midway.

use super::{
    errnos::{FATAL, all_that_go_on},
    traced::{Traced, can_trace},
    tree::{
        KIB, MIB, assert_holes_kept, assert_no_temporaries, assert_same_tree, copied, noise, three_files,
        three_pieces,
    },
};
use crate::support::Sandbox;

/// A copy that gets as far as sendfile.
fn by_sendfile(sandbox: &Sandbox) -> Traced {
    Traced::copy(sandbox.path("src"), sandbox.path("dst"))
        .without_reflink()
        .fault("copy_file_range", "error=ENOSYS")
}

/// A copy that gets as far as splice.
fn by_splice(sandbox: &Sandbox) -> Traced {
    by_sendfile(sandbox).fault("sendfile", "error=ENOSYS")
}

/// One step of the ladder: how to get there, the call, and the method that follows.
type Step = (fn(&Sandbox) -> Traced, &'static str, &'static str);
const STEPS: [Step; 2] = [(by_sendfile, "sendfile", "splice"), (by_splice, "splice", "buffered")];

#[test]
fn any_refusal_goes_on_with_the_next_method() {
    if !can_trace() {
        return;
    }
    for (copy_of, call, next) in STEPS {
        for (how, is_remembered) in all_that_go_on() {
            let sandbox = three_files();
            let outcome = copy_of(&sandbox).fault(call, &how).run();
            outcome.assert_complete_despite(call);
            assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
            assert_eq!(outcome.injected(call), if is_remembered { 1 } else { 3 }, "{call} {how}");
            assert_eq!(outcome.summary.moved(next), 300 * KIB, "{call} {how}");
        }
    }
}

#[test]
fn a_refusal_after_some_bytes_goes_on_from_there_and_keeps_holes() {
    if !can_trace() {
        return;
    }
    for (how, is_remembered) in all_that_go_on() {
        let sandbox = three_pieces();
        let outcome = by_sendfile(&sandbox).fault("sendfile", &format!("{how}:when=2+")).run();
        outcome.assert_complete_despite("sendfile");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        assert_holes_kept(&sandbox.path("src/f"), &sandbox.path("dst/f"));
        assert_eq!(outcome.count("sendfile"), if is_remembered { 2 } else { 3 }, "{how}");
        assert_eq!(outcome.summary.moved("sendfile"), 64 * KIB, "{how}");
        assert_eq!(outcome.summary.moved("splice"), 128 * KIB, "{how}");
    }
}

#[test]
fn a_pipe_that_cannot_be_filled_or_emptied_loses_nothing() {
    if !can_trace() {
        return;
    }
    // Odd calls fill the pipe, even ones empty it.
    for nth in ["3+", "4+", "4", "5", "6"] {
        for (how, _) in all_that_go_on() {
            let sandbox = three_pieces().file("src/g", &noise(7, 300 * KIB));
            let outcome = by_splice(&sandbox).fault("splice", &format!("{how}:when={nth}")).run();
            outcome.assert_complete_despite("splice");
            assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
            assert_holes_kept(&sandbox.path("src/f"), &sandbox.path("dst/f"));
            let (spliced, buffered) = (outcome.summary.moved("splice"), outcome.summary.moved("buffered"));
            assert!(spliced > 0 && buffered > 0, "{nth} {how}: {spliced} {buffered}");
            assert_eq!(spliced + buffered, (3 * 64 + 300) * KIB, "{nth} {how}");
        }
    }
}

#[test]
fn a_refusal_inside_a_large_file_goes_on_from_there() {
    if !can_trace() {
        return;
    }
    let size = 9 * MIB + 3;
    let sandbox = Sandbox::new().file("src/f", &noise(1, size));
    for (how, _) in all_that_go_on() {
        let _ = std::fs::remove_dir_all(sandbox.path("dst"));
        let copy = by_splice(&sandbox).told("zero-copy", "force");
        let outcome = copy.fault("splice", &format!("{how}:when=6+")).run();
        outcome.assert_complete_despite("splice");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        assert_eq!(outcome.summary.moved("sendfile"), 0, "it is refused, and for one worker alone anyway");
        let spliced = outcome.summary.moved("splice");
        assert!(0 < spliced && spliced < size, "{how}: {spliced}");
        assert_eq!(spliced + outcome.summary.moved("buffered"), size, "{how}");
    }
}

#[test]
fn an_interrupted_call_is_made_again() {
    if !can_trace() {
        return;
    }
    // Three pieces: three calls of sendfile, or six of splice.
    let when: [&[&str]; 2] = [&["1..2", "2", "3"], &["1..2", "2..3", "5", "6..7"]];
    for ((copy_of, call, _), when) in STEPS.into_iter().zip(when) {
        for when in when {
            let sandbox = three_pieces();
            let outcome = copy_of(&sandbox).fault(call, &format!("error=EINTR:when={when}")).run();
            outcome.assert_complete_despite(call);
            assert_eq!(outcome.summary.moved(call), 3 * 64 * KIB, "{call} {when}");
            assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        }
    }
}

#[test]
fn a_want_of_space_or_memory_fails_the_file_and_leaves_nothing_of_it() {
    if !can_trace() {
        return;
    }
    for (copy_of, call, _) in STEPS {
        for (name, errno) in FATAL {
            let sandbox = three_files();
            let outcome = copy_of(&sandbox).fault(call, &format!("error={name}:when=2")).run();
            outcome.assert_one_failure_by(call, errno);
            assert!(copied(&sandbox).len() >= outcome.others(2), "{call} {name}");
            let sandbox = three_pieces().file("dst/f", b"old");
            let outcome = copy_of(&sandbox).fault(call, &format!("error={name}:when=2")).run();
            outcome.assert_one_failure_by(call, errno);
            assert_eq!(sandbox.read("dst/f"), b"old", "{call} {name}");
            assert_no_temporaries(&sandbox.path("dst"));
        }
    }
}

#[test]
fn without_a_pipe_the_bytes_go_through_a_buffer() {
    if !can_trace() {
        return;
    }
    for errno in ["EMFILE", "ENFILE"] {
        let sandbox = three_files();
        let outcome = by_splice(&sandbox).fault("pipe2", &format!("error={errno}")).run();
        outcome.assert_complete_despite("pipe2");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        assert_eq!(outcome.summary.moved("buffered"), 300 * KIB);
    }
}
