//! What a run finds of attributes in a copy that is there.

use orbit::{Attributes, CopyJob, Preserve};

use crate::support::{
    Sandbox, assert_complete,
    awkward::{ACCESS, acl, set_xattr, xattr},
    must, orbit, run, skip, stderr,
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
