//! Filesystems that answer so by themselves: other devices, full, read-only, FUSE, overlay, procfs.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use nix::errno::Errno;
use orbit::{CopyJob, DataOptions, Method, Reflink, Report, WarningKind, ZeroCopy};

use super::{
    mounts::{Attached, limited_directory, make_read_only},
    traced::{Traced, can_trace},
    tree::{
        KIB, MIB, age, assert_holes_kept, assert_no_temporaries, assert_same_tree, noise, same_entry,
        sparse_file, three_files, three_files_in,
    },
};
use crate::support::{Filesystem, Mount, Sandbox, assert_complete, has_program, run, skip};

fn moved(report: &Report, method: Method) -> u64 {
    report.methods().find(|(of, _)| *of == method).map_or(0, |(_, moved)| moved.bytes)
}

/// Files of every size class, some with holes.
fn of_all_sizes(sandbox: Sandbox) -> Sandbox {
    let sandbox = sandbox
        .file("src/empty", b"")
        .file("src/small", &noise(1, 10 * KIB))
        .file("src/middle", &noise(2, 300 * KIB + 7))
        .file("src/dir/wide", &noise(3, 9 * MIB + 1));
    sparse_file(&sandbox.path("src/dir/sparse"), &[MIB, 3 * MIB], 5 * MIB);
    sandbox
}

#[test]
fn between_two_filesystems_each_refusal_is_heard_once() {
    if !can_trace() {
        return;
    }
    let (Some(from), Some(to)) = (Mount::new(Filesystem::Tmpfs, 64), Mount::new(Filesystem::Ext4, 64)) else {
        return;
    };
    let sandbox = three_files_in(Sandbox::on(&from));
    let copy = to.path().join("dst");
    let outcome = Traced::copy(sandbox.path("src"), &copy).recording("ioctl,copy_file_range").run();
    assert!(outcome.status.success(), "{:?}", outcome.summary);
    assert_eq!((outcome.count("ioctl"), outcome.count("copy_file_range")), (1, 1), "{:?}", outcome.calls);
    assert!(outcome.find("copy_file_range", &["EXDEV"]).line.contains("= -1"));
    assert_eq!(outcome.summary.moved("sendfile"), 300 * KIB);
    assert_same_tree(&sandbox.path("src"), &copy);
}

#[test]
fn ext4_copies_in_the_kernel_what_it_cannot_share() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
    let sandbox = three_files_in(Sandbox::on(&mount));
    let report = sandbox.copy();
    assert_complete(&report);
    assert_eq!((moved(&report, Method::Reflink), moved(&report, Method::CopyFileRange)), (0, 300 * KIB));
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn every_pair_of_filesystems_copies_every_size_with_its_holes() {
    let kinds = [Filesystem::Ext4, Filesystem::Xfs, Filesystem::Btrfs, Filesystem::Tmpfs];
    let mounts: Vec<Mount> = kinds.into_iter().map_while(|kind| Mount::new(kind, 400)).collect();
    if mounts.len() < kinds.len() {
        return;
    }
    for from in &mounts {
        let sandbox = of_all_sizes(Sandbox::on(from));
        for (to, kind) in mounts.iter().zip(kinds) {
            for zero_copy in [ZeroCopy::Auto, ZeroCopy::Force, ZeroCopy::Forbid] {
                for reflink in [Reflink::Auto, Reflink::Never] {
                    let into = tempfile::TempDir::new_in(to.path()).unwrap();
                    let copy = into.path().join("dst");
                    let data = DataOptions::default().zero_copy(zero_copy).reflink(reflink);
                    assert_complete(&run(CopyJob::new(sandbox.path("src"), &copy).data(data)));
                    assert_same_tree(&sandbox.path("src"), &copy);
                    // btrfs tells of blocks only when they are written back.
                    if kind != Filesystem::Btrfs {
                        assert_holes_kept(&sandbox.path("src/dir/sparse"), &copy.join("dir/sparse"));
                    }
                }
            }
        }
    }
}

#[test]
fn a_full_filesystem_keeps_what_was_there_and_nothing_unfinished() {
    for kind in [Filesystem::Ext4, Filesystem::Tmpfs] {
        for (size, zero_copy) in [
            (40 * MIB, ZeroCopy::Auto),
            (40 * MIB, ZeroCopy::Force),
            (7 * MIB, ZeroCopy::Forbid),
            (7 * MIB, ZeroCopy::Force),
        ] {
            let Some(mount) = Mount::new(kind, 16) else { return };
            let sandbox = Sandbox::new().file("src/small", b"small");
            for (name, seed) in [("big", 1), ("bigger", 2), ("biggest", 3)] {
                fs::write(sandbox.path("src").join(name), noise(seed, size)).unwrap();
            }
            let copy = mount.path().join("dst");
            fs::create_dir(&copy).unwrap();
            fs::write(copy.join("big"), b"old").unwrap();
            let data = DataOptions::default().zero_copy(zero_copy);
            let report = run(CopyJob::new(sandbox.path("src"), &copy).data(data));
            assert!(report.totals.failed > 0, "{kind:?}: {report:?}");
            assert!(report.stopped.is_some() || report.totals.failed < 4, "{kind:?}: {report:?}");
            for failure in &report.failures {
                assert_eq!(failure.errno(), Some(Errno::ENOSPC as i32), "{failure}: {}", failure.cause());
            }
            for entry in fs::read_dir(&copy).unwrap() {
                let path = entry.unwrap().path();
                if fs::read(&path).unwrap() != b"old" {
                    let source = sandbox.path("src").join(path.file_name().unwrap());
                    same_entry(&source, &path).unwrap();
                }
            }
            assert!(copy.join("big").exists());
            assert_no_temporaries(&copy);
            if size == 40 * MIB {
                assert_eq!(fs::read(copy.join("big")).unwrap(), b"old");
            }
        }
    }
}

#[test]
fn a_quota_is_a_failure_like_a_full_filesystem() {
    let Some(mount) = Mount::new(Filesystem::Btrfs, 200) else { return };
    let copy = limited_directory(mount.path());
    fs::write(copy.join("big"), b"old").unwrap();
    let sandbox = Sandbox::new()
        .file("src/big", &noise(1, 5 * MIB))
        .file("src/wide", &noise(2, 9 * MIB))
        .file("src/small", b"small");
    for zero_copy in [ZeroCopy::Auto, ZeroCopy::Force, ZeroCopy::Forbid] {
        let data = DataOptions::default().zero_copy(zero_copy);
        let report = run(CopyJob::new(sandbox.path("src"), &copy).data(data));
        // The first that finds none left stops the run.
        assert!(report.totals.failed >= 1, "{:?}", report.failures);
        assert!(report.stopped.as_ref().is_some_and(|why| why.contains("quota")), "{report:?}");
        for failure in &report.failures {
            assert_eq!(failure.errno(), Some(Errno::EDQUOT as i32), "{failure}: {}", failure.cause());
        }
        assert_eq!(fs::read(copy.join("big")).unwrap(), b"old");
        assert!(!copy.join("wide").exists());
        if copy.join("small").exists() {
            same_entry(&sandbox.path("src/small"), &copy.join("small")).unwrap();
        }
        assert_no_temporaries(&copy);
    }
}

#[test]
fn a_read_only_destination_stops_the_run() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 16) else { return };
    let copy = mount.path().join("dst");
    fs::create_dir(&copy).unwrap();
    fs::write(copy.join("a"), b"old").unwrap();
    make_read_only(mount.path());
    let sandbox = three_files().dir("src/dir").symlink("a", "src/symlink");
    let report = sandbox.run(CopyJob::new(sandbox.path("src"), &copy));
    assert!(report.stopped.as_ref().is_some_and(|why| why.contains("read-only")), "{report:?}");
    assert!(!report.failures.is_empty() && !report.cancelled && !report.is_complete());
    for failure in &report.failures {
        assert_eq!(failure.errno(), Some(Errno::EROFS as i32), "{failure}: {}", failure.cause());
    }
    assert_eq!(fs::read(copy.join("a")).unwrap(), b"old");
    let alone = sandbox.run(CopyJob::new(sandbox.path("src/a"), copy.join("new")));
    assert_eq!(alone.totals.failed, 1);
}

#[test]
fn a_file_that_takes_no_more_names_is_copied_a_second_time() {
    const LINKS_MAX: u64 = 65_000; // EXT4_LINK_MAX
    let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
    let sandbox = Sandbox::new().file("src/1/a", b"linked").dir("src/2");
    age(&sandbox.path("src/1/a"), 1);
    for name in ["2/b", "2/c", "2/d"] {
        fs::hard_link(sandbox.path("src/1/a"), sandbox.path("src").join(name)).unwrap();
    }
    // The copy has the first name already, and as many others as it may have but one.
    let (copy, others) = (mount.path().join("dst"), mount.path().join("others"));
    fs::create_dir_all(copy.join("1")).unwrap();
    fs::create_dir(&others).unwrap();
    assert_complete(&run(CopyJob::new(sandbox.path("src/1/a"), copy.join("1/a"))));
    for number in 2..LINKS_MAX {
        fs::hard_link(copy.join("1/a"), others.join(number.to_string())).unwrap();
    }
    assert_eq!(fs::metadata(copy.join("1/a")).unwrap().nlink(), LINKS_MAX - 1);
    // Two sources and one worker: the first name comes first.
    let sources = ["src/1", "src/2"].map(|name| sandbox.path(name));
    let report = run(CopyJob::into_directory(sources, &copy).jobs(1));
    assert_complete(&report);
    assert!(
        report.warnings.iter().any(|warning| warning.kind == WarningKind::HardLink),
        "{:?}",
        report.warnings
    );
    for name in ["1", "2"] {
        assert_same_tree(&sandbox.path("src").join(name), &copy.join(name));
    }
    let inode = |name: &str| fs::metadata(copy.join(name)).unwrap().ino();
    let inodes = BTreeSet::from(["1/a", "2/b", "2/c", "2/d"].map(inode));
    assert_eq!(inodes.len(), 2, "one second copy serves all names that are left");
}

#[test]
fn a_fuse_filesystem_as_source_and_as_destination() {
    let behind = Sandbox::new().dir("shown");
    let Some(fuse) = Attached::fuse(&behind.path("shown")) else { return };
    let sandbox = of_all_sizes(Sandbox::new());
    attribute(&sandbox.path("src/small"));
    let (first, second) = (fuse.path("first"), fuse.path("second"));
    for zero_copy in [ZeroCopy::Auto, ZeroCopy::Force, ZeroCopy::Forbid] {
        let data = DataOptions::default().zero_copy(zero_copy);
        for (from, to) in [
            (sandbox.path("src"), first.clone()),
            (first.clone(), second.clone()),
            (second.clone(), sandbox.path("back")),
        ] {
            assert_complete(&run(CopyJob::new(&from, &to).data(data)));
            assert_same_tree(&sandbox.path("src"), &to);
            assert_eq!(attribute_of(&to.join("small")), attribute_of(&sandbox.path("src/small")));
            let again = run(CopyJob::new(&from, &to).data(data));
            assert_eq!((again.totals.files_copied, again.totals.unchanged), (0, 5), "{again:?}");
        }
        for copy in [&first, &second, &sandbox.path("back")] {
            fs::remove_dir_all(copy).unwrap();
        }
    }
}

/// Set an extended attribute, where there is the program for it.
fn attribute(path: &Path) {
    if has_program("setfattr") {
        let set = Command::new("setfattr").args(["-n", "user.colour", "-v", "red"]).arg(path).status();
        assert!(set.unwrap().success());
    }
}

fn attribute_of(path: &Path) -> Vec<u8> {
    let got = Command::new("getfattr").args(["-d", "--absolute-names", "--only-values"]).arg(path).output();
    got.map(|output| output.stdout).unwrap_or_default()
}

#[test]
fn an_error_when_a_remote_file_is_closed_fails_it_and_keeps_the_old_one() {
    if !can_trace() {
        return;
    }
    let behind = Sandbox::new().dir("shown/dst");
    let Some(fuse) = Attached::fuse(&behind.path("shown")) else { return };
    for (name, errno) in [("EIO", Errno::EIO), ("ENOSPC", Errno::ENOSPC), ("EDQUOT", Errno::EDQUOT)] {
        let sandbox = three_files();
        let copy = Traced::copy(sandbox.path("src"), fuse.path("dst"));
        let afresh = || {
            fs::remove_dir_all(fuse.path("dst")).unwrap();
            fs::create_dir(fuse.path("dst")).unwrap();
        };
        let outcome = copy.fault_at("close", &["/dst/b>"], &format!("error={name}"), afresh).run();
        outcome.assert_one_failure_by("close", errno);
        let mut there: Vec<_> =
            fs::read_dir(fuse.path("dst")).unwrap().map(|e| e.unwrap().file_name()).collect();
        there.sort();
        assert!(
            there.len() >= outcome.others(2) && !there.iter().any(|name| name == "b"),
            "{name}: {there:?}"
        );
        fs::write(fuse.path("dst/b"), b"old").unwrap();
        let copy = Traced::copy(sandbox.path("src"), fuse.path("dst"));
        let restore = || fs::write(fuse.path("dst/b"), b"old").unwrap();
        let outcome = copy.fault_at("close", &["/dst/.orbit-"], &format!("error={name}"), restore).run();
        outcome.assert_one_failure_by("close", errno);
        assert_eq!(fs::read(fuse.path("dst/b")).unwrap(), b"old", "{name}");
        assert_no_temporaries(&fuse.path("dst"));
        afresh();
    }
}

#[test]
fn a_remote_file_gets_its_time_only_when_it_was_flushed() {
    if !can_trace() {
        return;
    }
    let behind = Sandbox::new().dir("shown/dst");
    let Some(fuse) = Attached::fuse(&behind.path("shown")) else { return };
    let sandbox = three_files();
    let outcome =
        Traced::copy(sandbox.path("src"), fuse.path("dst")).recording("close,fchmod,utimensat").run();
    assert!(outcome.summary.failures.is_empty(), "{:?}", outcome.summary);
    let of_b = outcome.calls.iter().filter(|call| call.line.contains("/dst/b>"));
    let names: Vec<_> = of_b.map(|call| &*call.name).collect();
    assert_eq!(names, ["close", "fchmod", "utimensat", "close"]);
    assert_same_tree(&sandbox.path("src"), &fuse.path("dst"));
}

#[test]
fn an_overlay_as_source_and_as_destination() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 128) else { return };
    // What is below is seen through the overlay, and its first change copies it up.
    let below = of_all_sizes(Sandbox::on(&mount));
    fs::create_dir(mount.path().join("lower")).unwrap();
    fs::rename(below.path("src"), mount.path().join("lower/src")).unwrap();
    let Some(overlay) = Attached::overlay(mount.path()) else { return };
    for zero_copy in [ZeroCopy::Auto, ZeroCopy::Force, ZeroCopy::Forbid] {
        let data = DataOptions::default().zero_copy(zero_copy);
        let outside = Sandbox::new();
        let copies = [overlay.path("dst"), outside.path("dst")];
        for copy in &copies {
            assert_complete(&run(CopyJob::new(overlay.path("src"), copy).data(data)));
            assert_same_tree(&overlay.path("src"), copy);
        }
        fs::remove_dir_all(&copies[0]).unwrap();
    }
    fs::write(overlay.path("src/small"), b"changed above").unwrap();
    let outside = Sandbox::new();
    assert_complete(&run(CopyJob::new(overlay.path("src"), outside.path("dst"))));
    assert_same_tree(&overlay.path("src"), &outside.path("dst"));
}

/// Files whose size says nothing, that hold the same whenever they are read.
fn lying_files() -> Vec<PathBuf> {
    let known = [
        "/proc/version",
        "/proc/filesystems",
        "/proc/cmdline",
        "/proc/devices",
        "/proc/kallsyms",
        "/proc/sys/kernel/ostype",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/devices/system/cpu/possible",
        "/sys/class/net/lo/address",
    ];
    known
        .into_iter()
        .map(PathBuf::from)
        .filter(|path| fs::read(path).is_ok_and(|read| !read.is_empty()))
        .collect()
}

#[test]
fn files_that_lie_about_their_size_are_copied_as_they_read() {
    let files = lying_files();
    assert!(files.len() >= 5, "{files:?}");
    for path in files {
        for zero_copy in [ZeroCopy::Auto, ZeroCopy::Force, ZeroCopy::Forbid] {
            let sandbox = Sandbox::new();
            let data = DataOptions::default().zero_copy(zero_copy);
            let report = sandbox.run(CopyJob::new(&path, sandbox.path("copy")).data(data));
            assert_complete(&report);
            assert!(sandbox.read("copy") == fs::read(&path).unwrap(), "{} {zero_copy:?}", path.display());
        }
    }
}

#[test]
fn a_directory_of_sysfs_is_copied_as_far_as_it_can_be_read() {
    let source = Path::new("/sys/kernel/mm");
    if !source.is_dir() {
        return skip("there is no /sys/kernel/mm");
    }
    let sandbox = Sandbox::new();
    let report = sandbox.run(CopyJob::new(source, sandbox.path("dst")));
    assert!(report.totals.files_copied > 5, "{report:?}");
    // Files that only root may write, or that are commands, cannot be read; they are said.
    for failure in &report.failures {
        assert!(fs::read(failure.path()).is_err(), "{failure}: {}", failure.cause());
    }
    let copy = sandbox.path("dst/transparent_hugepage/enabled");
    if copy.exists() {
        let original = source.join("transparent_hugepage/enabled");
        assert_eq!(fs::read(&copy).unwrap(), fs::read(&original).unwrap());
        let modes = [&copy, &original].map(|path| fs::metadata(path).unwrap().permissions().mode());
        assert_eq!(modes[0], modes[1]);
    }
}
