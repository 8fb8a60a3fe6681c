//! The threshold of kernel copies, where the one way or the other is slow: it moves, and what comes
//! later goes the faster way.

use super::{
    traced::{Outcome, Traced, can_trace},
    tree::{KIB, assert_same_tree, noise},
};
use crate::support::{Filesystem, Mount, Sandbox};

/// Enough files to judge a size by, and as many again.
const FILES: usize = 512;

/// Copy files of one size, where `call` is slow, as told beside.
fn copied(size: u64, call: &str, told: &[(&str, &str)]) -> Option<Outcome> {
    let mount = Mount::new(Filesystem::Tmpfs, 256).filter(|_| can_trace())?;
    let content = noise(size, size);
    let sandbox =
        (0..FILES).fold(Sandbox::on(&mount), |sandbox, index| sandbox.file(format!("src/{index}"), &content));
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).without_reflink();
    let copy = told.iter().fold(copy, |copy, (key, value)| copy.told(key, value));
    let outcome = copy.fault(call, "delay_enter=3000").run();
    outcome.assert_complete_despite("ioctl");
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    assert_eq!(outcome.summary.total("files_copied"), FILES as u64);
    Some(outcome)
}

/// How often a call on file content was made; the ends of a copy's own messages are not.
fn calls(outcome: &Outcome, name: &str) -> usize {
    outcome.calls.iter().filter(|call| call.name == name && call.line.contains("/src/")).count()
}

#[test]
fn where_the_kernels_copy_is_slow_later_files_go_through_a_buffer() {
    let Some(outcome) = copied(70 * KIB, "copy_file_range", &[]) else { return };
    assert_eq!(outcome.summary.total("threshold"), 128 << 10);
    assert_eq!(outcome.summary.total("threshold_steps"), 1);
    // One in 16 of the first 256 goes the other way already, and very few of the rest.
    let by_kernel = calls(&outcome, "copy_file_range");
    assert!((240..=246).contains(&by_kernel), "{by_kernel}");
    assert_eq!(outcome.summary.moved("copy_file_range"), by_kernel as u64 * 70 * KIB);
    assert_eq!(outcome.summary.moved("buffered"), (FILES - by_kernel) as u64 * 70 * KIB);
}

#[test]
fn where_a_buffer_is_slow_later_files_go_by_the_kernel() {
    let Some(outcome) = copied(40 * KIB, "pread64", &[]) else { return };
    assert_eq!(outcome.summary.total("threshold"), 32 << 10);
    assert_eq!(outcome.summary.total("threshold_steps"), 1);
    let buffered = outcome.summary.moved("buffered") / (40 * KIB);
    assert!((240..=246).contains(&buffered), "{buffered}");
    assert_eq!(outcome.summary.moved("copy_file_range"), (FILES as u64 - buffered) * 40 * KIB);
}

#[test]
fn a_threshold_that_was_asked_for_stays_and_nothing_is_tried() {
    let Some(outcome) = copied(70 * KIB, "copy_file_range", &[("threshold", "65536")]) else { return };
    assert_eq!(calls(&outcome, "copy_file_range"), FILES);
    assert_eq!(outcome.summary.moved("buffered"), 0);
    assert_eq!((outcome.summary.total("threshold_steps"), outcome.summary.total("threshold")), (0, 65_536));
}

#[test]
fn what_is_forced_or_forbidden_is_not_tried_otherwise() {
    let forced = copied(40 * KIB, "copy_file_range", &[("zero-copy", "force")]);
    let forbidden = copied(70 * KIB, "pread64", &[("zero-copy", "forbid")]);
    let (Some(forced), Some(forbidden)) = (forced, forbidden) else { return };
    assert_eq!(forced.summary.moved("copy_file_range"), FILES as u64 * 40 * KIB);
    assert_eq!(forbidden.summary.moved("buffered"), FILES as u64 * 70 * KIB);
    for outcome in [forced, forbidden] {
        assert_eq!(outcome.summary.total("threshold_steps"), 0);
        assert_eq!(outcome.summary.total("threshold"), 0, "size decides nothing");
    }
}

#[test]
fn where_blocks_are_shared_nothing_is_tried() {
    let Some(mount) = Mount::new(Filesystem::Xfs, 400).filter(|_| can_trace()) else { return };
    let files = (0..FILES).map(|index| (format!("src/{index}"), noise(index as u64, 70 * KIB)));
    let sandbox = files.fold(Sandbox::on(&mount), |sandbox, (name, content)| sandbox.file(name, &content));
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
    let outcome = copy.recording("ioctl,copy_file_range,pwrite64").run();
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    assert_eq!(outcome.summary.moved("reflink"), FILES as u64 * 70 * KIB);
    assert_eq!(outcome.count("ioctl"), FILES);
    assert_eq!(outcome.count("copy_file_range") + calls(&outcome, "pwrite64"), 0);
    assert_eq!(outcome.summary.total("threshold_steps"), 0);
}
