//! Attributes that are lost, whatever the error: they cost nothing else, are said again, and made good.

use std::fs;

use nix::errno::Errno;

use super::{
    metadata::{assert_same_contents, assert_warned_of, copy_of, owned_by_another},
    traced::{Traced, can_trace},
    tree::{age, set_mode},
};
use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete, awkward,
    tree::{Aspect, assert_same_but},
};

/// Errors of every kind: of storage, of room, of names and sizes, and of entries that are not there.
const OF_ALL_KINDS: [(&str, Errno); 11] = [
    ("EIO", Errno::EIO),
    ("ENOMEM", Errno::ENOMEM),
    ("EDQUOT", Errno::EDQUOT),
    ("ENODATA", Errno::ENODATA),
    ("ENAMETOOLONG", Errno::ENAMETOOLONG),
    ("EBUSY", Errno::EBUSY),
    ("EFBIG", Errno::EFBIG),
    ("ENOENT", Errno::ENOENT),
    ("EROFS", Errno::EROFS),
    ("EINVAL", Errno::EINVAL),
    ("ENOTTY", Errno::ENOTTY),
];

#[test]
fn an_attribute_never_costs_the_content_whatever_the_error() {
    let Some((_mount, sandbox)) = owned_by_another() else { return };
    let all = [
        ("fchown", "Owner", "OWNERSHIP"),
        ("fchmod", "Mode", "MODE"),
        ("utimensat", "Times", "TIMESTAMPS"),
        ("fsetxattr", "Xattr", "XATTR"),
        ("flistxattr", "Xattr", "XATTR"),
    ];
    for (index, (name, errno)) in OF_ALL_KINDS.into_iter().enumerate() {
        for (call, loss, _) in all {
            let outcome = copy_of(&sandbox).fault(call, &format!("error={name}:when=2")).run();
            assert_warned_of(&outcome, call, loss, 1);
            assert_same_contents(&sandbox);
        }
        // What was named is worth a failure, of that entry alone; a quota is no reason to stop for it.
        let (call, _, attribute) = all[index % all.len()];
        let copy = copy_of(&sandbox).told("requiring", attribute);
        let outcome = copy.fault(call, &format!("error={name}:when=2")).run();
        assert!(outcome.injected(call) > 0 && outcome.summary.total("failed") == 1, "{call} {name}");
        let failure = &outcome.summary.failures[0];
        assert!(failure.contains(&format!(" {} ", errno as i32)), "{call} {name}: {failure}");
    }
}

#[test]
fn an_attribute_that_the_storage_refuses_once_is_given_where_entries_are_tried_again() {
    let Some((_mount, sandbox)) = owned_by_another() else { return };
    for call in ["fchown", "fchmod", "utimensat", "fsetxattr", "flistxattr"] {
        let copy = copy_of(&sandbox).told("retries", "1");
        let outcome = copy.clone().fault(call, "error=EIO:when=2").run();
        outcome.assert_complete_despite(call);
        assert_eq!((outcome.summary.warnings(), outcome.summary.total("retries")), (0, 1), "{call}");
        assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
        // Where that does not help, it is lost, and nothing else.
        fs::remove_dir_all(sandbox.path("dst")).unwrap();
        let outcome = copy.fault(call, "error=EIO").run();
        outcome.assert_complete_despite(call);
        let kinds = if call == "fchown" { 2 } else { 1 }; // with the owner, setuid goes
        assert_eq!(outcome.summary.warnings(), kinds, "{call}: {:?}", outcome.summary);
        assert_same_contents(&sandbox);
    }
}

#[test]
fn what_was_lost_is_said_by_every_run_that_leaves_it_so_and_made_good_by_the_first_that_can() {
    let Some((_mount, sandbox)) = owned_by_another() else { return };
    let again = || Traced::copy(sandbox.path("src"), sandbox.path("dst"));
    let refused = |copy: Traced| copy.fault("fsetxattr", "error=ENOSPC").run();
    assert_warned_of(&refused(copy_of(&sandbox)), "fsetxattr", "Xattr", 3);
    for _ in 0..2 {
        sandbox.tick();
        let outcome = refused(again());
        assert_warned_of(&outcome, "fsetxattr", "Xattr", 3);
        let totals = ["files_copied", "unchanged"].map(|name| outcome.summary.total(name));
        assert_eq!(totals, [0, 3], "nothing was done: {:?}", outcome.summary);
    }
    let outcome = refused(again().told("requiring", "XATTR"));
    assert_eq!(outcome.summary.total("failed"), 3, "{:?}", outcome.summary);
    assert!(outcome.injected("fsetxattr") > 0);
    let outcome = again().recording("fsetxattr").run();
    assert_eq!((outcome.count("fsetxattr"), outcome.summary.warnings()), (3, 0), "{:?}", outcome.summary);
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
    let outcome = again().told("requiring", "XATTR").recording("fsetxattr").run();
    assert_eq!((outcome.count("fsetxattr"), outcome.summary.total("unchanged")), (0, 3));
}

#[test]
fn an_attribute_that_cannot_be_removed_goes_with_its_file() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Ext4, 32) else { return };
    let sandbox = Sandbox::on(&mount).file("src/f", b"content").file("dst/f", b"content");
    awkward::set_xattr(&sandbox.path("dst/f"), "user.extra", b"of the copy");
    for tree in ["src", "dst"] {
        age(&sandbox.path(tree).join("f"), 1);
    }
    sandbox.tick();
    set_mode(&sandbox.path("src/f"), 0o600); // looked at, since it has changed
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
    let outcome = copy.clone().fault("fremovexattr", "error=EBUSY").run();
    assert_warned_of(&outcome, "fremovexattr", "Xattr", 1);
    assert_eq!(sandbox.read("dst/f"), b"content");
    let outcome = copy.recording("fremovexattr").run();
    assert_eq!((outcome.summary.total("files_copied"), outcome.summary.warnings()), (1, 0));
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
}

#[test]
fn the_mode_is_set_after_an_acl_was_removed() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Ext4, 32) else { return };
    let sandbox = Sandbox::on(&mount).file("src/dir/f", b"x");
    assert_complete(&sandbox.copy());
    for name in ["dst/dir", "dst/dir/f"] {
        awkward::set_xattr(&sandbox.path(name), awkward::ACCESS, &awkward::acl(6, (1234, 7), 4, 4, 4));
    }
    sandbox.tick();
    set_mode(&sandbox.path("src/dir/f"), 0o644);
    set_mode(&sandbox.path("src/dir"), 0o644 | 0o111);
    let outcome =
        Traced::copy(sandbox.path("src"), sandbox.path("dst")).recording("fremovexattr,fchmod").run();
    for name in ["/dst/dir>", "/dst/dir/f>"] {
        let of_it: Vec<&str> =
            outcome.calls.iter().filter(|call| call.line.contains(name)).map(|call| &*call.name).collect();
        assert!(of_it.ends_with(&["fremovexattr", "fchmod"]), "{name}: {:?}", outcome.calls);
    }
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
    // Where there is none, none is removed.
    let outcome = Traced::copy(sandbox.path("src"), sandbox.path("dst")).recording("fremovexattr").run();
    assert_eq!(outcome.count("fremovexattr"), 0);
}
