//! Hard links: the same groups, under any parallelism.

use std::{fs, os::unix::fs::MetadataExt};

use orbit::{Attributes, CopyJob, Existing, Preserve, WarningKind};

use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete, awkward, run,
    tree::{Aspect, Tree, assert_same, assert_same_but},
};

#[test]
fn groups_across_directories_are_exact_at_any_number_of_workers() {
    let sandbox = Sandbox::new();
    for dir in 0..20 {
        fs::create_dir_all(sandbox.path(format!("src/{dir}"))).unwrap();
    }
    for group in 0..500 {
        let first = sandbox.path(format!("src/{}/first-{group}", group % 20));
        fs::write(&first, format!("{group}")).unwrap();
        for name in 0..group % 5 {
            let dir = (group * 7 + name * 3) % 20;
            fs::hard_link(&first, sandbox.path(format!("src/{dir}/{group}-{name}"))).unwrap();
        }
    }
    for jobs in [1, 2, 8] {
        let name = format!("dst-{jobs}");
        let report = run(CopyJob::new(sandbox.path("src"), sandbox.path(&name)).jobs(jobs));
        assert_complete(&report);
        assert_eq!((report.totals.files_copied, report.totals.hard_links_created), (500, 1000));
        assert_same(&sandbox.path("src"), &sandbox.path(&name));
    }
}

#[test]
fn names_of_a_large_file_that_come_early_wait_and_are_linked() {
    let sandbox = Sandbox::new().dir("src/a").dir("src/b");
    fs::write(sandbox.path("src/a/large"), awkward::noise(24 << 20, 9)).unwrap();
    for index in 0..50 {
        fs::hard_link(sandbox.path("src/a/large"), sandbox.path(format!("src/b/{index}"))).unwrap();
    }
    let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(4));
    assert_complete(&report);
    assert_eq!(report.totals.bytes_copied, 24 << 20);
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn groups_reach_over_several_sources_of_one_job() {
    let sandbox = Sandbox::new().file("one/a", b"linked").dir("two").dir("dst");
    fs::hard_link(sandbox.path("one/a"), sandbox.path("two/b")).unwrap();
    let sources = [sandbox.path("one"), sandbox.path("two")];
    assert_complete(&run(CopyJob::into_directory(sources, sandbox.path("dst"))));
    let inode = |name: &str| fs::metadata(sandbox.path(name)).unwrap().ino();
    assert_eq!(inode("dst/one/a"), inode("dst/two/b"));
}

#[test]
fn without_links_every_name_is_a_file_of_its_own() {
    let sandbox = Sandbox::new().file("src/a", b"content");
    fs::hard_link(sandbox.path("src/a"), sandbox.path("src/b")).unwrap();
    let preserve = Preserve::default().without(Attributes::LINKS);
    let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).preserve(preserve));
    assert_complete(&report);
    assert_eq!((report.totals.files_copied, report.totals.hard_links_created), (2, 0));
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Links]);
    let again = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).preserve(preserve));
    assert_complete(&again);
    assert_eq!(again.totals.unchanged, 2);
}

#[test]
fn groups_are_mended_at_a_destination_that_has_other_ones() {
    let sandbox = Sandbox::new();
    for name in ["src/a", "src/b", "src/x", "src/y"] {
        let _ = fs::create_dir(sandbox.path("src"));
        fs::write(sandbox.path(name), b"same").unwrap();
        awkward::set_times(&sandbox.path(name), 1_000_000_000, 5);
    }
    assert_complete(&sandbox.copy());
    // In the source a and b become one; in the copy x and y are one by mistake.
    fs::remove_file(sandbox.path("src/b")).unwrap();
    fs::hard_link(sandbox.path("src/a"), sandbox.path("src/b")).unwrap();
    fs::remove_file(sandbox.path("dst/y")).unwrap();
    fs::hard_link(sandbox.path("dst/x"), sandbox.path("dst/y")).unwrap();
    let report = sandbox.copy();
    assert_complete(&report);
    assert_eq!((report.totals.hard_links_created, report.totals.files_copied), (1, 1));
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
    assert_eq!(Tree::of(&sandbox.path("dst")).0.len(), 5);
    let again = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).existing(Existing::Replace));
    assert_complete(&again);
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn an_attribute_that_changed_is_carried_over_though_another_name_left_the_group() {
    for jobs in [1, 4] {
        let sandbox = Sandbox::new().dir("src");
        let pair = |tree: &str, index: usize| {
            let names =
                [format!("{tree}/a{index}"), format!("{tree}/z{index}")].map(|name| sandbox.path(name));
            // Whichever a listing has first, it is the one that leaves in some pairs.
            if index.is_multiple_of(2) { names } else { [names[1].clone(), names[0].clone()] }
        };
        for index in 0..24 {
            let [stays, leaves] = pair("src", index);
            fs::write(&stays, b"content").unwrap();
            fs::hard_link(&stays, &leaves).unwrap();
        }
        assert_complete(&sandbox.copy());
        for index in 0..24 {
            let [stays, leaves] = pair("src", index);
            fs::remove_file(&leaves).unwrap();
            fs::write(&leaves, b"another content").unwrap();
            awkward::set_xattr(&stays, "user.changed", b"yes");
        }
        sandbox.tick(); // what the copy does comes later, and must not look like its last correction
        let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(jobs));
        assert_complete(&report);
        // The one that stays is corrected, or copied where it comes first and is not alone yet.
        let (copied, corrected) = (report.totals.files_copied, report.totals.metadata_corrected);
        assert!(copied >= 24 && copied + corrected == 48, "{copied} {corrected}");
        for index in 0..24 {
            let [stays, _] = pair("dst", index);
            assert_eq!(awkward::xattr(&stays, "user.changed").as_deref(), Some(&b"yes"[..]), "{index}");
        }
        assert_same(&sandbox.path("src"), &sandbox.path("dst"));
    }
}

#[test]
fn a_missing_name_is_linked_to_one_that_is_there_and_left_alone() {
    for policy in [Existing::Newer, Existing::Skip] {
        for missing in [1, 2] {
            let sandbox = Sandbox::new().file("src/a", b"one");
            for name in ["src/b", "src/c"] {
                fs::hard_link(sandbox.path("src/a"), sandbox.path(name)).unwrap();
            }
            assert_complete(&sandbox.copy());
            // Not the first that is listed, which is copied: nothing tells yet of what is there.
            let mut listed = fs::read_dir(sandbox.path("src")).unwrap();
            let missing = listed.nth(missing).unwrap().unwrap().file_name();
            fs::remove_file(sandbox.path("dst").join(&missing)).unwrap();
            let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).existing(policy));
            assert_complete(&report);
            let totals = &report.totals;
            assert_eq!((totals.files_copied, totals.hard_links_created), (0, 1), "{policy:?} {missing:?}");
            assert_same(&sandbox.path("src"), &sandbox.path("dst"));
        }
    }
}

#[test]
fn a_missing_name_is_not_linked_to_one_that_is_there_and_another_file() {
    for policy in [Existing::Newer, Existing::Skip] {
        let sandbox = Sandbox::new().file("src/a", b"one").file("dst/a", b"another");
        fs::hard_link(sandbox.path("src/a"), sandbox.path("src/b")).unwrap();
        awkward::set_times(&sandbox.path("src/a"), 1_000, 0);
        assert_complete(&run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).existing(policy)));
        assert_eq!((sandbox.read("dst/a"), sandbox.read("dst/b")), (b"another".to_vec(), b"one".to_vec()));
    }
}

#[test]
fn where_there_are_no_links_each_name_is_copied_and_one_warning_says_so() {
    let Some(mount) = Mount::new(Filesystem::ExFat, 64) else { return };
    let (sandbox, other) = (Sandbox::new(), Sandbox::on(&mount));
    fs::create_dir(sandbox.path("src")).unwrap();
    fs::write(sandbox.path("src/0"), b"content").unwrap();
    (1..300).for_each(|index| {
        fs::hard_link(sandbox.path("src/0"), sandbox.path(format!("src/{index}"))).unwrap();
    });
    let report = run(CopyJob::new(sandbox.path("src"), other.path("dst")).jobs(4));
    assert_complete(&report);
    let lost = report.warnings.iter().find(|warning| warning.kind == WarningKind::HardLink).unwrap();
    assert_eq!((lost.count, report.totals.files_copied), (299, 300));
    for index in 0..300 {
        assert_eq!(other.read(format!("dst/{index}")), b"content");
    }
}
