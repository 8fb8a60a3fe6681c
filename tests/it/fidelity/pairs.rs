//! One awkward tree, between all filesystems.

use std::fs;

use orbit::CopyJob;

use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete, awkward, is_root, run, skip,
    tree::{Aspect, Tree, assert_matches, assert_same},
};

const ALL: [Filesystem; 6] = [
    Filesystem::Ext4,
    Filesystem::Xfs,
    Filesystem::Btrfs,
    Filesystem::Tmpfs,
    Filesystem::Overlay,
    Filesystem::Bindfs,
];

#[test]
fn an_awkward_tree_is_kept_whole_between_all_pairs_of_filesystems() {
    let mounts: Vec<_> = ALL.into_iter().filter_map(|kind| Some((kind, Mount::new(kind, 512)?))).collect();
    for (from, source) in &mounts {
        let sources = Sandbox::on(source);
        awkward::plant(&sources.path("src"));
        let before = Tree::of(&sources.path("src"));
        for (to, destination) in &mounts {
            let sandbox = Sandbox::on(destination);
            let job = CopyJob::new(sources.path("src"), sandbox.path("dst")).jobs(3);
            let report = run(job);
            assert_complete(&report);
            assert!(report.warnings.is_empty(), "{from:?} to {to:?}: {:?}", report.warnings);
            eprintln!("{from:?} to {to:?}");
            assert_matches(&before, &sandbox.path("dst"), &unseen(*from, *to));
        }
    }
}

/// What these two cannot show a reader, though it is right underneath.
fn unseen(from: Filesystem, to: Filesystem) -> Vec<Aspect> {
    let mut unseen = Vec::new();
    let is = |kind| from == kind || to == kind;
    if is(Filesystem::Bindfs) {
        unseen.push(Aspect::Holes); // it answers no SEEK_HOLE, and reads leave their trace below it
        unseen.push(Aspect::Atime);
    }
    unseen
}

#[test]
fn a_tree_that_is_copied_from_a_copy_is_still_the_same() {
    let sandbox = Sandbox::new();
    awkward::plant(&sandbox.path("src"));
    if !is_root() {
        return skip("a directory of mode 0000 can be listed by root only");
    }
    assert_complete(&sandbox.copy());
    let again = run(CopyJob::new(sandbox.path("dst"), sandbox.path("again")).jobs(2));
    assert_complete(&again);
    assert_same(&sandbox.path("src"), &sandbox.path("again"));
    fs::remove_dir_all(sandbox.path("again")).unwrap();
}
