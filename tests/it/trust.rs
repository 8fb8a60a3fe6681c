//! What a destination holds is not trusted further than it deserves.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown, lchown},
    path::Path,
};

use orbit::{CopyJob, Existing};
use rustix::fs::FileType;

use crate::support::{
    Sandbox, assert_complete,
    awkward::{CAPABILITY, NET_RAW, make_node, set_mode, set_times, set_xattr},
    is_root, must, run, skip,
    tree::{Aspect, Tree, assert_matches, assert_same},
};

#[test]
fn a_strangers_file_that_looks_the_same_is_never_made_setuid() {
    if !is_root() {
        return skip("only root can give files away");
    }
    let sandbox = Sandbox::new().file("src/tool", b"good").file("dst/tool", b"EVIL");
    set_mode(&sandbox.path("src/tool"), 0o4755);
    set_mode(&sandbox.path("dst/tool"), 0o755);
    chown(sandbox.path("dst/tool"), Some(1000), Some(1000)).unwrap();
    for tree in ["src", "dst"] {
        set_times(&sandbox.path(tree).join("tool"), 1_000, 0);
    }
    assert_complete(&sandbox.copy());
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
    assert_eq!(sandbox.read("dst/tool"), b"good");
}

#[test]
fn a_strangers_file_that_looks_the_same_never_gets_a_capability() {
    if !is_root() {
        return skip("only root can give files away and lend capabilities");
    }
    // Another's file, and one of the right owner that others may write to.
    for (owner, mode) in [(1000, 0o755), (0, 0o777)] {
        let sandbox = Sandbox::new().file("src/tool", b"good").file("dst/tool", b"EVIL");
        set_mode(&sandbox.path("src/tool"), 0o755);
        set_xattr(&sandbox.path("src/tool"), CAPABILITY, &NET_RAW);
        set_mode(&sandbox.path("dst/tool"), mode);
        chown(sandbox.path("dst/tool"), Some(owner), Some(owner)).unwrap();
        for tree in ["src", "dst"] {
            set_times(&sandbox.path(tree).join("tool"), 1_000, 0);
        }
        let strangers = fs::File::open(sandbox.path("dst/tool")).unwrap();
        assert_complete(&sandbox.copy());
        assert_same(&sandbox.path("src"), &sandbox.path("dst"));
        assert_eq!(sandbox.read("dst/tool"), b"good");
        let lent = rustix::fs::fgetxattr(&strangers, CAPABILITY, &mut [0; 32]);
        assert_eq!(lent, Err(rustix::io::Errno::NODATA));
    }
}

#[test]
fn files_that_only_the_destination_links_are_parted_before_one_is_corrected() {
    let sandbox = Sandbox::new().file("src/a", b"same").file("src/z", b"same").dir("dst");
    set_mode(&sandbox.path("src/a"), 0o600);
    set_mode(&sandbox.path("src/z"), 0o644);
    for name in ["a", "z"] {
        set_times(&sandbox.path("src").join(name), 1_000, 0);
    }
    assert_complete(&sandbox.copy());
    fs::remove_file(sandbox.path("dst/z")).unwrap();
    fs::hard_link(sandbox.path("dst/a"), sandbox.path("dst/z")).unwrap();
    assert_complete(&sandbox.copy());
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
    let report = sandbox.copy();
    assert_eq!((report.totals.metadata_corrected, report.totals.files_copied), (0, 0), "it converged");
}

#[test]
fn files_that_only_the_destination_links_are_parted_even_where_nothing_differs() {
    let sandbox = Sandbox::new().file("src/x", b"same").file("src/y", b"same");
    for name in ["src/x", "src/y", "src"] {
        set_times(&sandbox.path(name), 1_000, 0);
    }
    assert_complete(&sandbox.copy());
    fs::remove_file(sandbox.path("dst/y")).unwrap();
    fs::hard_link(sandbox.path("dst/x"), sandbox.path("dst/y")).unwrap();
    must("cp", &["-al", sandbox.path("dst").to_str().unwrap(), sandbox.path("snapshot").to_str().unwrap()]);
    let snapshot = Tree::of(&sandbox.path("snapshot"));
    let report = sandbox.copy();
    assert_complete(&report);
    assert_eq!((report.totals.files_copied, report.totals.unchanged), (1, 1), "one stays, one is copied");
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
    // Whoever compares files may read them.
    assert_matches(&snapshot, &sandbox.path("snapshot"), &[Aspect::Atime]);
    assert_eq!(sandbox.copy().totals.unchanged, 2, "it converged");
}

type Change = fn(&Path);

#[test]
fn no_correction_reaches_a_name_outside_of_the_tree() {
    if !is_root() {
        return skip("changing owners needs root");
    }
    let note: Change = |path| set_xattr(path, "trusted.note", b"new");
    let owner: Change = |path| lchown(path, Some(1000), Some(1001)).unwrap();
    let mode: Change = |path| set_mode(path, 0o604);
    let time: Change = |path| set_times(path, 2_000, 7);
    let changes = [("note", note), ("owner", owner), ("mode", mode), ("time", time)];
    let may_change = |kind, change| match kind {
        "link" => change != "mode",
        "fifo" => true,
        _ => change != "time", // which would be another content
    };
    let names: Vec<_> = ["file", "pair", "fifo", "link"]
        .into_iter()
        .flat_map(|kind| changes.map(|(what, change)| (kind, what, change)))
        .filter(|(kind, what, _)| may_change(*kind, *what))
        .map(|(kind, what, change)| (kind, format!("{kind}-{what}"), change))
        .collect();
    let sandbox = Sandbox::new().dir("src").dir("outside");
    for (kind, name, _) in &names {
        let path = sandbox.path("src").join(name);
        match *kind {
            "fifo" => make_node(&path, FileType::Fifo, 0),
            "link" => std::os::unix::fs::symlink("nowhere", &path).unwrap(),
            _ => fs::write(&path, name).unwrap(),
        }
        set_times(&path, 1_000, 0);
        if *kind == "pair" {
            fs::hard_link(&path, sandbox.path("src").join(format!("{name}-too"))).unwrap();
        }
    }
    assert_complete(&sandbox.copy());
    for (_, name, change) in &names {
        fs::hard_link(sandbox.path("dst").join(name), sandbox.path("outside").join(name)).unwrap();
        change(&sandbox.path("src").join(name));
    }
    let outside = Tree::of(&sandbox.path("outside"));
    assert_complete(&sandbox.copy());
    assert_matches(&outside, &sandbox.path("outside"), &[Aspect::Atime]);
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn a_name_that_is_met_twice_does_not_part_its_group() {
    let sandbox = Sandbox::new().file("src/sub/one", b"x").dir("dst");
    fs::hard_link(sandbox.path("src/sub/one"), sandbox.path("src/two")).unwrap();
    let sources = [sandbox.path("src"), sandbox.path("src/sub")];
    assert_complete(&run(CopyJob::into_directory(sources, sandbox.path("dst")).jobs(1)));
    let inode = |name: &str| fs::metadata(sandbox.path(name)).unwrap().ino();
    assert_eq!(inode("dst/src/two"), inode("dst/src/sub/one"));
    assert_eq!(inode("dst/src/two"), inode("dst/sub/one"));
}

#[test]
fn workers_on_many_sources_leave_each_others_temporaries_alone() {
    let mut sandbox = Sandbox::new().dir("src").dir("dst");
    for number in 0..300 {
        sandbox = sandbox.symlink("new", format!("src/{number}")).symlink("old", format!("dst/{number}"));
    }
    let sources: Vec<_> = (0..300).map(|number| sandbox.path(format!("src/{number}"))).collect();
    let job = CopyJob::into_directory(sources, sandbox.path("dst")).existing(Existing::Replace).jobs(4);
    let report = run(job);
    assert_complete(&report);
    assert_eq!(report.totals.symlinks_created, 300);
    assert_eq!(fs::read_link(sandbox.path("dst/299")).unwrap().to_str(), Some("new"));
}
