//! Memory does not grow with the tree: what a process of its own needs for it.

use std::{fs, path::Path};

use super::scaled;
use crate::support::{Filesystem, Mount, Sandbox, driver::Drive};

const JOBS: usize = 16;

/// Copy in a process of its own, and assert what it needed at most, in MiB.
#[track_caller]
fn assert_needs(sandbox: &Sandbox, entries: usize, most: u64) {
    let driven = Drive::new(&sandbox.path("src"), &sandbox.path("dst")).jobs(JOBS).run();
    driven.assert_complete();
    let (peak, millis) = (driven.peak_mebibytes(), driven.number("millis"));
    eprintln!("{entries} entries: {peak} MiB at most, {millis} ms");
    assert!(driven.number("found") >= entries as u64);
    assert!(peak < most, "{peak} MiB");
}

fn make(path: &Path, is_empty: bool) {
    fs::write(path, if is_empty { "" } else { "small" }).unwrap();
}

#[test]
fn a_million_small_files_in_twenty_thousand_directories_need_less_than_64_mebibytes() {
    let files = scaled(100_000, 1_000_000);
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 4096) else { return };
    let sandbox = Sandbox::on(&mount);
    for dir in 0..files / 50 {
        let path = sandbox.path(format!("src/{}/{dir}", dir / 200));
        fs::create_dir_all(&path).unwrap();
        (0..50).for_each(|file| make(&path.join(format!("small-file-{file}")), file % 10 != 0));
    }
    assert_needs(&sandbox, files, 64);
}

#[test]
fn one_flat_directory_of_a_million_files_needs_less_than_64_mebibytes() {
    let files = scaled(100_000, 1_000_000);
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 4096) else { return };
    let sandbox = Sandbox::on(&mount).dir("src");
    (0..files).for_each(|file| make(&sandbox.path(format!("src/small-file-{file}")), file % 10 != 0));
    assert_needs(&sandbox, files, 64);
    // And once more, when everything is there.
    assert_needs(&sandbox, files, 64);
}

#[test]
fn a_million_open_link_groups_need_less_than_300_mebibytes() {
    let groups = scaled(50_000, 1_000_000);
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 4096) else { return };
    // A tmpfs lists what is newest first: the second names are met when all the first are done.
    let sandbox = Sandbox::on(&mount).dir("src/last");
    for group in 0..groups {
        let first = sandbox.path(format!("src/name-{group}"));
        make(&first, true);
        fs::hard_link(first, sandbox.path(format!("src/last/name-{group}"))).unwrap();
    }
    assert_needs(&sandbox, groups * 2, if groups < 1_000_000 { 64 } else { 300 });
}
