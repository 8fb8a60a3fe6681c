//! Entries of one run that want one name.

use std::{fs, path::Path};

use orbit::{CopyJob, Report};

use crate::support::{Filesystem, Mount, Sandbox, assert_complete, awkward::set_times, causes, must, run};

#[test]
fn two_sources_of_one_name_are_a_failure_and_the_first_stays() {
    for (first, second) in [(&b"first"[..], &b"other"[..]), (b"first", b"of another size")] {
        let sandbox = Sandbox::new().file("a/name", first).file("b/name", second).dir("dst");
        for dir in ["a", "b"] {
            set_times(&sandbox.path(dir).join("name"), 1_000, 0);
        }
        let sources = [sandbox.path("a/name"), sandbox.path("b/name")];
        let report = run(CopyJob::into_directory(sources, sandbox.path("dst")));
        assert_eq!((report.totals.failed, report.totals.files_copied), (1, 1));
        assert_eq!(report.failures[0].path(), sandbox.path("dst/name"));
        assert_eq!(sandbox.read("dst/name"), first);
    }
}

#[test]
fn a_file_that_is_left_as_it_is_is_not_replaced_by_another_source() {
    // One that has a further name in the copy, and one that shares it with the source's.
    for has_pair in [false, true] {
        let sandbox = Sandbox::new().file("a/d/x", b"first").file("b/d/x", b"second").dir("dst");
        if has_pair {
            fs::hard_link(sandbox.path("a/d/x"), sandbox.path("a/d/y")).unwrap();
        }
        let copy = |sources: &[&str]| {
            let sources: Vec<_> = sources.iter().map(|source| sandbox.path(source)).collect();
            run(CopyJob::into_directory(sources, sandbox.path("dst")).jobs(2))
        };
        assert_complete(&copy(&["a/d", "a/d/x"]));
        if !has_pair {
            fs::hard_link(sandbox.path("dst/x"), sandbox.path("dst/kept")).unwrap();
            fs::hard_link(sandbox.path("dst/d/x"), sandbox.path("dst/d/kept")).unwrap();
        }
        let (tree, single) = (copy(&["a/d", "b/d"]), copy(&["a/d/x", "b/d/x"]));
        for (report, name) in [(tree, "dst/d/x"), (single, "dst/x")] {
            assert_eq!((report.totals.failed, report.totals.files_copied), (1, 0), "{:?}", causes(&report));
            assert_eq!(report.failures[0].path(), sandbox.path(name));
            assert_eq!(sandbox.read(name), b"first");
        }
    }
}

/// Let two files that want one name be copied at once, onto nothing and onto something; what stays.
fn stays_of(sources: [&Path; 2], target: &Path) -> Vec<u8> {
    let mut stays = Vec::new();
    for before in [None, Some(b"old")] {
        fs::create_dir(target).unwrap();
        if target.parent().unwrap().join("lost+found").exists() {
            must("chattr", &["+F", target.to_str().unwrap()]);
        }
        before.iter().for_each(|old| fs::write(target.join("x"), old).unwrap());
        let report = run(CopyJob::into_directory(sources, target).jobs(4));
        let told = (report.totals.files_copied, report.totals.failed);
        assert_eq!(told, (1, 1), "{:?}", causes(&report));
        let copy = fs::read(target.join("x")).unwrap();
        assert!(copy.len() == 12 << 20 && copy.iter().all(|byte| *byte == copy[0]));
        assert_eq!(fs::read_dir(target).unwrap().count(), 1, "no temporary is left");
        fs::remove_dir_all(target).unwrap();
        stays.push(copy[0]);
    }
    stays
}

#[test]
fn of_two_sources_for_one_name_the_first_stays_and_none_replaces_another() {
    let of = |byte: u8| vec![byte; 12 << 20];
    let sandbox = Sandbox::new().file("a/x", &of(b'a')).file("b/x", &of(b'b')).file("c/X", &of(b'c'));
    let folding = Mount::new(Filesystem::Ext4Folding, 256);
    let (a, b, c) = (sandbox.path("a/x"), sandbox.path("b/x"), sandbox.path("c/X"));
    for _ in 0..8 {
        assert_eq!(stays_of([&a, &b], &sandbox.path("dst")), b"aa");
        // Names that only folding makes one have no order.
        if let Some(mount) = &folding {
            stays_of([&a, &c], &mount.path().join("dst"));
        }
    }
}

#[test]
fn directories_that_two_sources_make_at_one_time_are_merged() {
    let mut sandbox = Sandbox::new();
    for index in 0..150 {
        for source in ["a", "b"] {
            sandbox = sandbox.file(format!("{source}/d/s{index}/{source}"), source.as_bytes());
        }
    }
    for round in 0..12 {
        let dst = sandbox.path(format!("dst-{round}"));
        fs::create_dir(&dst).unwrap();
        let report = run(CopyJob::into_directory([sandbox.path("a/d"), sandbox.path("b/d")], &dst).jobs(8));
        assert_complete(&report);
        assert_eq!(report.totals.files_copied, 300);
    }
}

#[test]
fn directories_of_two_sources_are_merged_without_losing_a_file() {
    let sandbox = Sandbox::new().file("a/dir/x", b"1").file("a/dir/mine", b"a").dir("dst");
    let sandbox = sandbox.file("b/dir/x", b"2").file("b/dir/mine-too", b"b");
    let sources = [sandbox.path("a/dir"), sandbox.path("b/dir")];
    let report = run(CopyJob::into_directory(sources, sandbox.path("dst")));
    assert_eq!((report.totals.failed, report.totals.files_copied), (1, 3));
    assert_eq!(sandbox.read("dst/dir/x"), b"1");
}

/// Copy `A` and `a`, of these contents, to where case does not count; what became of them.
fn copy_folded(target: &Path, contents: [&[u8]; 2]) -> Report {
    let sandbox = Sandbox::new().file("src/A", contents[0]).file("src/a", contents[1]);
    let sandbox = sandbox.file("src/Dir/in", b"1").file("src/dir/in", b"2");
    for name in ["A", "a"] {
        set_times(&sandbox.path("src").join(name), 1_000, 0);
    }
    run(CopyJob::new(sandbox.path("src"), target))
}

#[test]
fn names_that_differ_in_case_only_are_failures_where_that_is_no_difference() {
    let Some(mount) = Mount::new(Filesystem::Ext4Folding, 64) else { return };
    for (index, contents) in [[&b"one"[..], &b"two"[..]], [b"one", b"three"]].into_iter().enumerate() {
        let target = mount.path().join(format!("dst-{index}"));
        fs::create_dir(&target).unwrap();
        must("chattr", &["+F", target.to_str().unwrap()]);
        for _ in 0..2 {
            let report = copy_folded(&target, contents);
            assert_eq!(report.totals.failed, 2, "{:?}", causes(&report));
            assert_eq!(fs::read_dir(&target).unwrap().count(), 2);
        }
    }
}

#[test]
fn names_that_differ_in_case_only_are_failures_through_fuse_too() {
    let Some(mount) = Mount::new(Filesystem::ExFat, 64) else { return };
    let report = copy_folded(&mount.path().join("dst"), [b"one", b"two"]);
    assert_eq!((report.totals.failed, report.totals.files_copied), (2, 2), "{:?}", causes(&report));
    assert_eq!(fs::read_dir(mount.path().join("dst")).unwrap().count(), 2);
}
