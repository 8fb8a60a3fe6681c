//! Depth beyond `PATH_MAX`, within few open files.

use std::{
    ffi::CString,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::Path,
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};

use crate::support::{
    Filesystem, Mount, Sandbox,
    driver::Drive,
    tree::{self, Entry},
};

const DEPTH: usize = 5_000;

/// The directory on this level: 200 bytes, not all alike.
fn level(number: usize) -> CString {
    CString::new(format!("{number:06}-{}", "d".repeat(193))).unwrap()
}

fn open(dir: &OwnedFd, name: &CString) -> OwnedFd {
    tree::open(dir, name, OFlags::DIRECTORY)
}

fn start(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// Make the levels, each with a file, from level to level; and give them their times on the way back.
fn dig(root: &Path, depth: usize) {
    let mut at = start(root);
    for number in 0..depth {
        let name = level(number);
        rustix::fs::mkdirat(&at, &name, Mode::from_raw_mode(0o750)).unwrap();
        at = open(&at, &name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&at, c"file", flags, Mode::from_raw_mode(0o640)).unwrap();
        rustix::io::write(&file, number.to_string().as_bytes()).unwrap();
        if number % 500 == 0 {
            rustix::fs::linkat(&at, c"file", &at, c"second", AtFlags::empty()).unwrap();
        }
    }
    for number in (0..depth).rev() {
        at = open(&at, &c"..".to_owned());
        let stamp = Timespec { tv_sec: 1_000_000_000 + number as i64, tv_nsec: 5 };
        let times = Timestamps { last_access: stamp, last_modification: stamp };
        rustix::fs::utimensat(&at, level(number), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

/// Compare level by level; how many there are.
fn fathom(source: &Path, copy: &Path) -> usize {
    let (mut here, mut there) = (start(source), start(copy));
    for number in 0.. {
        let names = tree::names(&here);
        assert_eq!(names, tree::names(&there), "level {number}");
        for name in &names {
            let differences = Entry::read(&here, name).differences(&Entry::read(&there, name), &[]);
            assert!(differences.is_empty(), "level {number}, {name:?}: {differences:?}");
        }
        if !names.contains(&level(number)) {
            return number;
        }
        (here, there) = (open(&here, &level(number)), open(&there, &level(number)));
    }
    unreachable!("the loop ends at the last level")
}

/// Remove the levels from the last one up, which `remove_dir_all` cannot do in few open files.
fn fill_in(root: &Path, depth: usize) {
    let mut at = start(root);
    let mut reached = 0;
    while reached < depth && rustix::fs::statat(&at, level(reached), AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        at = open(&at, &level(reached));
        reached += 1;
    }
    for number in (0..reached).rev() {
        for name in tree::names(&at) {
            rustix::fs::unlinkat(&at, &name, AtFlags::empty())
                .or_else(|_| rustix::fs::unlinkat(&at, &name, AtFlags::REMOVEDIR))
                .unwrap();
        }
        at = open(&at, &c"..".to_owned());
        rustix::fs::unlinkat(&at, level(number), AtFlags::REMOVEDIR).unwrap();
    }
}

/// A scratch place whose deep trees are removed level by level.
struct Pit(Sandbox);

impl Drop for Pit {
    fn drop(&mut self) {
        for name in ["src", "dst"] {
            if self.0.path(name).exists() {
                fill_in(&self.0.path(name), DEPTH);
            }
        }
    }
}

#[test]
fn five_thousand_levels_are_copied_within_64_open_files() {
    let pit = Pit(Sandbox::new().dir("src"));
    let (source, copy) = (pit.0.path("src"), pit.0.path("dst"));
    dig(&source, DEPTH);
    for jobs in [1, 8] {
        let driven = Drive::new(&source, &copy).open_files(64).jobs(jobs).run();
        driven.assert_complete();
        assert!(driven.number("workers") <= jobs as u64);
        assert_eq!(driven.number("directories"), DEPTH as u64 + 1);
        assert_eq!(fathom(&source, &copy), DEPTH);
        let again = Drive::new(&source, &copy).open_files(64).jobs(jobs).run();
        again.assert_complete();
        assert_eq!((again.number("files"), again.number("bytes")), (0, 0));
        fill_in(&copy, DEPTH);
        std::fs::remove_dir(&copy).unwrap();
    }
}

#[test]
fn names_that_wait_in_very_many_directories_are_linked_within_few_open_files() {
    const DIRECTORIES: u64 = 1_500;
    // It shares no blocks, so that the content takes its time; all other names are met meanwhile.
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 1024) else { return };
    let sandbox = Sandbox::on(&mount).file("src/a/large", &vec![7; 200 << 20]);
    for index in 0..DIRECTORIES {
        let sandbox = sandbox.path(format!("src/{index}"));
        std::fs::create_dir(&sandbox).unwrap();
        std::fs::hard_link(sandbox.join("../a/large"), sandbox.join("name")).unwrap();
    }
    for limit in [64, 256] {
        let copy = sandbox.path(limit.to_string());
        let driven = Drive::new(&sandbox.path("src"), &copy).open_files(limit).jobs(4).run();
        driven.assert_complete();
        assert_eq!((driven.number("files"), driven.number("links")), (1, DIRECTORIES));
        // All are one inode; reading it under each of its names would take minutes.
        let meta = |name: String| std::fs::metadata(copy.join(name)).unwrap();
        let large = meta("a/large".to_owned());
        assert_eq!((large.nlink(), large.size()), (DIRECTORIES + 1, 200 << 20));
        assert!((0..DIRECTORIES).all(|index| meta(format!("{index}/name")).ino() == large.ino()));
        assert!(std::fs::read(copy.join("a/large")).unwrap().iter().all(|byte| *byte == 7));
    }
}

#[test]
fn a_wide_tree_of_many_levels_is_copied_within_64_open_files_by_many_workers() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 256) else { return };
    let sandbox = Sandbox::on(&mount);
    for a in 0..12 {
        for b in 0..12 {
            let dir = sandbox.path(format!("src/{a}/{b}/x/y/z"));
            std::fs::create_dir_all(&dir).unwrap();
            (0..4).for_each(|name| std::fs::write(dir.join(name.to_string()), b"x").unwrap());
        }
    }
    rustix::fs::utimensat(
        CWD,
        sandbox.path("src/0"),
        &Timestamps {
            last_access: Timespec { tv_sec: 1, tv_nsec: 0 },
            last_modification: Timespec { tv_sec: 2, tv_nsec: 0 },
        },
        AtFlags::empty(),
    )
    .unwrap();
    let driven = Drive::new(&sandbox.path("src"), &sandbox.path("dst")).open_files(64).jobs(16).run();
    driven.assert_complete();
    assert!((1..16).contains(&driven.number("workers")), "workers shrink to what may be open");
    tree::assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}
