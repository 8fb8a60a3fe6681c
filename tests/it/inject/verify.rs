//! Verification: whatever moved the bytes, a copy that is not what was copied is seen and removed.

use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use orbit::{Backend, CopyJob, DataOptions, Reflink, Sparse, Verify, ZeroCopy};

use super::{
    traced::{Traced, can_trace},
    tree::{KIB, MIB, noise, sparse_file},
};
use crate::support::{Filesystem, Mount, Sandbox, assert_complete, has_program, must, run, skip};

/// Files that are copied in every way: empty, in one piece, in several, in ranges, with holes.
fn files(sandbox: Sandbox) -> Sandbox {
    let sandbox = sandbox
        .file("src/empty", b"")
        .file("src/small", &noise(1, 3 * KIB))
        .file("src/middling", &noise(2, 700 * KIB))
        .file("src/large", &noise(3, 40 * MIB + 12_345))
        .file("src/zeros", &[0; 100_000]);
    sparse_file(&sandbox.path("src/sparse"), &[0, MIB], 3 * MIB + 5);
    sparse_file(&sandbox.path("src/large-sparse"), &[MIB, 20 * MIB], 30 * MIB + 5);
    fs::hard_link(sandbox.path("src/small"), sandbox.path("src/linked")).unwrap();
    sandbox
}

#[test]
fn whatever_moves_the_bytes_both_sides_are_compared() {
    let data = DataOptions::default();
    let never = data.reflink(Reflink::Never);
    let kinds = [Filesystem::Ext4, Filesystem::Xfs, Filesystem::Btrfs, Filesystem::Tmpfs];
    for mount in kinds.into_iter().map_while(|kind| Mount::new(kind, 600)) {
        let sandbox = files(Sandbox::on(&mount));
        for (verify, jobs) in
            [(Verify::Sha256, 1), (Verify::Blake3, 4), (Verify::Sha256, 4), (Verify::Media, 2)]
        {
            for way in [
                data,
                never,
                data.zero_copy(ZeroCopy::Force),
                never.zero_copy(ZeroCopy::Forbid),
                never.sparse(Sparse::Always),
                never.sparse(Sparse::Never),
                never.backend(Backend::Uring),
            ] {
                let _ = fs::remove_dir_all(sandbox.path("dst"));
                let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst"));
                let report = run(job.data(way).verify(verify).jobs(jobs));
                assert_complete(&report);
                let totals = &report.totals;
                assert_eq!((totals.files_verified, totals.mismatches), (7, 0), "{way:?} {verify:?}");
                let size = |name: &str| fs::metadata(sandbox.path("src").join(name)).unwrap().len();
                let names = ["small", "middling", "large", "zeros", "sparse", "large-sparse"];
                assert_eq!(totals.bytes_verified, names.into_iter().map(size).sum::<u64>());
                for name in names {
                    let content = |tree: &str| sandbox.read(Path::new(tree).join(name));
                    assert!(content("src") == content("dst"), "{name} {way:?}");
                }
            }
        }
    }
}

/// A call that says it wrote and did not: the copy has its size, and zeros where data should be.
fn lost_write(sandbox: &Sandbox, call: &str, verify: &str) -> Traced {
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).without_reflink();
    let copy = match call {
        "pwrite64" => copy.told("zero-copy", "forbid"),
        _ => copy.told("zero-copy", "force"),
    };
    let length = 256 * KIB;
    copy.told("verify", verify).fault(call, &format!("retval={length}:when=1"))
}

#[test]
fn a_write_that_was_lost_is_seen_and_the_bad_copy_removed() {
    if !can_trace() {
        return;
    }
    for call in ["pwrite64", "copy_file_range"] {
        for verify in ["sha256", "blake3", "media"] {
            let sandbox = Sandbox::new().file("src/f", &noise(1, 700 * KIB)).file("src/other", b"other");
            let outcome = lost_write(&sandbox, call, verify).run();
            assert_eq!(outcome.injected(call), 1);
            assert_eq!(outcome.status.code(), Some(1), "{call} {verify}: {:?}", outcome.summary);
            assert_eq!(outcome.summary.total("mismatches"), 1);
            let failure = &outcome.summary.failures[0];
            assert!(failure.starts_with("Verify") && failure.contains("dst/f"), "{failure}");
            let digest = must("sha256sum", &[sandbox.path("src/f").to_str().unwrap()]);
            assert!(verify == "blake3" || failure.contains(digest.split(' ').next().unwrap()), "{failure}");
            assert!(!sandbox.path("dst/f").exists(), "{call} {verify}");
            assert_eq!(sandbox.read("dst/other"), b"other");
            assert_complete(&sandbox.copy());
        }
        // Without, nobody can tell.
        let sandbox = Sandbox::new().file("src/f", &noise(1, 700 * KIB));
        let outcome = lost_write(&sandbox, call, "size").run();
        assert_eq!(outcome.injected(call), 1);
        assert!(outcome.status.success() && sandbox.read("dst/f") != sandbox.read("src/f"));
    }
}

#[test]
fn a_link_that_reads_back_otherwise_is_removed_and_one_that_it_was_to_replace_stays() {
    if !can_trace() {
        return;
    }
    for old in [None, Some("old")] {
        let sandbox = Sandbox::new().dir("src").dir("dst").symlink("target", "src/l");
        let sandbox = old.into_iter().fold(sandbox, |sandbox, old| sandbox.symlink(old, "dst/l"));
        // The last is what was made, after the source and what is there.
        let last = if old.is_some() { 3 } else { 2 };
        let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).told("verify", "blake3");
        let outcome = copy.fault("readlinkat", &format!("retval=3:when={last}")).run();
        assert_eq!(outcome.injected("readlinkat"), 1);
        assert_eq!(outcome.status.code(), Some(1), "{:?}", outcome.summary);
        assert_eq!(outcome.summary.total("mismatches"), 1);
        let failure = &outcome.summary.failures[0];
        assert!(failure.starts_with("Verify") && failure.contains("dst/l"), "{failure}");
        let there = fs::read_dir(sandbox.path("dst")).unwrap().count();
        assert_eq!(there, usize::from(old.is_some()));
        if let Some(old) = old {
            assert_eq!(fs::read_link(sandbox.path("dst/l")).unwrap(), Path::new(old));
        }
        assert_complete(&sandbox.copy());
    }
}

#[test]
fn a_replacement_that_is_not_what_was_copied_leaves_the_old_file() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().file("src/f", &noise(1, 700 * KIB)).file("dst/f", b"old");
    let outcome = lost_write(&sandbox, "pwrite64", "sha256").run();
    assert_eq!(outcome.status.code(), Some(1));
    assert_eq!(sandbox.read("dst/f"), b"old");
    assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), 1, "the bad copy is removed");
}

#[test]
fn a_range_that_was_lost_is_seen_in_files_of_several_workers() {
    if !can_trace() {
        return;
    }
    for jobs in ["1", "4"] {
        let sandbox = Sandbox::new().file("src/f", &noise(1, 40 * MIB));
        let outcome = lost_write(&sandbox, "pwrite64", "sha256").told("jobs", jobs).run();
        assert!(outcome.injected("pwrite64") >= 1);
        assert_eq!(outcome.status.code(), Some(1), "{:?}", outcome.summary);
        assert_eq!(outcome.summary.total("mismatches"), 1);
        assert!(!sandbox.path("dst/f").exists());
    }
}

#[test]
fn a_size_that_does_not_add_up_is_seen_without_a_digest() {
    if !can_trace() {
        return;
    }
    // The only write is lost, and nothing reserved keeps its size.
    let sandbox = Sandbox::new().file("src/f", &noise(1, 2 * MIB));
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).without_reflink();
    let outcome = copy.fault("copy_file_range", &format!("retval={}:when=1+", 2 * MIB)).run();
    assert_eq!(outcome.injected("copy_file_range"), 1);
    assert_eq!(outcome.status.code(), Some(1), "{:?}", outcome.summary);
    assert!(outcome.summary.failures[0].starts_with("Verify"), "{:?}", outcome.summary);
    assert!(!sandbox.path("dst/f").exists());
}

#[test]
fn what_passes_through_the_buffer_is_read_once_on_either_side() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().file("src/f", &noise(1, 3 * KIB));
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).told("verify", "sha256");
    let outcome = copy.recording("pread64").run();
    assert!(outcome.status.success());
    let reads = |side: &str| {
        let whole = |line: &str| line.contains(side) && line.contains(" = 3072");
        outcome.calls.iter().filter(|call| call.name == "pread64" && whole(&call.line)).count()
    };
    assert_eq!((reads("/src/f>"), reads("/dst/f>")), (1, 1), "{:?}", outcome.calls);
}

/// Wait until `needle` lies in the file `image`, and alter a byte of it there.
fn spoil(image: &Path, needle: &[u8]) {
    let patience = Instant::now() + Duration::from_secs(30);
    let mut file = fs::File::options().read(true).write(true).open(image).unwrap();
    loop {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        let found = bytes.chunks(KIB as usize).position(|chunk| chunk.starts_with(needle));
        if let Some(block) = found {
            file.seek(SeekFrom::Start(block as u64 * KIB + 7)).unwrap();
            file.write_all(&[!needle[7]]).unwrap();
            return;
        }
        assert!(Instant::now() < patience, "the copy never came to the device");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_device_that_corrupts_is_seen_by_media_and_by_nothing_else() {
    if !can_trace() {
        return;
    }
    for (verify, is_seen) in [("media", true), ("sha256", false)] {
        let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
        let content = noise(1, 100 * KIB);
        let source = Sandbox::new().file("src/f", &content);
        let copy = Traced::copy(source.path("src"), mount.path().join("dst"));
        let image = mount.image().unwrap().to_owned();
        let needle = content[..512].to_vec();
        let spoiler = is_seen.then(|| thread::spawn(move || spoil(&image, &needle)));
        // Between what makes the copy durable and what reads it there is time for the device to spoil it.
        let outcome = copy.told("verify", verify).fault("fadvise64", "delay_enter=8000000").run();
        if let Some(spoiler) = spoiler {
            spoiler.join().unwrap();
            assert!(outcome.find("fadvise64", &[]).line.ends_with("(DELAYED)"));
            assert_eq!(outcome.status.code(), Some(1), "{:?}", outcome.summary);
            assert_eq!(outcome.summary.total("mismatches"), 1);
            assert!(!mount.path().join("dst/f").exists());
        } else {
            assert!(outcome.status.success());
            must("sync", &["-f", mount.path().to_str().unwrap()]);
            spoil(mount.image().unwrap(), &content[..512]);
            assert_eq!(fs::read(mount.path().join("dst/f")).unwrap(), content, "memory has the good one");
        }
    }
}

#[test]
fn a_filesystem_without_a_device_is_a_warning() {
    let Some(mount) = Mount::new(Filesystem::Overlay, 64) else { return };
    let sandbox = Sandbox::on(&mount).file("src/f", b"content");
    let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).verify(Verify::Media));
    assert_complete(&report);
    assert_eq!(report.totals.files_verified, 1);
    let warned = report.warnings.iter().any(|warning| warning.kind == orbit::WarningKind::Media);
    // Since Linux 6.6 a tmpfs takes O_DIRECT, and ignores it.
    assert!(warned || report.warnings.is_empty());
}

#[test]
fn cancelling_while_digests_are_taken_removes_what_is_unfinished() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().file("src/f", &noise(1, 200 * MIB));
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).without_reflink();
    let outcome = copy.told("verify", "sha256").told("cancel", "midway").told("jobs", "2").run();
    assert!(outcome.summary.was_cancelled());
    assert!(!sandbox.path("dst/f").exists());
}

#[test]
fn a_fuse_filesystem_is_verified_as_any_other() {
    if !has_program("bindfs") {
        return skip("bindfs is not installed");
    }
    let Some(mount) = Mount::new(Filesystem::Bindfs, 300) else { return };
    let sandbox = files(Sandbox::on(&mount));
    let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).verify(Verify::Media));
    assert_complete(&report);
    assert_eq!(report.totals.files_verified, 7);
}
