//! Mirrors where several spellings are one name: what a run has copied or found is never deleted for its spelling.

use std::{fs, path::Path};

use orbit::{CopyJob, Delete, Existing, Mirror};

use crate::support::{Filesystem, Mount, Sandbox, assert_complete, causes, must, run};

/// A source in which names differ in case from those that its copy got, and a copy with more in it.
fn renamed(target: &Path) -> Sandbox {
    let sandbox = Sandbox::new()
        .file("src/README.md", b"read me")
        .file("src/DIR/Inner.TXT", b"inner")
        .file("src/\u{c9}t\u{e9}", b"summer")
        .file("src/plain", b"plain")
        .file("src/d/1", b"1");
    assert_complete(&run(CopyJob::new(sandbox.path("src"), target)));
    for (from, to) in [
        ("README.md", "Readme.md"),
        ("DIR", "Dir"),
        ("Dir/Inner.TXT", "Dir/inner.txt"),
        ("\u{c9}t\u{e9}", "\u{e9}t\u{e9}"),
    ] {
        fs::rename(sandbox.path("src").join(from), sandbox.path("src").join(to)).unwrap();
    }
    for extra in ["Extra", "DIR/extra", "d/2", "\u{e0} la"] {
        fs::write(target.join(extra), b"extra").unwrap();
    }
    fs::create_dir_all(target.join("Gone/deep")).unwrap();
    sandbox
}

fn check(folding: &Path, make: impl Fn(&Path)) {
    let policies = [Existing::Update, Existing::Replace, Existing::Skip, Existing::Newer]
        .map(|existing| (existing, false));
    for (index, (existing, changes)) in policies.into_iter().chain([(Existing::Update, true)]).enumerate() {
        let target = folding.join(format!("dst-{index}"));
        fs::create_dir(&target).unwrap();
        make(&target);
        let sandbox = renamed(&target);
        let content = if changes { &b"changed by now"[..] } else { b"read me" };
        fs::write(sandbox.path("src/Readme.md"), content).unwrap();
        let content = if matches!(existing, Existing::Skip) { b"read me" } else { content };
        for when in [Delete::Only, Delete::After, Delete::After] {
            let job = CopyJob::new(sandbox.path("src"), &target).existing(existing);
            let job = job.mirror(Mirror::default().delete(when));
            let dry = run(job.clone().dry_run(true));
            let report = run(job);
            assert_complete(&report);
            assert_eq!(dry.totals.deleted, report.totals.deleted, "{existing:?} {when:?}");
            for (name, expected) in [
                ("plain", &b"plain"[..]),
                ("dir/inner.txt", b"inner"),
                ("\u{e9}t\u{e9}", b"summer"),
                ("d/1", b"1"),
            ] {
                assert_eq!(fs::read(target.join(name)).unwrap(), expected, "{existing:?} {when:?} {name}");
            }
            if when == Delete::After {
                assert_eq!(fs::read(target.join("readme.md")).unwrap(), content, "{existing:?}");
            }
            // Listed, since the kernel remembers for a while what it was told of a spelling.
            for (dir, expected) in [("", 5), ("dir", 1), ("d", 1)] {
                let listed = fs::read_dir(target.join(dir)).unwrap().count();
                assert_eq!(listed, expected, "{existing:?} {when:?} {dir}: {:?}", causes(&report));
            }
        }
    }
}

#[test]
fn a_name_that_is_spelled_otherwise_is_not_deleted() {
    let Some(mount) = Mount::new(Filesystem::Ext4Folding, 64) else { return };
    check(mount.path(), |target| drop(must("chattr", &["+F", target.to_str().unwrap()])));
}

#[test]
fn a_name_that_is_spelled_otherwise_is_not_deleted_where_inodes_go_by_name() {
    let Some(mount) = Mount::new(Filesystem::ExFat, 64) else { return };
    check(mount.path(), |_| ());
}

#[test]
fn further_names_of_one_file_are_extraneous_all_the_same() {
    let folding = Mount::new(Filesystem::Ext4Folding, 64);
    let on_folding = folding.as_ref().map(|mount| {
        let target = mount.path().join("dst");
        fs::create_dir(&target).unwrap();
        must("chattr", &["+F", target.to_str().unwrap()]);
        target
    });
    let sandbox = Sandbox::new().dir("dst");
    for (index, target) in [Some(sandbox.path("dst")), on_folding].into_iter().flatten().enumerate() {
        let source = sandbox.path(format!("src-{index}"));
        fs::create_dir(&source).unwrap();
        fs::write(source.join("readme"), b"one file").unwrap();
        for name in ["second", "third"] {
            fs::hard_link(source.join("readme"), source.join(name)).unwrap();
        }
        assert_complete(&run(CopyJob::new(&source, &target)));
        fs::remove_file(source.join("second")).unwrap();
        fs::rename(source.join("readme"), source.join("README")).unwrap();
        let report = run(CopyJob::new(&source, &target).mirror(Mirror::default().delete(Delete::After)));
        assert_complete(&report);
        let mut names: Vec<_> = fs::read_dir(&target)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [["README", "third"], ["readme", "third"]][index]);
        assert_eq!(fs::read(target.join("README")).unwrap(), b"one file");
    }
}
