//! What a run finds of attributes in a copy that is there.

use std::{fs, os::unix::fs::chown};

use orbit::{Attributes, CopyJob, Preserve, WarningKind};

use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete,
    awkward::{ACCESS, acl, set_mode, set_times, set_xattr, xattr},
    driver::{Drive, NOBODY},
    is_root, must, orbit, run, skip, stderr,
    tree::{Aspect, assert_same_but},
};

#[test]
fn a_copy_that_somebody_else_made_without_attributes_gets_them() {
    let sandbox = Sandbox::new().file("src/file", b"x").file("src/acl", b"x").file("src/plain", b"x");
    let path = |name: &str| sandbox.path(name).to_str().unwrap().to_owned();
    set_xattr(&sandbox.path("src/file"), "user.note", b"mine");
    set_xattr(&sandbox.path("src/acl"), ACCESS, &acl(6, (1234, 7), 4, 7, 0));
    must("cp", &["-R", "--preserve=timestamps", &path("src"), &path("dst")]);
    sandbox.tick();
    let report = sandbox.copy();
    assert_complete(&report);
    assert_eq!((report.totals.files_copied, report.warnings.len()), (0, 0));
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
    // What the copy alone has is looked for where the source has changed, or attributes were named.
    set_xattr(&sandbox.path("dst/plain"), "user.extra", b"of the copy");
    let named = Preserve::all_requiring(Attributes::XATTR);
    let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).preserve(named));
    assert_complete(&report);
    assert_eq!((report.totals.metadata_corrected, report.totals.files_copied), (1, 0));
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
}

#[test]
fn what_the_kernel_makes_of_an_inode_is_not_copied() {
    let sandbox = Sandbox::new().file("src/file", b"x").dir("src/dir");
    for name in ["src/file", "src/dir"] {
        let flags = rustix::fs::XattrFlags::empty();
        let set = rustix::fs::setxattr(sandbox.path(name), "security.evm", b"\x02 of this file", flags);
        if set.is_err() {
            return skip("security.evm may not be set here");
        }
    }
    for _ in 0..2 {
        let report = sandbox.copy();
        assert_complete(&report);
        assert_eq!((report.totals.metadata_corrected, report.warnings.len()), (0, 0));
        assert_eq!(xattr(&sandbox.path("dst/file"), "security.evm"), None);
        assert_eq!(xattr(&sandbox.path("dst/dir"), "security.evm"), None);
        sandbox.tick();
    }
    let (source, copy) = (sandbox.path("src"), sandbox.path("dst"));
    let output = orbit().arg("verify").arg("--metadata").args([&source, &copy]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn times_that_the_filesystem_cannot_hold_are_told_by_every_run() {
    let Some(mount) = Mount::new(Filesystem::Ext4Coarse, 64) else { return };
    let sandbox = Sandbox::new().file("src/file", b"content").symlink("file", "src/link").dir("src/dir");
    for name in ["file", "link", "dir"] {
        set_times(&sandbox.path("src").join(name), 10_000_000_000, 0);
    }
    let job = || CopyJob::new(sandbox.path("src"), mount.path().join("dst"));
    for run_of in 1..=3 {
        let report = run(job());
        assert_complete(&report);
        let told: Vec<_> = report.warnings.iter().map(|warning| (warning.kind, warning.count)).collect();
        assert_eq!(told, [(WarningKind::Times, 3)], "run {run_of}");
        assert_eq!(report.totals.files_copied, u64::from(run_of == 1));
    }
    let named = job().preserve(Preserve::all_requiring(Attributes::TIMESTAMPS));
    assert_eq!(run(named).totals.failed, 3);
}

#[test]
fn links_whose_group_is_not_to_be_had_are_not_copied_again_where_others_may_write() {
    if !is_root() {
        return skip("becoming another user needs root");
    }
    let sandbox = Sandbox::new().opened().file("src/one", b"content").dir("dst");
    fs::hard_link(sandbox.path("src/one"), sandbox.path("src/two")).unwrap();
    chown(sandbox.path("src/one"), Some(NOBODY), Some(4321)).unwrap();
    set_mode(&sandbox.path("dst"), 0o777);
    let drive = || Drive::new(&sandbox.path("src"), &sandbox.path("dst")).user(NOBODY).run();
    drive().assert_complete();
    let again = drive();
    again.assert_complete();
    assert_eq!((again.number("files"), again.number("links")), (0, 0));
    assert!(again.warnings.iter().any(|warning| warning == "Owner 1"), "{:?}", again.warnings);
}
