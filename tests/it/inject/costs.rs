//! What a copy costs in system calls: counted, so that no call creeps in unnoticed.

use std::{collections::BTreeMap, fs};

use super::traced::{Traced, can_trace};
use crate::support::{Filesystem, Mount, Sandbox};

/// Calls on files and directories; those that wait and wake follow the clock instead.
const CALLS: &str = "openat,openat2,close,fstat,newfstatat,statx,pread64,pwrite64,getdents64,mkdirat,\
                     flistxattr,llistxattr,fgetxattr,lgetxattr,fsetxattr,fremovexattr,fchown,fchownat,fchmod,fchmodat,utimensat,\
                     copy_file_range,sendfile,splice,ioctl,ftruncate,fallocate,lseek,linkat,renameat,unlinkat";

/// How often a copy of `directories` directories with `files` files each makes each call.
fn calls(mount: &Mount, directories: u64, files: u64) -> BTreeMap<String, u64> {
    let sandbox = Sandbox::on(mount);
    for directory in 0..directories {
        let path = sandbox.path(format!("src/{directory}"));
        fs::create_dir_all(&path).unwrap();
        for file in 0..files {
            fs::write(path.join(file.to_string()), [7; 1024]).unwrap();
        }
    }
    let outcome = Traced::copy(sandbox.path("src"), sandbox.path("dst")).recording(CALLS).run();
    let mut counts = BTreeMap::new();
    for call in &outcome.calls {
        *counts.entry(call.name.clone()).or_default() += 1;
    }
    counts
}

/// The calls that `more` makes beyond `fewer`, for each of `entries`.
fn each(more: &BTreeMap<String, u64>, fewer: &BTreeMap<String, u64>, entries: u64) -> BTreeMap<String, u64> {
    let beyond = |name: &String, count: &u64| count.saturating_sub(fewer.get(name).copied().unwrap_or(0));
    let each = more.iter().map(|(name, count)| (name.clone(), (beyond(name, count) + entries / 2) / entries));
    each.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn a_small_file_costs_ten_calls_and_a_directory_twelve() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
    let file = each(&calls(&mount, 1, 150), &calls(&mount, 1, 50), 100);
    assert!(file.values().sum::<u64>() <= 10, "for each small file: {file:?}");
    let directory = each(&calls(&mount, 150, 0), &calls(&mount, 50, 0), 100);
    assert!(directory.values().sum::<u64>() <= 12, "for each directory: {directory:?}");
}

#[test]
fn an_unchanged_file_costs_three_calls() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
    let unchanged = |files: u64| {
        let sandbox = Sandbox::on(&mount).dir("src");
        for file in 0..files {
            fs::write(sandbox.path("src").join(file.to_string()), [7; 1024]).unwrap();
        }
        crate::support::assert_complete(&sandbox.copy());
        sandbox.tick();
        // All calls: an old strace has no name for listxattrat(2).
        let outcome = Traced::copy(sandbox.path("src"), sandbox.path("dst")).recording("all").run();
        assert_eq!(outcome.summary.total("unchanged"), files);
        let mut counts = BTreeMap::new();
        let about_files =
            |name: &str| CALLS.split(',').any(|call| call == name) || name.starts_with("syscall_");
        for call in outcome.calls.iter().filter(|call| about_files(&call.name)) {
            *counts.entry(call.name.clone()).or_default() += 1;
        }
        counts
    };
    // Each side is looked at, and whether the source has extended attributes.
    let file = each(&unchanged(150), &unchanged(50), 100);
    assert!(file.values().sum::<u64>() <= 3, "for each unchanged file: {file:?}");
}

#[test]
fn the_table_of_mounts_is_read_once_by_an_engine_and_not_by_each_of_its_runs() {
    if !can_trace() {
        return;
    }
    // Two filesystems, whose mounts are both looked up.
    let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
    let sandbox = Sandbox::new().file("src/file", b"content");
    let copy = Traced::copy(sandbox.path("src"), mount.path().join("dst"));
    let outcome = copy.told("before", "20").recording("openat").run();
    assert_eq!(outcome.summary.total("unchanged"), 1, "the last of many runs");
    let opened = |what: &str| outcome.calls.iter().filter(|call| call.line.contains(what)).count();
    assert_eq!((opened("/mountinfo"), opened("/fdinfo")), (1, 0));
}
