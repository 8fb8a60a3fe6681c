//! FIFOs, sockets, devices and links: copied as they are, never opened.

use std::fs;

use orbit::{Attributes, CopyJob, Preserve};
use rustix::fs::FileType;

use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete,
    awkward::{make_node, set_mode, set_times},
    driver::{Drive, NOBODY},
    has_program, is_root, run, skip,
    tree::{Tree, assert_matches, assert_same},
};

#[test]
fn special_files_are_never_opened() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let sandbox = Sandbox::new().dir("src");
    make_node(&sandbox.path("src/fifo"), FileType::Fifo, 0);
    make_node(&sandbox.path("src/socket"), FileType::Socket, 0);
    if is_root() {
        make_node(&sandbox.path("src/device"), FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    }
    let log = sandbox.path("log");
    let strace = ["strace", "-f", "-e", "trace=open,openat,openat2", "-o", log.to_str().unwrap()];
    let drive = Drive::new(&sandbox.path("src"), &sandbox.path("dst")).under(&strace);
    drive.run().assert_complete();
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("\"src\""), "the trace shows the copy's own calls");
    for name in ["\"fifo\"", "\"socket\"", "\"device\""] {
        // A descriptor that only names it (O_PATH) is how the C library changes its mode.
        let opened = log.lines().find(|line| line.contains(name) && !line.contains("O_PATH"));
        assert_eq!(opened, None);
    }
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn devices_are_failures_for_whoever_may_not_make_them_and_a_dry_run_knows() {
    if !is_root() {
        return skip("making a device needs root");
    }
    let sandbox = Sandbox::new().opened().dir("to").file("src/file", b"x");
    std::os::unix::fs::chown(sandbox.path("to"), Some(NOBODY), Some(NOBODY)).unwrap();
    for name in ["src/one", "src/two"] {
        make_node(&sandbox.path(name), FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    }
    let drive = Drive::new(&sandbox.path("src"), &sandbox.path("to/copy")).user(NOBODY);
    for drive in [drive.clone().dry(), drive.clone(), drive.clone()] {
        let driven = drive.run();
        assert!(!driven.is_complete());
        assert_eq!(driven.number("failed"), 2, "{:?}", driven.failures);
        let about_devices = |line: &String| line.contains("cannot create special file");
        assert!(driven.failures.iter().all(about_devices), "{:?}", driven.failures);
    }
    assert_eq!(sandbox.read("to/copy/file"), b"x");
    drive.without(Attributes::SPECIAL).run().assert_complete();
}

#[test]
fn special_files_left_out_are_skipped_and_counted() {
    let sandbox = Sandbox::new().file("src/file", b"x");
    make_node(&sandbox.path("src/fifo"), FileType::Fifo, 0);
    let preserve = Preserve::default().without(Attributes::SPECIAL);
    let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).preserve(preserve));
    assert_complete(&report);
    assert_eq!((report.totals.skipped, report.totals.specials_created), (1, 0));
    assert!(!sandbox.path("dst/fifo").exists());
}

#[test]
fn links_keep_what_they_say_their_owner_and_their_times() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 600) else { return };
    let sandbox = Sandbox::on(&mount).dir("src");
    let longest = "y/".repeat(2047);
    for (name, target) in
        [("dangling", "no/where"), ("self", "self"), ("absolute", "/"), ("longest", &longest)]
    {
        let sandbox = sandbox.path("src").join(name);
        std::os::unix::fs::symlink(target, &sandbox).unwrap();
        std::os::unix::fs::lchown(&sandbox, Some(4), Some(5)).unwrap();
        set_times(&sandbox, -5, 999_999_999);
    }
    set_times(&sandbox.path("src"), 77, 7);
    let before = Tree::of(&sandbox.path("src"));
    assert_complete(&sandbox.copy());
    assert_matches(&before, &sandbox.path("dst"), &[]);
    assert_eq!(fs::read_link(sandbox.path("dst/longest")).unwrap().as_os_str().len(), 4094);
}

#[test]
fn a_single_link_fifo_or_device_can_be_the_source() {
    let sandbox = Sandbox::new().symlink("nowhere", "link");
    make_node(&sandbox.path("fifo"), FileType::Fifo, 0);
    set_mode(&sandbox.path("fifo"), 0o604);
    let mut names = vec!["link", "fifo"];
    if is_root() {
        make_node(&sandbox.path("device"), FileType::BlockDevice, rustix::fs::makedev(7, 99));
        names.push("device");
    }
    for name in names {
        let copy = sandbox.path(format!("copy-of-{name}"));
        assert_complete(&run(CopyJob::new(sandbox.path(name), &copy)));
        assert_same(&sandbox.path(name), &copy);
    }
}
