//! Any tree is copied to an equal one, by any number of workers; and twice is as good as once.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use orbit::CopyJob;
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::Index,
    test_runner::{Config, FileFailurePersistence},
};
use rustix::fs::FileType;

use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete,
    awkward::{make_node, make_sparse, noise, set_mode, set_times, set_xattr},
    is_root, run,
    tree::{Tree, assert_matches},
};

/// What is made of an entry, beside its name.
#[derive(Clone, Debug)]
struct Made {
    body: Body,
    mode: u32,
    times: (i64, i64),
    xattrs: Vec<(u8, Vec<u8>)>,
    owner: Option<(u32, u32)>,
}

#[derive(Clone, Debug)]
enum Body {
    File {
        size: usize,
        seed: u64,
    },
    /// A file of so many MiB, with data at some of them.
    Sparse {
        size: u64,
        data: Vec<u64>,
    },
    Directory(Vec<(Vec<u8>, Made)>),
    Symlink(Vec<u8>),
    Fifo,
    Socket,
    /// A second name of an entry made before, if there is one.
    Link(Index),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("neither NUL nor slash", |byte| !matches!(byte, 0 | b'/'));
    let usual = "[a-z.\\-\u{e9} \n]{1,12}".prop_map(String::into_bytes);
    prop_oneof![3 => usual, 1 => vec(byte, 1..40)].prop_filter("no name", |name| {
        !matches!(&name[..], b"." | b"..") && !name.contains(&0) && !name.starts_with(b".orbit-")
    })
}

fn leaf() -> impl Strategy<Value = Body> {
    prop_oneof![
        6 => (0..100_000_usize, any::<u64>()).prop_map(|(size, seed)| Body::File { size, seed }),
        3 => (0..9_usize, any::<u64>()).prop_map(|(size, seed)| Body::File { size, seed }),
        2 => (1..20_u64, vec(0..20_u64, 0..4)).prop_map(|(size, data)| Body::Sparse { size, data }),
        2 => vec(1..=255_u8, 1..200).prop_map(Body::Symlink),
        1 => Just(Body::Fifo),
        1 => Just(Body::Socket),
        3 => any::<Index>().prop_map(Body::Link),
    ]
}

fn made(body: impl Strategy<Value = Body>) -> impl Strategy<Value = Made> {
    let times = (-1_000_000_000..4_000_000_000_i64, 0..1_000_000_000_i64);
    let xattrs = vec((any::<u8>(), vec(any::<u8>(), 0..300)), 0..3);
    let owner = proptest::option::weighted(0.2, (0..3000_u32, 0..3000_u32));
    (body, 0..0o10000_u32, times, xattrs, owner).prop_map(|(body, mode, times, xattrs, owner)| Made {
        body,
        mode,
        times,
        xattrs,
        owner,
    })
}

fn tree() -> impl Strategy<Value = Made> {
    let leaf = made(leaf());
    let inner = leaf.prop_recursive(4, 40, 8, |below| {
        let entries = btree_map(name(), below, 0..10).prop_map(|entries| entries.into_iter().collect());
        made(entries.prop_map(Body::Directory))
    });
    let entries = btree_map(name(), inner, 0..14).prop_map(|entries| entries.into_iter().collect());
    made(entries.prop_map(Body::Directory))
}

/// Make an entry and what is below it; names it is linked to are taken from `before`.
fn make(path: &Path, made: &Made, before: &mut Vec<PathBuf>) {
    let has_mode = match &made.body {
        Body::File { size, seed } => fs::write(path, noise(*size, *seed)).map(|()| true).unwrap(),
        Body::Sparse { size, data } => {
            let places: BTreeSet<_> = data.iter().map(|place| place % size).collect();
            let places: Vec<_> = places.iter().map(|place| ((place << 20) + 77, &b"some data"[..])).collect();
            make_sparse(path, size << 20, &places);
            true
        }
        Body::Directory(entries) => {
            fs::create_dir(path).unwrap();
            for (name, made) in entries {
                make(&path.join(OsStr::from_bytes(name)), made, before);
            }
            true
        }
        Body::Symlink(target) => {
            std::os::unix::fs::symlink(OsStr::from_bytes(target), path).unwrap();
            false
        }
        Body::Fifo => {
            make_node(path, FileType::Fifo, 0);
            true
        }
        Body::Socket => {
            make_node(path, FileType::Socket, 0);
            true
        }
        Body::Link(_) if before.is_empty() => return,
        Body::Link(index) => return fs::hard_link(index.get(before), path).unwrap(),
    };
    if let Some((uid, gid)) = made.owner.filter(|_| is_root()) {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
    }
    if matches!(made.body, Body::File { .. } | Body::Sparse { .. } | Body::Directory(_)) {
        for (number, value) in &made.xattrs {
            set_xattr(path, &format!("user.{number}"), value);
        }
    }
    if has_mode {
        set_mode(path, if is_root() { made.mode } else { made.mode | 0o700 });
    }
    set_times(path, made.times.0, made.times.1);
    if !matches!(made.body, Body::Directory(_)) {
        before.push(path.to_owned());
    }
}

fn check(tree: &Made, mount: Option<&Mount>) {
    let sandbox = mount.map_or_else(Sandbox::new, Sandbox::on);
    make(&sandbox.path("src"), tree, &mut Vec::new());
    // Directories got their times before their entries' last links, and keep what they have now.
    let source = Tree::of(&sandbox.path("src"));
    for jobs in [1, 2, 8] {
        let target = sandbox.path(format!("dst-{jobs}"));
        let job = || CopyJob::new(sandbox.path("src"), &target).jobs(jobs);
        let report = run(job());
        assert_complete(&report);
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        assert_matches(&source, &target, &[]);
        let copy = Tree::of(&target);
        let again = run(job());
        assert_complete(&again);
        let totals = &again.totals;
        assert_eq!(totals.unchanged + totals.directories_merged, totals.entries_found, "{totals:?}");
        assert_eq!(totals.entries_found, source.0.len() as u64);
        let identities = |tree: &Tree| tree.0.values().map(|entry| entry.id).collect::<Vec<_>>();
        let now = Tree::of(&target);
        assert!(identities(&copy) == identities(&now), "an unchanged entry was replaced");
        assert_matches(&copy, &target, &[]);
    }
}

fn config(cases: u32) -> Config {
    let failure_persistence = FileFailurePersistence::SourceParallel("proptest-regressions");
    Config { cases, failure_persistence: Some(Box::new(failure_persistence)), ..Config::default() }
}

#[test]
fn any_tree_is_copied_to_an_equal_one_and_only_once() {
    let mount = Mount::new(Filesystem::Tmpfs, 1024);
    proptest!(config(32), |(tree in tree())| check(&tree, mount.as_ref()));
}

#[test]
fn any_tree_is_copied_to_an_equal_one_where_blocks_are_shared() {
    let Some(mount) = Mount::new(Filesystem::Xfs, 1024) else { return };
    proptest!(config(12), |(tree in tree())| check(&tree, Some(&mount)));
}
