//! Calls that a signal interrupts, which are made again.

use std::{fs, os::unix::fs::chown, path::Path};

use super::{
    traced::{Traced, can_trace},
    tree::{MIB, age, assert_holes_kept, assert_no_temporaries, assert_same_tree, noise, sparse_file},
};
use crate::support::{
    Filesystem, Mount, Sandbox,
    awkward::{set_xattr, xattr},
};

/// A tree that needs every call, on a filesystem that has them, and what is there of its copy.
fn plant(mount: &Mount) -> Sandbox {
    let sandbox = Sandbox::on(mount)
        .file("src/dir/file", &noise(1, 5_000))
        .file("src/changed", b"new")
        .file("src/wide", &noise(2, 9 * MIB))
        .symlink("dir/file", "src/symlink")
        .file("dst/changed", b"old content")
        .file("dst/.orbit-0123456789abcdef.tmp", b"what a run that died has left");
    sparse_file(&sandbox.path("src/sparse"), &[0, MIB], 2 * MIB);
    fs::hard_link(sandbox.path("src/dir/file"), sandbox.path("src/link")).unwrap();
    nix::unistd::mkfifo(&sandbox.path("src/fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    for name in ["dir/file", "fifo"] {
        chown(sandbox.path("src").join(name), Some(1234), Some(2345)).unwrap();
    }
    set_xattr(&sandbox.path("src/dir/file"), "user.colour", b"red");
    // A directory that is there already loses what its source does not have.
    set_xattr(&sandbox.path("dst"), "user.colour", b"blue");
    age(&sandbox.path("src/dir"), 1);
    sandbox
}

fn colour(path: &Path) -> Option<Vec<u8>> {
    xattr(path, "user.colour")
}

#[test]
fn every_interrupted_call_is_made_again() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Ext4, 128) else { return };
    for call in [
        "openat",
        "newfstatat",
        "readlinkat",
        "getdents64",
        "flistxattr",
        "fgetxattr",
        "fsetxattr",
        "fremovexattr",
        "llistxattr",
        "lseek",
        "ftruncate",
        "fallocate",
        "mkdirat",
        "symlinkat",
        "linkat",
        "mknodat",
        "renameat",
        "unlinkat",
        "fchown",
        "fchownat",
        "fchmod",
        "utimensat",
    ] {
        let sandbox = plant(&mount);
        let (source, copy) = (sandbox.path("src"), sandbox.path("dst"));
        // Every call, the first time it is made.
        let outcome = Traced::copy(&source, &copy).fault(call, "error=EINTR:when=1+2").run();
        outcome.assert_complete_despite(call);
        assert_eq!(outcome.summary.warnings(), 0, "{call}: {:?}", outcome.summary);
        assert_same_tree(&source, &copy);
        assert_holes_kept(&source.join("sparse"), &copy.join("sparse"));
        assert_eq!((colour(&copy.join("dir/file")), colour(&copy)), (Some(b"red".to_vec()), None), "{call}");
        assert_no_temporaries(&copy);
    }
}
