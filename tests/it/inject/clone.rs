//! Sharing blocks: what `FICLONE` may answer, and whether blocks are shared when it works.

use std::{fs::File, os::unix::fs::FileExt, path::Path, process::Command};

use nix::errno::Errno;

use super::{
    errnos::{OF_THE_FILE, OF_THE_PAIR},
    traced::{Traced, can_trace},
    tree::{
        KIB, MIB, assert_holes_kept, assert_no_temporaries, assert_same_tree, copied, noise, sparse_file,
        three_files, three_files_in,
    },
};
use crate::support::{Filesystem, Mount, Sandbox, has_program, skip};

/// Failures of the file; trying another method has corrupted files of other copiers.
const FATAL: [(&str, Errno); 4] =
    [("EIO", Errno::EIO), ("ENOMEM", Errno::ENOMEM), ("ENOSPC", Errno::ENOSPC), ("EDQUOT", Errno::EDQUOT)];

fn copy_of(sandbox: &Sandbox) -> Traced {
    Traced::copy(sandbox.path("src"), sandbox.path("dst"))
}

fn on_xfs() -> Option<(Mount, Sandbox)> {
    let mount = Mount::new(Filesystem::Xfs, 400)?;
    let sandbox = Sandbox::on(&mount);
    Some((mount, sandbox))
}

/// Whether all data of a file lies in shared blocks, or none does.
fn shares_blocks(path: &Path) -> Option<bool> {
    if !has_program("filefrag") {
        skip("filefrag is not installed");
        return None;
    }
    File::open(path).unwrap().sync_all().unwrap();
    let output = Command::new("filefrag").arg("-v").arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let extents: Vec<_> = text.lines().filter(|line| line.contains("..") && line.contains(':')).collect();
    assert!(!extents.is_empty(), "{text}");
    let shared = extents.iter().filter(|extent| extent.contains("shared")).count();
    assert!(shared == 0 || shared == extents.len(), "{text}");
    Some(shared > 0)
}

#[test]
fn any_refusal_to_share_copies_the_bytes() {
    if !can_trace() {
        return;
    }
    let of_the_pair = OF_THE_PAIR.into_iter().map(|errno| (errno, 1));
    let of_the_file = OF_THE_FILE.into_iter().chain(["EROFS"]).map(|errno| (errno, 3));
    for (errno, asked) in of_the_pair.chain(of_the_file) {
        let sandbox = three_files();
        let outcome = copy_of(&sandbox).fault("ioctl", &format!("error={errno}")).run();
        outcome.assert_complete_despite("ioctl");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        assert_eq!(outcome.count("ioctl"), asked, "{errno}");
        assert_eq!(outcome.summary.moved("reflink"), 0);
    }
}

#[test]
fn a_refusal_after_some_files_were_shared_copies_the_rest() {
    if !can_trace() {
        return;
    }
    let Some((_mount, sandbox)) = on_xfs() else { return };
    let sandbox = three_files_in(sandbox);
    for errno in OF_THE_PAIR.into_iter().chain(OF_THE_FILE) {
        let _ = std::fs::remove_dir_all(sandbox.path("dst"));
        let outcome = copy_of(&sandbox).fault("ioctl", &format!("error={errno}:when=2+")).run();
        outcome.assert_complete_despite("ioctl");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        assert_eq!(outcome.summary.moved("reflink"), 100 * KIB, "{errno}");
        assert_eq!(outcome.summary.moved("copy_file_range"), 200 * KIB, "{errno}");
    }
}

#[test]
fn an_error_of_the_storage_fails_the_file_and_leaves_nothing_of_it() {
    if !can_trace() {
        return;
    }
    for (name, errno) in FATAL {
        let sandbox = three_files();
        // Only once: a method that was tried after it would work.
        let outcome = copy_of(&sandbox).fault("ioctl", &format!("error={name}:when=1")).run();
        outcome.assert_one_failure_by("ioctl", errno);
        assert!(copied(&sandbox).len() >= outcome.others(2), "{name}");
        let sandbox = Sandbox::new().file("src/f", b"new, and longer").file("dst/f", b"old");
        let outcome = copy_of(&sandbox).fault("ioctl", &format!("error={name}")).run();
        outcome.assert_one_failure_by("ioctl", errno);
        assert_eq!(sandbox.read("dst/f"), b"old", "{name}");
        assert_no_temporaries(&sandbox.path("dst"));
    }
}

#[test]
fn sharing_that_was_interrupted_is_asked_for_again() {
    if !can_trace() {
        return;
    }
    let Some((_mount, sandbox)) = on_xfs() else { return };
    let sandbox = three_files_in(sandbox);
    let outcome = copy_of(&sandbox).fault("ioctl", "error=EINTR:when=2..3").run();
    outcome.assert_complete_despite("ioctl");
    assert_eq!(outcome.count("ioctl"), 3 + 2);
    assert_eq!(outcome.summary.moved("reflink"), 300 * KIB);
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn a_file_above_a_gibibyte_is_shared_in_pieces_and_any_of_them_may_fail() {
    if !can_trace() {
        return;
    }
    let Some((_mount, sandbox)) = on_xfs() else { return };
    let sandbox = sandbox.dir("src");
    let (source, copy) = (sandbox.path("src/f"), sandbox.path("dst/f"));
    let places = [0, 20 * MIB, 100 * MIB, 1024 * MIB, 1100 * MIB - 64 * KIB];
    sparse_file(&source, &places, 1100 * MIB + 17);
    let same_data = || {
        let (source, copy) = (File::open(&source).unwrap(), File::open(&copy).unwrap());
        assert_eq!(source.metadata().unwrap().len(), copy.metadata().unwrap().len());
        for place in places {
            let (mut one, mut other) = (vec![0; 64 << 10], vec![1; 64 << 10]);
            source.read_exact_at(&mut one, place).unwrap();
            copy.read_exact_at(&mut other, place).unwrap();
            assert_eq!(one, noise(place + 1, 64 * KIB));
            assert!(one == other, "at {place}");
        }
    };
    let outcome = copy_of(&sandbox).recording("ioctl").run();
    assert!(outcome.status.success(), "{:?}", outcome.summary);
    assert!(outcome.count("ioctl") > 3, "{:?}", outcome.calls);
    assert_eq!(outcome.summary.moved("reflink"), 1100 * MIB + 17);
    assert_eq!(shares_blocks(&copy), Some(true));
    same_data();
    for errno in ["EXDEV", "EINVAL", "EPERM"] {
        std::fs::remove_file(&copy).unwrap();
        let outcome = copy_of(&sandbox).fault("ioctl", &format!("error={errno}:when=3+")).run();
        outcome.assert_complete_despite("ioctl");
        let shared = outcome.summary.moved("reflink");
        assert!(0 < shared && shared < 1100 * MIB, "{errno}: {shared}");
        same_data();
        assert_holes_kept(&source, &copy);
    }
    for (name, errno) in FATAL {
        std::fs::remove_dir_all(sandbox.path("dst")).unwrap();
        let outcome = copy_of(&sandbox).fault("ioctl", &format!("error={name}:when=3")).run();
        outcome.assert_one_failure_by("ioctl", errno);
        assert_eq!(copied(&sandbox), [""; 0], "{name}");
    }
}

#[test]
fn blocks_are_shared_at_any_size_where_the_filesystem_can() {
    let Some((_mount, sandbox)) = on_xfs() else { return };
    let sandbox = sandbox.file("src/small", b"small").file("src/wide", &noise(1, 9 * MIB));
    sparse_file(&sandbox.path("src/sparse"), &[MIB, 3 * MIB], 5 * MIB);
    let report = sandbox.copy();
    crate::support::assert_complete(&report);
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    for name in ["small", "wide", "sparse"] {
        assert_eq!(shares_blocks(&sandbox.path("dst").join(name)), Some(true), "{name}");
    }
    assert_holes_kept(&sandbox.path("src/sparse"), &sandbox.path("dst/sparse"));
}

#[test]
fn never_means_that_nothing_is_shared() {
    if !can_trace() {
        return;
    }
    let Some((_mount, sandbox)) = on_xfs() else { return };
    let sandbox = sandbox
        .file("src/small", b"small")
        .file("src/middle", &noise(1, MIB))
        .file("src/wide", &noise(2, 9 * MIB));
    for zero_copy in ["force", "forbid"] {
        let _ = std::fs::remove_dir_all(sandbox.path("dst"));
        let copy = copy_of(&sandbox).told("reflink", "never").told("zero-copy", zero_copy);
        let outcome = copy.recording("ioctl,copy_file_range,openat").run();
        assert!(outcome.status.success(), "{:?}", outcome.summary);
        assert!(outcome.count("openat") > 0, "nothing was recorded");
        assert_eq!((outcome.count("ioctl"), outcome.count("copy_file_range")), (0, 0), "{zero_copy}");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        for name in ["small", "middle", "wide"] {
            assert_eq!(shares_blocks(&sandbox.path("dst").join(name)), Some(false), "{name}");
        }
    }
}

#[test]
fn always_fails_what_cannot_be_shared_and_leaves_no_file() {
    if !can_trace() {
        return;
    }
    for errno in OF_THE_PAIR.into_iter().chain(OF_THE_FILE) {
        let sandbox = three_files().file("src/wide", &noise(1, 9 * MIB)).file("src/empty", b"").dir("dst");
        let sandbox = sandbox.file("dst/a", b"old");
        let copy = copy_of(&sandbox).told("reflink", "always");
        let outcome = copy.fault("ioctl", &format!("error={errno}")).run();
        assert!(outcome.injected("ioctl") > 0);
        assert_eq!(outcome.status.code(), Some(1));
        assert_eq!(outcome.summary.total("failed"), 4, "{errno}: {:?}", outcome.summary);
        assert_eq!(sandbox.read("dst/a"), b"old");
        std::fs::remove_file(sandbox.path("dst/a")).unwrap();
        assert_eq!(copied(&sandbox), ["empty"], "{errno}");
    }
}

#[test]
fn always_fails_on_a_filesystem_that_cannot_share() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
    let sandbox = three_files_in(Sandbox::on(&mount));
    let data = orbit::DataOptions::default().reflink(orbit::Reflink::Always);
    let report = sandbox.run(orbit::CopyJob::new(sandbox.path("src"), sandbox.path("dst")).data(data));
    assert_eq!(report.totals.failed, 3);
    assert!(report.failures.iter().all(|failure| failure.op() == orbit::Op::Clone));
    assert_eq!(copied(&sandbox), [""; 0]);
}
