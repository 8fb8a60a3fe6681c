//! Destinations that already have something.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use orbit::{Attributes, CopyJob, Existing, Preserve, Report, WarningKind};
use rustix::fs::FileType;

use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete,
    awkward::{self, make_node, set_mode, set_times, set_xattr},
    causes, is_root, must, run, skip,
    tree::{Aspect, Tree, assert_matches, assert_same, assert_same_but},
};

const ALL: [Existing; 5] =
    [Existing::Update, Existing::Replace, Existing::Newer, Existing::Skip, Existing::Fail];

fn copy_with(sandbox: &Sandbox, existing: Existing) -> Report {
    run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).existing(existing))
}

fn kind(path: &Path) -> FileType {
    FileType::from_raw_mode(fs::symlink_metadata(path).unwrap().mode())
}

#[test]
fn every_policy_does_what_it_says_to_files_links_and_fifos() {
    for policy in ALL {
        let sandbox = Sandbox::new().dir("src").dir("dst");
        for (tree, secs) in [("src", 1_000), ("dst", 2_000)] {
            let path = |name: &str| sandbox.path(tree).join(name);
            // The source's are older, but for those that say so.
            for (name, secs) in [("file", secs), ("newer", 3_000 - secs), ("link", secs), ("same", 5_000)] {
                match name {
                    "link" => std::os::unix::fs::symlink(tree, path(name)).unwrap(),
                    "same" => fs::write(path(name), "same").unwrap(),
                    _ => fs::write(path(name), tree).unwrap(),
                }
                set_times(&path(name), secs, 500);
            }
            make_node(&path("fifo"), FileType::Fifo, 0);
            set_times(&path("fifo"), secs, 0);
        }
        let sandbox = sandbox.file("src/new", b"new");
        let report = copy_with(&sandbox, policy);
        assert_eq!(sandbox.read("dst/new"), b"new");
        let link = fs::read_link(sandbox.path("dst/link")).unwrap();
        let found = (sandbox.read("dst/file"), sandbox.read("dst/newer"), link.into_os_string());
        let text = |file: &str, newer: &str, link: &str| (file.into(), newer.into(), link.into());
        let totals = &report.totals;
        match policy {
            Existing::Update | Existing::Replace => {
                assert_complete(&report);
                assert_eq!(found, text("src", "src", "src"));
                assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
                let untouched = totals.unchanged + totals.metadata_corrected;
                assert_eq!(untouched, if policy == Existing::Update { 2 } else { 0 });
            }
            Existing::Newer => {
                assert_complete(&report);
                assert_eq!(found, text("dst", "src", "dst"));
                assert_eq!((totals.files_copied, totals.skipped), (2, 4));
            }
            Existing::Skip => {
                assert_complete(&report);
                assert_eq!(found, text("dst", "dst", "dst"));
                assert_eq!((totals.files_copied, totals.skipped), (1, 5));
            }
            _ => {
                assert_eq!(found, text("dst", "dst", "dst"));
                assert_eq!((totals.files_copied, totals.failed), (1, 5));
                assert!(
                    causes(&report).iter().all(|cause| cause.contains("exists")),
                    "{:?}",
                    causes(&report)
                );
            }
        }
        assert_eq!(totals.entries_found, totals.entries_done());
    }
}

type Maker = fn(&Path);

#[test]
fn only_a_file_link_or_equal_special_file_is_replaced() {
    let makers: [(&str, Maker); 4] = [
        ("file", |path| fs::write(path, b"source").unwrap()),
        ("dir", |path| fs::create_dir(path).unwrap()),
        ("link", |path| std::os::unix::fs::symlink("elsewhere", path).unwrap()),
        ("fifo", |path| make_node(path, FileType::Fifo, 0)),
    ];
    for policy in [Existing::Update, Existing::Replace, Existing::Newer] {
        for (name, make) in makers {
            for (there, make_there) in makers {
                let sandbox = Sandbox::new().dir("src").dir("dst");
                let (source, target) = (sandbox.path("src/x"), sandbox.path("dst/x"));
                make_there(&target);
                set_times(&target, 1_000, 0);
                make(&source);
                let before = kind(&target);
                let report = copy_with(&sandbox, policy);
                let is_conflict = (name == "dir") != (there == "dir") || there == "fifo" && name != "fifo";
                assert_eq!(report.totals.failed, u64::from(is_conflict), "{name} over {there}");
                if is_conflict {
                    assert_eq!(kind(&target), before, "{name} over {there}");
                    assert!(causes(&report)[0].contains("in the way"), "{:?}", causes(&report));
                } else {
                    // A directory whose time is right already is left alone, access time and all.
                    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
                }
            }
        }
    }
}

#[test]
fn a_link_in_the_way_is_replaced_and_not_written_through() {
    let sandbox = Sandbox::new().file("src/file", b"new").dir("src/dir").file("outside", b"safe").dir("out");
    let sandbox = sandbox.dir("dst").symlink("../outside", "dst/file").symlink("../out", "dst/dir");
    let sandbox = sandbox.file("src/dir/inner", b"x");
    let report = copy_with(&sandbox, Existing::Update);
    assert_eq!(causes(&report).len(), 1, "a link to a directory is not one: {:?}", causes(&report));
    assert_eq!((sandbox.read("outside"), sandbox.read("dst/file")), (b"safe".to_vec(), b"new".to_vec()));
    assert!(fs::symlink_metadata(sandbox.path("dst/file")).unwrap().is_file());
    assert_eq!(fs::read_dir(sandbox.path("out")).unwrap().count(), 0);
}

#[test]
fn a_device_at_the_destination_stays_a_device() {
    if !is_root() {
        return skip("making a device needs root");
    }
    for policy in ALL {
        let sandbox = Sandbox::new().file("src", b"content");
        make_node(&sandbox.path("dst"), FileType::CharacterDevice, rustix::fs::makedev(1, 3));
        let report = copy_with(&sandbox, policy);
        assert_eq!(report.totals.failed, 1);
        let there = fs::symlink_metadata(sandbox.path("dst")).unwrap();
        assert!(there.file_type().is_char_device() && there.rdev() == rustix::fs::makedev(1, 3));
    }
}

#[test]
fn an_unchanged_tree_copies_nothing_and_changes_nothing() {
    if !is_root() {
        return skip("the awkward tree has entries that only root can read");
    }
    for filesystem in [Filesystem::Ext4, Filesystem::Xfs, Filesystem::Btrfs] {
        let Some(mount) = Mount::new(filesystem, 512) else { return };
        let sandbox = Sandbox::on(&mount);
        awkward::plant(&sandbox.path("src"));
        assert_complete(&sandbox.copy());
        let before = Tree::of(&sandbox.path("dst"));
        let report = sandbox.copy();
        assert_complete(&report);
        let totals = &report.totals;
        assert_eq!((totals.bytes_copied, totals.files_copied, totals.metadata_corrected), (0, 0, 0));
        assert_eq!(totals.unchanged + totals.directories_merged, totals.entries_found);
        assert_matches(&before, &sandbox.path("dst"), &[]);
        let inodes = |tree: &Tree| tree.0.values().map(|entry| entry.id).collect::<Vec<_>>();
        assert_eq!(inodes(&before), inodes(&Tree::of(&sandbox.path("dst"))));
    }
}

#[test]
fn metadata_alone_is_corrected_in_place_and_counted() {
    let sandbox = Sandbox::new();
    for name in ["mode", "xattr", "gone", "acl", "touched", "same"] {
        fs::create_dir_all(sandbox.path("src")).unwrap();
        fs::write(sandbox.path("src").join(name), name).unwrap();
    }
    set_xattr(&sandbox.path("src/gone"), "user.gone", b"x");
    std::os::unix::fs::symlink("x", sandbox.path("src/link")).unwrap();
    assert_complete(&sandbox.copy());
    let inode = fs::metadata(sandbox.path("dst/mode")).unwrap().ino();
    set_mode(&sandbox.path("src/mode"), 0o4711);
    set_xattr(&sandbox.path("src/xattr"), "user.new", b"y");
    must("setfattr", &["-x", "user.gone", sandbox.path("src/gone").to_str().unwrap()]);
    must("setfacl", &["-m", "u:1234:rw", sandbox.path("src/acl").to_str().unwrap()]);
    set_times(&sandbox.path("src/link"), 1_000, 1);
    // Its ctime is newer, and nothing else.
    set_mode(&sandbox.path("src/touched"), 0o600);
    set_mode(&sandbox.path("src/touched"), fs::metadata(sandbox.path("dst/touched")).unwrap().mode());
    let report = sandbox.copy();
    assert_complete(&report);
    let totals = &report.totals;
    assert_eq!((totals.metadata_corrected, totals.unchanged, totals.bytes_copied), (5, 2, 0));
    assert_eq!(fs::metadata(sandbox.path("dst/mode")).unwrap().ino(), inode);
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn a_replaced_file_is_another_inode_until_then_the_old_one_is_whole() {
    let sandbox = Sandbox::new().file("src/file", b"new").file("dst/file", b"old");
    set_times(&sandbox.path("src/file"), 1_000, 0);
    let held = fs::File::open(sandbox.path("dst/file")).unwrap();
    assert_complete(&sandbox.copy());
    assert_eq!(sandbox.read("dst/file"), b"new");
    assert_eq!(std::io::read_to_string(held).unwrap(), "old");
}

#[test]
fn one_file_is_never_copied_onto_itself_however_it_is_spelled() {
    let sandbox =
        Sandbox::new().file("dir/file", b"content").symlink("dir", "alias").symlink("file", "dir/link");
    fs::hard_link(sandbox.path("dir/file"), sandbox.path("dir/hard")).unwrap();
    let mut spelled = vec!["dir/file", "dir/./file", "dir/../dir/file", "alias/file", "dir/hard", "dir/link"];
    let bound = if is_root() { Some(Bound::new(&sandbox, "dir", "bound")) } else { None };
    if bound.is_some() {
        spelled.push("bound/file");
    }
    for policy in ALL {
        for name in &spelled {
            let report = run(CopyJob::new(sandbox.path("dir/file"), sandbox.path(name)).existing(policy));
            assert_eq!(causes(&report).len(), 1, "{name}");
            assert!(causes(&report)[0].contains("same file"), "{name}: {:?}", causes(&report));
            assert_eq!(sandbox.read("dir/file"), b"content");
        }
        let onto_itself = run(CopyJob::new(sandbox.path("dir"), sandbox.path("alias/.")).existing(policy));
        assert_eq!(onto_itself.totals.failed, 1);
    }
    assert!(fs::symlink_metadata(sandbox.path("dir/link")).unwrap().is_symlink());
    drop(bound);
}

#[test]
fn a_link_is_not_copied_onto_the_file_it_leads_to() {
    for policy in ALL {
        let sandbox = Sandbox::new().file("dst/file", b"precious").dir("sub").dir("src");
        let absolute = sandbox.path("dst/file");
        set_times(&absolute, 1_000, 0); // all links are newer
        let sandbox = sandbox.symlink("dst/file", "link").symlink("../dst/file", "sub/file");
        let sandbox = sandbox.symlink(&absolute, "src/file");
        for job in [
            CopyJob::new(sandbox.path("link"), &absolute),
            CopyJob::into_directory([sandbox.path("sub/file")], sandbox.path("dst")),
            CopyJob::new(sandbox.path("sub"), sandbox.path("dst")),
            CopyJob::new(sandbox.path("src"), sandbox.path("dst")),
        ] {
            let report = run(job.existing(policy));
            match policy {
                Existing::Skip => assert_eq!(report.totals.skipped, 1),
                Existing::Fail => assert_eq!(report.totals.failed, 1),
                _ => assert!(causes(&report)[0].contains("leads to"), "{policy:?}: {:?}", causes(&report)),
            }
            assert!(fs::symlink_metadata(&absolute).unwrap().is_file());
            assert_eq!(sandbox.read("dst/file"), b"precious");
        }
    }
}

/// A bind mount, undone at the end.
struct Bound(std::path::PathBuf);

impl Bound {
    fn new(sandbox: &Sandbox, from: &str, to: &str) -> Bound {
        let path = sandbox.path(to);
        fs::create_dir_all(&path).unwrap();
        must("mount", &["--bind", sandbox.path(from).to_str().unwrap(), path.to_str().unwrap()]);
        Bound(path)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_tree_is_not_copied_into_itself_by_any_way() {
    let sandbox = Sandbox::new().file("tree/sub/file", b"x").symlink("tree/sub", "alias");
    let mut ways = vec!["tree/copy", "tree/sub/copy", "alias/copy", "alias/../copy"];
    let bound = if is_root() { Some(Bound::new(&sandbox, "tree/sub", "bound")) } else { None };
    if bound.is_some() {
        ways.push("bound/copy");
    }
    for way in ways {
        let report = run(CopyJob::new(sandbox.path("tree"), sandbox.path(way)));
        assert_eq!(report.totals.failed, 1, "{way}");
        assert!(causes(&report)[0].contains("into itself"), "{way}: {:?}", causes(&report));
        if way.starts_with("bound") {
            // It is met inside the tree; what lies beside it is copied, once.
            assert!(!sandbox.path("bound/copy/sub/copy").exists());
        } else {
            assert!(!sandbox.path(way).exists(), "{way}");
        }
    }
}

#[test]
fn files_appear_when_finished_even_without_exclusive_renames_and_links() {
    let Some(mount) = Mount::new(Filesystem::ExFat, 64) else { return };
    let sandbox = Sandbox::new().file("src/new", b"new").file("src/there", b"other");
    let dst = mount.path().join("dst");
    fs::create_dir(&dst).unwrap();
    fs::write(dst.join("there"), "old").unwrap();
    let report = run(CopyJob::new(sandbox.path("src"), &dst).existing(Existing::Skip));
    assert_complete(&report);
    assert_eq!((report.totals.files_copied, report.totals.skipped), (1, 1));
    assert_eq!(
        (fs::read(dst.join("new")).unwrap(), fs::read(dst.join("there")).unwrap()),
        (b"new".into(), b"old".into())
    );
    assert_eq!(fs::read_dir(&dst).unwrap().count(), 2, "no temporary is left");
}

#[test]
fn a_coarse_clock_at_the_destination_is_no_reason_to_copy_again() {
    for filesystem in [Filesystem::Ext4Coarse, Filesystem::ExFat] {
        let Some(mount) = Mount::new(filesystem, 128) else { continue };
        let (sandbox, other) = (Sandbox::new().dir("src/dir"), Sandbox::on(&mount));
        for index in 0..20 {
            let path = sandbox.path(format!("src/dir/{index}"));
            fs::write(&path, format!("{index}")).unwrap();
            set_times(&path, 1_500_000_000 + index, 123_456_789);
        }
        if filesystem == Filesystem::Ext4Coarse {
            std::os::unix::fs::symlink("x", sandbox.path("src/link")).unwrap();
            set_times(&sandbox.path("src/link"), 1_500_000_001, 1);
        }
        let job = || CopyJob::new(sandbox.path("src"), other.path("dst"));
        assert_complete(&run(job()));
        let report = run(job());
        assert_complete(&report);
        let totals = &report.totals;
        assert_eq!((totals.files_copied, totals.metadata_corrected), (0, 0), "{filesystem:?} {totals:?}");
        // A real change is seen all the same.
        set_times(&sandbox.path("src/dir/3"), 1_600_000_000, 0);
        assert_eq!(run(job()).totals.files_copied, 1);
        let report = run(job().existing(Existing::Newer));
        assert_eq!(report.totals.files_copied, 0, "nothing is newer");
    }
}

#[test]
fn a_time_that_the_destination_cannot_hold_is_one_warning_and_no_reason_to_copy_again() {
    const YEAR: i64 = 31_556_952;
    let (Some(tmpfs), Some(ext4)) = (Mount::new(Filesystem::Tmpfs, 16), Mount::new(Filesystem::Ext4, 512))
    else {
        return;
    };
    let (sandbox, other) = (Sandbox::on(&tmpfs).dir("src/dir"), Sandbox::on(&ext4));
    std::os::unix::fs::symlink("nowhere", sandbox.path("src/link")).unwrap();
    for (name, years) in [("early", -70), ("late", 1030), ("usual", 10)] {
        fs::write(sandbox.path("src").join(name), name).unwrap();
        set_times(&sandbox.path("src").join(name), years * YEAR, 5);
    }
    set_times(&sandbox.path("src/link"), 1030 * YEAR, 5);
    set_times(&sandbox.path("src/dir"), -70 * YEAR, 5);
    let job = || CopyJob::new(sandbox.path("src"), other.path("dst"));
    let losses = |report: &Report| -> Vec<_> {
        report.warnings.iter().map(|warning| (warning.kind, warning.count)).collect()
    };
    let first = run(job());
    assert_complete(&first);
    assert_eq!(losses(&first), [(WarningKind::Times, 4)]);
    assert_same_but(&sandbox.path("src"), &other.path("dst"), &[Aspect::Mtime, Aspect::Atime]);
    let again = run(job());
    assert_complete(&again);
    let totals = &again.totals;
    assert_eq!((totals.files_copied, totals.bytes_copied, totals.metadata_corrected), (0, 0, 0));
    let required = Preserve::all_requiring(Attributes::TIMESTAMPS);
    let strict = run(CopyJob::new(sandbox.path("src"), other.path("strict")).preserve(required));
    assert_eq!((strict.totals.failed, strict.totals.files_copied), (4, 1), "{:?}", causes(&strict));
}

#[test]
fn leftover_temporaries_are_removed_and_locked_ones_are_not() {
    let stale = ".orbit-0123456789abcdef.tmp";
    let alive = ".orbit-fedcba9876543210.tmp";
    let sandbox = Sandbox::in_memory().file("src/dir/file", b"x");
    let sandbox = sandbox.file(format!("src/dir/{stale}"), b"never copied");
    let sandbox = sandbox.file(format!("dst/dir/{stale}"), b"of a run that died");
    let sandbox = sandbox.file(format!("dst/dir/{alive}"), b"of a run that lives");
    let held = fs::File::open(sandbox.path("dst/dir").join(alive)).unwrap();
    held.lock().unwrap();
    let report = sandbox.copy();
    assert_complete(&report);
    assert_eq!(report.totals.skipped, 1);
    assert!(!sandbox.path("dst/dir").join(stale).exists());
    assert!(sandbox.path("dst/dir").join(alive).exists());
    assert!(sandbox.path("src/dir").join(stale).exists(), "a source is never touched");
    drop(held);
    // A process that another test is just starting has the lock until it executes its program.
    let is_removed = || {
        assert_complete(&sandbox.copy());
        !sandbox.path("dst/dir").join(alive).exists()
    };
    assert!((0..1_000).any(|_| is_removed()));
    // Beside a single file as well, which a run that died was about to replace.
    let sandbox = sandbox.file(format!("dst/{stale}"), b"of a run that died").file("dst/file", b"old");
    assert_complete(&run(CopyJob::new(sandbox.path("src/dir/file"), sandbox.path("dst/file"))));
    assert!(!sandbox.path("dst").join(stale).exists());
}

#[test]
fn merging_keeps_what_the_source_does_not_have() {
    let sandbox =
        Sandbox::new().file("src/both/new", b"n").file("dst/both/old", b"o").file("dst/alone/x", b"x");
    let report = sandbox.copy();
    assert_complete(&report);
    assert_eq!((report.totals.directories_merged, report.totals.files_copied), (2, 1));
    assert_eq!((sandbox.read("dst/both/old"), sandbox.read("dst/alone/x")), (b"o".to_vec(), b"x".to_vec()));
    let lines = Tree::of(&sandbox.path("src")).differences(&Tree::of(&sandbox.path("dst")), &[Aspect::Atime]);
    assert_eq!(lines.len(), 3, "{lines:?}");
}
