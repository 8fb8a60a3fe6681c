//! A destination that keeps less than it says, or fails late.

use std::path::Path;

use orbit::{CopyJob, Fsync, Report, Verify};

use super::tree::{MIB, noise};
use crate::support::{
    Sandbox, assert_complete, is_root, run,
    sink::{Fate, Sink},
    skip,
};

/// Small, of many writes, and of several ranges.
const FILES: [(&str, u64); 4] = [("empty", 0), ("small", 100), ("middle", 700_000), ("large", 9 * MIB)];
/// What is there before of those that are replaced.
const OLD: &[u8] = b"old content";

fn content(name: &str) -> Vec<u8> {
    let (seed, (_, size)) = (1..).zip(FILES).find(|(_, (file, _))| *file == name).unwrap();
    noise(seed, size)
}

fn mounted(is_cached: bool) -> Option<(Sandbox, Sink)> {
    if !is_root() || !Path::new("/dev/fuse").exists() {
        skip("mounting a FUSE filesystem needs root and /dev/fuse");
        return None;
    }
    let sandbox = FILES.iter().fold(Sandbox::new().dir("dst"), |sandbox, (name, _)| {
        sandbox.file(Path::new("src").join(name), &content(name))
    });
    let sink = Sink::mount(&sandbox.path("dst"), is_cached).expect("root may mount it");
    Some((sandbox, sink))
}

/// Copy to where there is nothing, or to where there are old files; which files failed.
fn copy(sandbox: &Sandbox, sink: &Sink, replaces: bool, job: impl Fn(CopyJob) -> CopyJob) -> Vec<String> {
    FILES.iter().for_each(|(name, _)| sink.put(name, replaces.then_some(OLD)));
    let report = run(job(CopyJob::new(sandbox.path("src"), sandbox.path("dst"))));
    failed(&report)
}

fn failed(report: &Report) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut failed: Vec<_> = report.failures.iter().map(|failure| name(failure.path())).collect();
    failed.sort();
    failed
}

/// Whatever failed left what was there; everything else is right; nothing else is there. Then, where all is
/// kept again, the next run makes it so.
fn assert_honest(sandbox: &Sandbox, sink: &Sink, replaces: bool, failed: &[String], told: &str) {
    for (name, _) in FILES {
        let there = sink.content(name);
        let expected = match failed.iter().any(|one| one == name) {
            true => replaces.then(|| OLD.to_vec()),
            false => Some(content(name)),
        };
        let lengths = [&there, &expected].map(|content| content.as_ref().map(Vec::len));
        assert!(there == expected, "{told}: {name}, {lengths:?}");
    }
    let names = sink.names();
    assert!(names.iter().all(|name| FILES.iter().any(|(file, _)| *file == name)), "{told}: {names:?}");
    sink.set(Fate::Kept);
    let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")));
    assert_complete(&report);
    assert_eq!(report.totals.files_copied, failed.len() as u64, "{told}: what was right is not copied again");
    for (name, _) in FILES {
        assert!(sink.content(name) == Some(content(name)), "{told}: {name} after the next run");
    }
}

#[test]
fn a_destination_that_takes_little_at_a_time_gets_it_all() {
    let Some((sandbox, sink)) = mounted(false) else { return };
    for most in [1_000, 4_095, 100_000] {
        for replaces in [false, true] {
            sink.set(Fate::Short(most));
            let failed = copy(&sandbox, &sink, replaces, |job| job);
            assert_eq!(failed, [""; 0], "{most}");
            assert_honest(&sandbox, &sink, replaces, &failed, &format!("{most} bytes a call"));
        }
    }
}

#[test]
fn a_destination_that_fails_late_is_told_and_not_trusted() {
    let Some((sandbox, sink)) = mounted(false) else { return };
    for (fate, fsync, expected) in [
        (Fate::FailsAt(0), Fsync::Auto, &["large", "middle", "small"][..]),
        (Fate::FailsAt(650_000), Fsync::Auto, &["large", "middle"]),
        (Fate::FailsAt(8 * MIB), Fsync::Auto, &["large"]),
        (Fate::FailsAtClose, Fsync::Auto, &["large", "middle", "small"]),
        (Fate::FailsAtSync, Fsync::File, &["empty", "large", "middle", "small"]),
    ] {
        for replaces in [false, true] {
            for jobs in [1, 4] {
                let told = format!("{fate:?}, replaces {replaces}, {jobs} jobs");
                sink.set(fate);
                let failed = copy(&sandbox, &sink, replaces, |job| job.fsync(fsync).jobs(jobs));
                assert_eq!(failed, expected, "{told}");
                assert_honest(&sandbox, &sink, replaces, &failed, &told);
            }
        }
    }
}

#[test]
fn what_a_destination_shows_less_of_is_a_mismatch_where_it_is_large_and_never_trusted() {
    let Some((sandbox, sink)) = mounted(false) else { return };
    for replaces in [false, true] {
        sink.set(Fate::CutShort);
        let failed = copy(&sandbox, &sink, replaces, |job| job);
        assert_eq!(failed, ["large"]);
        let again = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")));
        assert_eq!((again.totals.files_copied, again.totals.failed), (2, 1), "the small ones as well");
        assert_honest(&sandbox, &sink, replaces, &failed, "cut short");
    }
}

#[test]
fn a_destination_that_loses_or_changes_bytes_is_seen_by_who_reads_it_back() {
    // What the kernel has in memory is what was written, so there only the device's own answer counts.
    for (is_cached, verifies) in
        [(false, &[Verify::Sha256, Verify::Blake3, Verify::Media][..]), (true, &[Verify::Media])]
    {
        let Some((sandbox, sink)) = mounted(is_cached) else { return };
        for (fate, expected) in [
            (Fate::LostFrom(0), &["large", "middle", "small"][..]),
            (Fate::LostFrom(500_000), &["large", "middle"]),
            (Fate::FlippedAt(99), &["large", "middle", "small"]),
            (Fate::FlippedAt(9 * MIB - 1), &["large"]),
        ] {
            for verify in verifies {
                for replaces in [false, true] {
                    let told = format!("{fate:?}, {verify:?}, replaces {replaces}, cached {is_cached}");
                    sink.set(fate);
                    let failed = copy(&sandbox, &sink, replaces, |job| job.verify(*verify));
                    assert_eq!(failed, expected, "{told}");
                    assert_honest(&sandbox, &sink, replaces, &failed, &told);
                }
            }
        }
    }
}
