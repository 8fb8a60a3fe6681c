//! Very many entries, in one directory or in many, and very many names of one inode.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use orbit::{CopyJob, WarningKind};

use super::scaled;
use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete, run,
    tree::{Aspect, Tree, assert_same, assert_same_but, count},
};

#[test]
fn one_directory_of_very_many_entries() {
    let entries = scaled(100_000, 1_000_000);
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 2048) else { return };
    let sandbox = Sandbox::on(&mount).dir("src");
    let source = sandbox.path("src");
    for index in 0..entries {
        let path = source.join(format!("entry-{index:07}"));
        match index % 1000 {
            0 => fs::create_dir(path).unwrap(),
            1 => std::os::unix::fs::symlink("nowhere", path).unwrap(),
            2 => fs::write(path, index.to_string()).unwrap(),
            _ => drop(fs::File::create(path).unwrap()),
        }
    }
    let report = run(CopyJob::new(&source, sandbox.path("dst")).jobs(4));
    assert_complete(&report);
    assert_eq!(report.totals.entries_found, entries as u64 + 1);
    assert_eq!(report.totals.entries_done(), entries as u64 + 1);
    assert_same(&source, &sandbox.path("dst"));
    let again = run(CopyJob::new(&source, sandbox.path("dst")).jobs(4));
    assert_complete(&again);
    assert_eq!((again.totals.files_copied, again.totals.metadata_corrected), (0, 0));
}

#[test]
fn very_many_directories() {
    let directories = scaled(20_000, 1_000_000);
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 3000) else { return };
    let sandbox = Sandbox::on(&mount);
    for index in 0..directories / 100 {
        for below in 0..99 {
            fs::create_dir_all(sandbox.path(format!("src/{index}/{below}"))).unwrap();
        }
    }
    let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(4));
    assert_complete(&report);
    assert_eq!(report.totals.directories_created, directories as u64 + 1);
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn two_name_groups_in_directories_far_apart() {
    let groups = scaled(20_000, 1_000_000);
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 3000) else { return };
    let sandbox = Sandbox::on(&mount).dir("src/near").dir("src/very/far/away");
    for index in 0..groups {
        let first = sandbox.path(format!("src/near/{index}"));
        fs::write(&first, if index % 100 == 0 { "content" } else { "" }).unwrap();
        fs::hard_link(first, sandbox.path(format!("src/very/far/away/{index}"))).unwrap();
    }
    let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(4));
    assert_complete(&report);
    let made = (report.totals.files_copied, report.totals.hard_links_created);
    assert_eq!(made, (groups as u64, groups as u64));
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

/// How many inodes the names of a directory have.
fn inodes(dir: &Path) -> usize {
    let ids = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().ino());
    ids.collect::<std::collections::HashSet<_>>().len()
}

#[test]
fn more_names_than_one_inode_may_have_become_several_inodes_and_one_warning() {
    const MOST_ON_EXT4: u64 = 65_000;
    let names = scaled(70_000, 100_000) as u64;
    let (Some(xfs), Some(ext4)) = (Mount::new(Filesystem::Xfs, 512), Mount::new(Filesystem::Ext4, 512))
    else {
        return;
    };
    let (source, other) = (Sandbox::on(&xfs), Sandbox::on(&ext4));
    for dir in 0..4 {
        fs::create_dir_all(source.path(format!("src/{dir}"))).unwrap();
    }
    fs::write(source.path("src/0/0"), b"one content of many names").unwrap();
    for index in 1..names {
        fs::hard_link(source.path("src/0/0"), source.path(format!("src/{}/{index}", index % 4))).unwrap();
    }
    for jobs in [1, 4] {
        let name = format!("dst-{jobs}");
        let report = run(CopyJob::new(source.path("src"), other.path(&name)).jobs(jobs));
        assert_complete(&report);
        let losses: Vec<_> = report.warnings.iter().map(|warning| (warning.kind, warning.count)).collect();
        assert_eq!(losses, [(WarningKind::HardLink, 1)]);
        assert_eq!((report.totals.files_copied, report.totals.hard_links_created), (2, names - 2));
        // Content, times and counts of all names; reading 70,000 files would say no more.
        let all = || (0..4).map(|dir| other.path(&name).join(dir.to_string()));
        assert_eq!(all().map(|dir| count(&dir)).sum::<usize>() as u64, names);
        assert!(all().all(|dir| inodes(&dir) <= 2));
        let links: Vec<_> = Tree::of(&other.path(&name).join("1")).0.into_values().collect();
        let original = Tree::of(&source.path("src/0/0"));
        let original = &original.0[&Vec::new()];
        for entry in links.iter().filter(|entry| entry.kind == original.kind).take(100) {
            let differences = original.differences(entry, &[Aspect::Links]);
            assert!(differences.is_empty() && entry.nlink <= MOST_ON_EXT4, "{differences:?}");
        }
    }
}

#[test]
fn names_that_are_not_text_or_look_like_options() {
    let sandbox = Sandbox::new().file("src/-rf", b"1").file("src/--help", b"2").file("src/a\nb", b"3");
    for byte in (1..=255_u8).filter(|byte| *byte != b'/' && *byte != b'.') {
        let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(std::slice::from_ref(&byte));
        fs::write(sandbox.path("src").join(name), [byte]).unwrap();
    }
    assert_complete(&sandbox.copy());
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
    let odd: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(&b"odd\xff\xfe"[..]);
    let target = sandbox.path(odd);
    assert_complete(&run(CopyJob::new(sandbox.path("src"), &target)));
    assert_complete(&run(CopyJob::into_directory([&target], sandbox.path("dst"))));
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst").join(odd), &[Aspect::Atime]);
}
