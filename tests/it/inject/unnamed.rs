//! Files that replace others have no name until they are finished, where the filesystem has such files.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use nix::errno::Errno;

use super::{
    traced::{Traced, can_trace},
    tree::{MIB, age, assert_no_temporaries, assert_same_tree, is_temporary, noise, set_mode, walk},
};
use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete,
    awkward::{ACCESS, DEFAULT, acl, set_xattr},
    copy_program, is_root, skip, stderr,
    tree::{Aspect, Tree},
};

/// Filesystems that have files without a name, and names for them.
const HAVE: [Filesystem; 4] = [Filesystem::Ext4, Filesystem::Xfs, Filesystem::Btrfs, Filesystem::Tmpfs];

/// New versions of some files, small and large, whose old ones are there.
fn replaced(sandbox: Sandbox) -> Sandbox {
    let sandbox = sandbox.file("src/large", &noise(1, 9 * MIB)).file("dst/large", b"old");
    let sandbox = (0..6).fold(sandbox, |sandbox, number| {
        let (new, old) = (format!("src/{number}"), format!("dst/{number}"));
        sandbox.file(&new, &noise(number + 2, MIB)).file(&old, b"old")
    });
    walk(&sandbox.path("src")).iter().for_each(|path| age(path, 30));
    sandbox
}

fn temporaries(sandbox: &Sandbox) -> Vec<PathBuf> {
    let has_end = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tmp");
    walk(&sandbox.path("dst")).into_iter().filter(|path| is_temporary(path) && has_end(path)).collect()
}

fn copy(sandbox: &Sandbox) -> Traced {
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
    copy.told("zero-copy", "forbid").without_reflink()
}

/// Kill a copy when something of what replaces a file is written.
#[track_caller]
fn kill(sandbox: &Sandbox) {
    let outcome = copy(sandbox).fault("pwrite64", "signal=KILL:when=2").run();
    assert_eq!(outcome.status.signal(), Some(9));
    for name in ["large", "0", "1", "2", "3", "4", "5"] {
        let (old, new) = (sandbox.read(format!("dst/{name}")), sandbox.read(format!("src/{name}")));
        assert!(old == b"old" || old == new, "{name} is neither the old nor the new");
    }
}

#[test]
fn a_killed_run_leaves_nothing_of_what_was_to_replace_a_file() {
    if !can_trace() {
        return;
    }
    for kind in HAVE {
        let Some(mount) = Mount::new(kind, if kind == Filesystem::Tmpfs { 64 } else { 512 }) else {
            continue;
        };
        let sandbox = replaced(Sandbox::on(&mount));
        kill(&sandbox);
        assert_eq!(temporaries(&sandbox), [] as [&Path; 0], "{kind:?}");
        assert_complete(&sandbox.copy());
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    }
}

#[test]
fn where_files_have_names_from_the_start_the_next_run_removes_what_a_killed_one_leaves() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Bindfs, 64) else { return };
    let sandbox = replaced(Sandbox::on(&mount));
    kill(&sandbox);
    assert_eq!(temporaries(&sandbox).len(), 1);
    assert_complete(&sandbox.copy());
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    assert_no_temporaries(&sandbox.path("dst"));
}

#[test]
fn where_a_file_may_not_get_its_name_late_it_has_one_from_the_start() {
    if !can_trace() {
        return;
    }
    for errno in [Errno::EPERM, Errno::EACCES, Errno::ENOSYS, Errno::ENOENT, Errno::EXDEV, Errno::EOPNOTSUPP]
    {
        let sandbox = replaced(Sandbox::new());
        let outcome = copy(&sandbox).fault("linkat", &format!("error={errno:?}")).recording("renameat").run();
        outcome.assert_complete_despite("linkat");
        assert_eq!(outcome.count("linkat"), 1, "it is asked once: {:?}", outcome.calls);
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        assert_no_temporaries(&sandbox.path("dst"));
    }
}

#[test]
fn a_name_that_is_refused_in_the_end_keeps_the_old_file_and_leaves_nothing() {
    if !can_trace() {
        return;
    }
    // The first asks whether it can be done; what follows is for files, alone and in a group.
    for (many, errno) in [(true, Errno::EIO), (false, Errno::EIO), (true, Errno::ENOSPC)] {
        let sandbox = if many {
            replaced(Sandbox::new())
        } else {
            let sandbox = Sandbox::new().file("src/large", &noise(1, MIB)).file("dst/large", b"old");
            age(&sandbox.path("src/large"), 30);
            sandbox
        };
        let outcome = copy(&sandbox).fault("linkat", &format!("error={errno:?}:when=2+")).run();
        assert!(outcome.injected("linkat") > 0, "{:?}", outcome.calls);
        let failed = outcome.summary.total("failed");
        assert_eq!(failed, if many { 7 } else { 1 }, "{:?}", outcome.summary);
        let is_named = |failure: &String| failure.contains(&format!(" {} ", errno as i32));
        assert!(outcome.summary.failures.iter().all(is_named), "{:?}", outcome.summary);
        let names = walk(&sandbox.path("dst"));
        let mut files = names.iter().filter(|path| path.is_file() && !is_temporary(path));
        assert!(files.all(|path| fs::read(path).unwrap() == b"old"));
        assert!(temporaries(&sandbox).is_empty());
        assert_complete(&sandbox.copy());
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    }
}

#[test]
fn a_name_for_a_moment_that_is_there_already_is_passed_over() {
    if !can_trace() {
        return;
    }
    let sandbox = replaced(Sandbox::new());
    let outcome = copy(&sandbox).fault("linkat", "error=EEXIST:when=2..4").run();
    outcome.assert_complete_despite("linkat");
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    assert_no_temporaries(&sandbox.path("dst"));
}

/// Trees that are replaced with a directory's inherited group, ACL and mask in play: one way and the other.
#[test]
fn what_replaces_a_file_is_the_same_whether_it_is_named_late_or_from_the_start() {
    if !is_root() {
        return skip("groups of others need root");
    }
    if !can_trace() {
        return;
    }
    for kind in HAVE {
        let Some(mount) = Mount::new(kind, if kind == Filesystem::Tmpfs { 64 } else { 512 }) else {
            continue;
        };
        for lost in [None, Some("MODE"), Some("OWNERSHIP"), Some("ACL")] {
            let both = [false, true].map(|refuses| {
                let sandbox = inheriting(Sandbox::on(&mount));
                let copy = copy(&sandbox);
                let copy = lost.into_iter().fold(copy, |copy, name| copy.told("lose", name));
                let copy = if refuses { copy.fault("linkat", "error=EPERM") } else { copy };
                let outcome = copy.run();
                assert!(outcome.status.success(), "{:?}", outcome.summary);
                assert_eq!(outcome.injected("linkat") > 0, refuses);
                Tree::of(&sandbox.path("dst"))
            });
            let [late, early] = both;
            let differences = late.differences(&early, &[Aspect::Atime]);
            assert!(differences.is_empty(), "{kind:?} without {lost:?}: {differences:?}");
        }
    }
}

/// Files that are there, in a directory that hands its group and an ACL on to what is made in it.
fn inheriting(sandbox: Sandbox) -> Sandbox {
    let sandbox = replaced(sandbox);
    let dst = sandbox.path("dst");
    chown(&dst, None, Some(2345)).unwrap();
    set_mode(&dst, 0o2775);
    set_xattr(&dst, DEFAULT, &acl(7, (1234, 7), 5, 7, 4));
    set_mode(&sandbox.path("src/0"), 0o640);
    set_mode(&sandbox.path("src/1"), 0o4755);
    set_mode(&sandbox.path("dst/2"), 0o604);
    set_xattr(&sandbox.path("src/3"), ACCESS, &acl(6, (1234, 4), 4, 6, 0));
    set_xattr(&sandbox.path("dst/4"), ACCESS, &acl(6, (1234, 6), 4, 6, 0));
    sandbox
}

#[test]
fn who_could_not_name_what_he_has_given_away_keeps_it() {
    if !is_root() {
        return skip("owners need root");
    }
    if !can_trace() {
        return;
    }
    let sandbox = replaced(Sandbox::new());
    for number in 0..6 {
        chown(sandbox.path(format!("src/{number}")), Some(1234), Some(2345)).unwrap();
        set_mode(&sandbox.path(format!("src/{number}")), 0o4755);
    }
    let program = sandbox.path("orbit");
    copy_program(&program);
    // What others own may not be linked by whoever may not act for its owner (proc(5), protected_hardlinks).
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-fowner", "--inh-caps", "-fowner"]).arg(program);
    let output = command.arg("-T").args([sandbox.path("src"), sandbox.path("dst")]).output().unwrap();
    for number in 0..6 {
        let (copy, source) = (sandbox.read(format!("dst/{number}")), sandbox.read(format!("src/{number}")));
        assert!(copy == source, "{}", stderr(&output));
        assert_eq!(fs::metadata(sandbox.path(format!("dst/{number}"))).unwrap().uid(), 0);
    }
    assert_no_temporaries(&sandbox.path("dst"));
}
