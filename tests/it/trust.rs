//! What a destination holds is not trusted further than it deserves.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
};

use orbit::{CopyJob, Existing};

use crate::support::{
    Sandbox, assert_complete,
    awkward::{set_mode, set_times},
    is_root, run, skip,
    tree::assert_same,
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
