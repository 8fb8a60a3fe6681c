//! Calls that older kernels lack, or that containers forbid: something else does their work.

use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt},
};

use nix::sys::stat::Mode;

use super::{
    traced::{Traced, can_trace, is_known},
    tree::{
        KIB, MIB, age, assert_no_temporaries, assert_same_tree, copied, noise, sparse_file, three_files,
        three_pieces,
    },
};
use crate::support::Sandbox;

fn copy_of(sandbox: &Sandbox) -> Traced {
    Traced::copy(sandbox.path("src"), sandbox.path("dst")).without_reflink()
}

/// Two directories that share an inode, deep enough for a path of several names.
fn linked_across_directories() -> Sandbox {
    let sandbox = Sandbox::new().file("src/one/deep/a", &noise(1, 9_000)).dir("src/two/deep");
    fs::hard_link(sandbox.path("src/one/deep/a"), sandbox.path("src/two/deep/b")).unwrap();
    sandbox
}

#[test]
fn hard_links_across_directories_need_no_openat2() {
    if !can_trace() {
        return;
    }
    for errno in ["ENOSYS", "EPERM", "E2BIG", "EAGAIN"] {
        let sandbox = linked_across_directories();
        let outcome = copy_of(&sandbox).fault("openat2", &format!("error={errno}")).run();
        outcome.assert_complete_despite("openat2");
        assert_eq!(outcome.summary.total("hard_links_created"), 1, "{errno}");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        let inode = |name: &str| fs::metadata(sandbox.path("dst").join(name)).unwrap().ino();
        assert_eq!(inode("one/deep/a"), inode("two/deep/b"), "{errno}");
    }
}

#[test]
fn a_file_that_appears_when_finished_needs_neither_o_tmpfile_nor_renameat2() {
    if !can_trace() {
        return;
    }
    for unnamed in ["EOPNOTSUPP", "EISDIR", "EINVAL", "ENOSYS"] {
        for rename in ["ENOSYS", "EINVAL"] {
            let sandbox = Sandbox::new().file("src/f", &noise(1, 9_000)).dir("dst");
            age(&sandbox.path("src/f"), 1);
            // This policy cannot tell an unfinished file by its time.
            let copy = copy_of(&sandbox).told("existing", "newer");
            let copy = copy.fault_at("openat", &["O_TMPFILE"], &format!("error={unnamed}"), || {
                fs::remove_file(sandbox.path("dst/f")).unwrap();
            });
            let outcome = copy.fault("renameat2", &format!("error={rename}")).run();
            outcome.assert_complete_despite("openat");
            assert_eq!(outcome.injected("renameat2"), 1, "{unnamed} {rename}: {:?}", outcome.calls);
            assert_eq!(copied(&sandbox), ["f"], "{unnamed} {rename}");
            assert_eq!(fs::metadata(sandbox.path("dst/f")).unwrap().nlink(), 1);
        }
    }
}

#[test]
fn the_mode_of_a_special_file_needs_no_fchmodat2() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().dir("src");
    nix::unistd::mkfifo(&sandbox.path("src/p"), Mode::from_bits_truncate(0o600)).unwrap();
    super::tree::set_mode(&sandbox.path("src/p"), 0o666);
    let copy = copy_of(&sandbox).recording("mknodat");
    let has_fault = is_known("fchmodat2");
    let copy = if has_fault { copy.fault("fchmodat2", "error=ENOSYS") } else { copy };
    let outcome = copy.run();
    assert!(outcome.status.success(), "{:?}", outcome.summary);
    assert_eq!(outcome.count("mknodat"), 1);
    // A C library that does not know the call goes the long way round by itself.
    assert_eq!(outcome.injected("fchmodat2"), outcome.count("fchmodat2"));
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn nothing_depends_on_statx() {
    if !can_trace() {
        return;
    }
    let sandbox = linked_across_directories();
    sparse_file(&sandbox.path("src/sparse"), &[MIB], 2 * MIB);
    let outcome = copy_of(&sandbox).fault("statx", "error=ENOSYS").recording("utimensat").run();
    assert!(outcome.status.success(), "{:?}", outcome.summary);
    assert!(outcome.count("utimensat") > 0, "nothing was recorded");
    // The standard library asks for it once to read a file of sysfs; entries are never asked about.
    assert!(outcome.calls.iter().all(|call| call.name != "statx" || !call.line.contains("src")));
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn a_filesystem_that_cannot_seek_holes_gets_every_byte() {
    if !can_trace() {
        return;
    }
    for errno in ["EINVAL", "EOPNOTSUPP"] {
        let sandbox = three_pieces();
        let outcome = copy_of(&sandbox).fault("lseek", &format!("error={errno}")).run();
        outcome.assert_complete_despite("lseek");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    }
    let sandbox = Sandbox::new().dir("src");
    sparse_file(&sandbox.path("src/sparse"), &[0, 300 * KIB], 900 * KIB);
    let afresh = || fs::remove_dir_all(sandbox.path("dst")).unwrap();
    let outcome = copy_of(&sandbox).fault_at("lseek", &["SEEK_HOLE"], "error=EIO", afresh).run();
    outcome.assert_one_failure_by("lseek", nix::errno::Errno::EIO);
    assert_eq!(copied(&sandbox), [""; 0]);
}

#[test]
fn space_need_not_be_reserved() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().file("src/f", &noise(1, 9 * MIB));
    for errno in ["EOPNOTSUPP", "ENOSYS", "EINVAL"] {
        let _ = fs::remove_dir_all(sandbox.path("dst"));
        let outcome = copy_of(&sandbox).fault("fallocate", &format!("error={errno}")).run();
        outcome.assert_complete_despite("fallocate");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    }
}

#[test]
fn a_replacement_needs_no_lock() {
    if !can_trace() {
        return;
    }
    for errno in ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EBADF"] {
        let sandbox = three_files().file("dst/a", b"old");
        let outcome = copy_of(&sandbox).fault("flock", &format!("error={errno}")).run();
        outcome.assert_complete_despite("flock");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        assert_no_temporaries(&sandbox.path("dst"));
    }
}

#[test]
fn holes_that_are_asked_for_need_no_seeking() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().dir("src");
    let file = fs::File::create(sandbox.path("src/f")).unwrap();
    file.write_all_at(&vec![0; MIB as usize], 0).unwrap();
    file.write_all_at(&noise(3, 64 * KIB), 512 * KIB).unwrap();
    let copy = copy_of(&sandbox).told("sparse", "always");
    let outcome = copy.fault("pwrite64", "error=EINTR:when=1+2").run();
    outcome.assert_complete_despite("pwrite64");
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    let allocated = fs::metadata(sandbox.path("dst/f")).unwrap().blocks() * 512;
    assert!((64 * KIB..128 * KIB).contains(&allocated), "{allocated}");
}
