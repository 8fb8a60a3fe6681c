//! Modes, times, extended attributes and ACLs.

use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Command};

use orbit::{Attributes, CopyJob, Preserve, WarningKind};

use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete,
    awkward::{self, ACCESS, CAPABILITY, DEFAULT, NET_RAW, acl, set_mode, set_times, set_xattr, xattr},
    driver::{Drive, NOBODY},
    has_program, is_root, must, orbit, run, skip, stderr,
    tree::{Aspect, Tree, assert_matches, assert_same, assert_same_but},
};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn directories_get_their_times_and_modes_after_all_their_children() {
    let sandbox = Sandbox::new();
    for index in 0..40 {
        let dir = sandbox.path(format!("src/{}/{index}", index % 4));
        fs::create_dir_all(&dir).unwrap();
        (0..50).for_each(|name| fs::write(dir.join(name.to_string()), b"x").unwrap());
        set_mode(&dir, if index % 2 == 0 { 0o555 } else { 0o700 });
    }
    for path in Tree::of(&sandbox.path("src")).0.keys().rev() {
        let text = std::str::from_utf8(path).unwrap();
        set_times(&sandbox.path("src").join(text), 1_000_000_000 + path.len() as i64, 7);
    }
    let before = Tree::of(&sandbox.path("src"));
    for jobs in [1, 4] {
        let name = format!("dst-{jobs}");
        assert_complete(&run(CopyJob::new(sandbox.path("src"), sandbox.path(&name)).jobs(jobs)));
        assert_matches(&before, &sandbox.path(&name), &[]);
    }
}

#[test]
fn copying_leaves_no_access_times_behind_in_the_source() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
    must("mount", &["-o", "remount,strictatime", mount.path().to_str().unwrap()]);
    let sandbox = Sandbox::on(&mount);
    awkward::plant(&sandbox.path("src"));
    let before = Tree::of(&sandbox.path("src"));
    assert_complete(&sandbox.copy());
    assert_matches(&before, &sandbox.path("src"), &[]);
    assert_matches(&before, &sandbox.path("dst"), &[]);
}

#[test]
fn the_umask_takes_nothing_from_modes_that_are_kept() {
    for mask in [0o0, 0o077, 0o777] {
        let sandbox = Sandbox::new();
        awkward::plant(&sandbox.path("src"));
        if !is_root() {
            return skip("the awkward tree has entries that only root can read");
        }
        Drive::new(&sandbox.path("src"), &sandbox.path("dst")).umask(mask).run().assert_complete();
        assert_same(&sandbox.path("src"), &sandbox.path("dst"));
    }
}

#[test]
fn a_umask_that_takes_rights_from_the_owner_takes_nothing_from_the_copy() {
    if !is_root() {
        return skip("becoming another user needs root");
    }
    for mask in [0o777, 0o700, 0o500, 0o400, 0o300, 0o200, 0o100] {
        let sandbox = Sandbox::new().opened().dir("to").file("src/dir/deep/small", b"small");
        let sandbox = sandbox.file("src/large", &awkward::noise(9 << 20, 1)).symlink("large", "src/link");
        fs::hard_link(sandbox.path("src/large"), sandbox.path("src/dir/large-too")).unwrap();
        set_mode(&sandbox.path("src/dir/deep"), 0o555);
        set_mode(&sandbox.path("src/dir/deep/small"), 0o640);
        let owner = NOBODY.to_string();
        must("chown", &["-Rh", &format!("{owner}:{owner}"), sandbox.path("").to_str().unwrap()]);
        let drive = Drive::new(&sandbox.path("src"), &sandbox.path("to/copy")).user(NOBODY).umask(mask);
        drive.clone().jobs(2).run().assert_complete();
        assert_same(&sandbox.path("src"), &sandbox.path("to/copy"));
        let again = drive.run();
        again.assert_complete();
        assert_eq!((again.number("files"), again.warnings.len()), (0, 0), "{mask:o}");
    }
}

#[test]
fn modes_that_are_not_kept_are_the_sources_less_the_umask_and_no_setuid() {
    let sandbox =
        Sandbox::new().dir("src/open").dir("src/closed").file("src/run", b"x").file("src/closed/in", b"x");
    set_mode(&sandbox.path("src/open"), 0o1777);
    set_mode(&sandbox.path("src/run"), 0o4775);
    set_mode(&sandbox.path("src/closed"), 0o555);
    let drive = Drive::new(&sandbox.path("src"), &sandbox.path("dst")).umask(0o027);
    drive.without(Attributes::MODE).run().assert_complete();
    assert_eq!(mode(&sandbox.path("dst/open")), 0o750);
    assert_eq!(mode(&sandbox.path("dst/run")), 0o750);
    assert_eq!(mode(&sandbox.path("dst/closed")), 0o550);
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Mode]);
}

#[test]
fn a_setgid_destination_does_not_show_in_the_copy() {
    if !is_root() {
        return skip("giving a directory another group needs root");
    }
    let sandbox = Sandbox::new().dir("into").file("src/dir/file", b"x");
    std::os::unix::fs::chown(sandbox.path("into"), Some(0), Some(1234)).unwrap();
    set_mode(&sandbox.path("into"), 0o2775);
    let job = CopyJob::new(sandbox.path("src"), sandbox.path("into/copy"));
    assert_complete(&run(job));
    assert_same(&sandbox.path("src"), &sandbox.path("into/copy"));
    let neither = Preserve::default().without(Attributes::OWNERSHIP | Attributes::MODE);
    assert_complete(&run(CopyJob::new(sandbox.path("src"), sandbox.path("into/other")).preserve(neither)));
    let dir = fs::metadata(sandbox.path("into/other/dir")).unwrap();
    assert_eq!((dir.gid(), dir.mode() & 0o2000), (1234, 0o2000), "both are inherited");
    assert_eq!(fs::metadata(sandbox.path("into/other/dir/file")).unwrap().gid(), 1234);
}

#[test]
fn large_extended_attributes_are_kept_where_they_fit_and_are_one_warning_where_not() {
    let (Some(xfs), Some(ext4)) = (Mount::new(Filesystem::Xfs, 320), Mount::new(Filesystem::Ext4, 64)) else {
        return;
    };
    let (source, other) = (Sandbox::on(&xfs), Sandbox::on(&ext4));
    for name in ["a", "b", "c"] {
        let path = source.path("src").join(name);
        fs::create_dir_all(source.path("src")).unwrap();
        fs::write(&path, name).unwrap();
        set_xattr(&path, "user.large", &awkward::noise(65_000, 3));
        set_xattr(&path, "user.small", b"fits");
    }
    assert_complete(&source.copy());
    assert_same(&source.path("src"), &source.path("dst"));
    let report = run(CopyJob::new(source.path("src"), other.path("dst")));
    assert_complete(&report);
    let losses: Vec<_> = report.warnings.iter().map(|warning| (warning.kind, warning.count)).collect();
    assert_eq!(losses, [(WarningKind::Xattr, 3)]);
    assert_eq!(xattr(&other.path("dst/a"), "user.small").unwrap(), b"fits");
    assert_same_but(&source.path("src"), &other.path("dst"), &[Aspect::Xattrs]);
    let required = Preserve::all_requiring(Attributes::XATTR);
    let report = run(CopyJob::new(source.path("src"), other.path("strict")).preserve(required));
    assert_eq!(report.totals.failed, 3, "what is named must be kept");
    assert_eq!(fs::read_dir(other.path("strict")).unwrap().count(), 0);
}

#[test]
fn a_default_acl_at_the_destination_lets_nobody_in() {
    if !is_root() {
        return skip("trying it as another user needs root");
    }
    let sandbox = Sandbox::new().opened().dir("into").dir("src/dir");
    set_xattr(&sandbox.path("into"), DEFAULT, &acl(7, (NOBODY, 7), 7, 7, 7));
    set_mode(&sandbox.path("into"), 0o755);
    for (name, bits) in [("private", 0o600), ("group", 0o664), ("dir/deep", 0o660)] {
        fs::write(sandbox.path("src").join(name), b"secret").unwrap();
        set_mode(&sandbox.path("src").join(name), bits);
    }
    assert_complete(&run(CopyJob::new(sandbox.path("src"), sandbox.path("into/copy"))));
    assert_same(&sandbox.path("src"), &sandbox.path("into/copy"));
    for name in ["private", "group", "dir/deep", "dir"] {
        let path = sandbox.path("into/copy").join(name);
        let listed = must("getfacl", &["--absolute-names", "--omit-header", path.to_str().unwrap()]);
        assert_eq!(listed.lines().count(), 3, "{name}: {listed}");
    }
    let report = Drive::new(&sandbox.path("into/copy/private"), Path::new("/dev/shm/orbit-stolen"));
    let report = report.user(NOBODY).run();
    let _ = fs::remove_file("/dev/shm/orbit-stolen");
    assert!(report.failures[0].contains("Permission denied"), "{:?}", report.failures);
}

#[test]
fn a_default_acl_of_a_directory_that_may_not_be_read_lets_nobody_in_either() {
    if !is_root() {
        return skip("becoming another user needs root");
    }
    let sandbox = Sandbox::new().opened().dir("drop").file("src/private", b"secret").dir("src/dir");
    let drop = sandbox.path("drop");
    must("setfacl", &["-d", "-m", "u:1234:rwx,g::rwx,m::rwx", drop.to_str().unwrap()]);
    set_mode(&drop, 0o733);
    set_mode(&sandbox.path("src/private"), 0o644);
    for (source, name) in [("src/private", "file"), ("src", "tree")] {
        Drive::new(&sandbox.path(source), &drop.join(name)).user(NOBODY).run().assert_complete();
    }
    for (name, bits) in [("file", 0o644), ("tree", 0o755), ("tree/private", 0o644), ("tree/dir", 0o755)] {
        let path = drop.join(name);
        let listed = must("getfacl", &["--absolute-names", "--omit-header", path.to_str().unwrap()]);
        assert_eq!((listed.lines().count(), mode(&path)), (3, bits), "{name}: {listed}");
    }
}

#[test]
fn acls_are_kept_as_getfacl_shows_them() {
    let sandbox = Sandbox::new().dir("src/shared").file("src/file", b"x");
    let src = sandbox.path("src");
    let path = |name: &str| src.join(name).to_str().unwrap().to_owned();
    must("setfacl", &["-m", "u:1234:rw,g:4321:r,m::rw", &path("file")]);
    must("setfacl", &["-m", "u:1234:rwx,d:u:1234:r,d:g:4321:rw,d:m::r", &path("shared")]);
    assert_complete(&sandbox.copy());
    for name in ["file", "shared", ""] {
        let shown = |tree: &str| {
            let path = sandbox.path(tree).join(name);
            must("getfacl", &["--absolute-names", "--omit-header", "--numeric", path.to_str().unwrap()])
        };
        assert_eq!(shown("src"), shown("dst"));
    }
    assert!(xattr(&sandbox.path("dst/shared"), DEFAULT).is_some());
    assert_same(&src, &sandbox.path("dst"));
    let without = Preserve::default().without(Attributes::ACL);
    assert_complete(&run(CopyJob::new(&src, sandbox.path("plain")).preserve(without)));
    for attribute in [ACCESS, DEFAULT] {
        assert_eq!(xattr(&sandbox.path("plain/shared"), attribute), None);
        assert_eq!(xattr(&sandbox.path("plain/file"), attribute), None);
    }
}

#[test]
fn a_mask_never_becomes_the_rights_of_the_owning_group_where_no_acl_is_kept() {
    let with_acl = |sandbox: &Sandbox| {
        let path = |name: &str| sandbox.path("src").join(name).to_str().unwrap().to_owned();
        set_mode(&sandbox.path("src/file"), 0o640);
        set_mode(&sandbox.path("src/dir"), 0o750);
        must("setfacl", &["-m", "u:1234:rwx", &path("file"), &path("dir")]);
    };
    let without = Preserve::default().without(Attributes::ACL);
    let neither = Preserve::default().without(Attributes::ACL | Attributes::XATTR);
    for preserve in [without, neither, Preserve::exactly(Attributes::MODE)] {
        let sandbox = Sandbox::new().file("src/file", b"x").dir("src/dir");
        let job = || CopyJob::new(sandbox.path("src"), sandbox.path("dst")).preserve(preserve);
        let modes = |tree: &str| ["file", "dir"].map(|name| mode(&sandbox.path(tree).join(name)));
        with_acl(&sandbox);
        assert_eq!(modes("src"), [0o670, 0o770], "the mask, to those who do not ask for the ACL");
        assert_complete(&run(job()));
        assert_eq!(modes("dst"), [0o640, 0o750]);
        // Nor in a copy that is there, whose mode is corrected or is right.
        set_mode(&sandbox.path("dst/file"), 0o600);
        set_mode(&sandbox.path("dst/dir"), 0o700);
        for _ in 0..2 {
            assert_complete(&run(job()));
            assert_eq!(modes("dst"), [0o640, 0o750]);
        }
        for name in ["dst/file", "dst/dir"] {
            assert_eq!(xattr(&sandbox.path(name), ACCESS), None);
        }
    }
}

#[test]
fn without_proc_attributes_are_kept_and_only_those_of_links_are_warned_of() {
    if !is_root() || !has_program("unshare") {
        return skip("hiding /proc needs root and unshare(1)");
    }
    let sandbox = Sandbox::new().dir("src/dir");
    set_xattr(&sandbox.path("src/dir"), DEFAULT, &acl(7, (1234, 5), 5, 5, 0));
    set_xattr(&sandbox.path("src/dir"), "user.directory", b"yes");
    for index in 0..4 {
        let path = sandbox.path(format!("src/dir/{index}"));
        fs::write(&path, b"x").unwrap();
        set_xattr(&path, ACCESS, &acl(6, (1234, 7), 4, 7, 0));
        set_xattr(&path, "user.number", &[index]);
    }
    let sandbox = sandbox.symlink("nowhere", "src/link");
    let hidden = "mount -t tmpfs none /proc && exec \"$@\"";
    // The second run finds nothing to do, and says the same. A kernel with listxattrat(2) needs no /proc to
    // see that the link has none.
    let mut said = Vec::new();
    for _ in 0..2 {
        let output = Command::new("unshare")
            .args(["-m", "sh", "-c", hidden, "sh"])
            .arg(orbit().get_program())
            .arg("-T")
            .args([sandbox.path("src"), sandbox.path("dst")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).lines().all(|line| line.contains("dst/link")), "{}", stderr(&output));
        said.push(stderr(&output));
        assert_same(&sandbox.path("src"), &sandbox.path("dst"));
        sandbox.tick();
    }
    assert_eq!(said[0], said[1]);
    assert!(said[0].lines().count() <= 1, "{said:?}");
}

#[test]
fn attributes_that_are_removed_at_the_source_are_removed_from_the_copy() {
    if !is_root() {
        return skip("giving a file capabilities needs root");
    }
    let sandbox = Sandbox::new().file("src/program", b"#!").dir("src/dir").file("src/other", b"x");
    let given = [
        ("program", &[(CAPABILITY, &NET_RAW[..]), ("trusted.note", b"root's"), ("user.note", b"mine")][..]),
        ("other", &[(CAPABILITY, &NET_RAW)]),
        ("dir", &[("trusted.note", b"root's"), ("user.note", b"mine")]),
    ];
    for (name, attributes) in given {
        for (attribute, value) in attributes {
            set_xattr(&sandbox.path("src").join(name), attribute, value);
        }
    }
    assert_complete(&sandbox.copy());
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
    // What the system keeps at the copy is the system's.
    set_xattr(&sandbox.path("dst/dir"), "security.label", b"the destination's");
    for (name, attributes) in given {
        for (attribute, _) in attributes {
            rustix::fs::removexattr(sandbox.path("src").join(name), *attribute).unwrap();
        }
    }
    let report = sandbox.copy();
    assert_complete(&report);
    assert_eq!((report.totals.metadata_corrected, report.totals.files_copied), (2, 0));
    assert!(rustix::fs::removexattr(sandbox.path("dst/dir"), "security.label").is_ok());
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn a_directory_whose_times_are_not_kept_has_its_changed_attributes_carried_over() {
    let sandbox = Sandbox::new().file("src/file", b"x").file("src/dir/file", b"x");
    let preserve = Preserve::default().without(Attributes::TIMESTAMPS);
    let copy = || run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).preserve(preserve));
    assert_complete(&copy());
    for name in ["src", "src/dir"] {
        set_xattr(&sandbox.path(name), "user.changed", b"yes");
    }
    sandbox.tick(); // what the copy does there comes later, and must not look like its last correction
    assert_complete(&copy());
    for name in ["dst", "dst/dir"] {
        assert_eq!(xattr(&sandbox.path(name), "user.changed").as_deref(), Some(&b"yes"[..]), "{name}");
    }
}

#[test]
fn whoever_owns_a_read_only_copy_may_have_its_attributes_corrected() {
    if !is_root() {
        return skip("becoming another user needs root");
    }
    let sandbox = Sandbox::new().opened().file("src/file", b"x").dir("to");
    set_xattr(&sandbox.path("src/file"), "user.note", b"old");
    set_mode(&sandbox.path("src/file"), 0o444);
    for name in ["src", "src/file", "to"] {
        std::os::unix::fs::chown(sandbox.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let drive = Drive::new(&sandbox.path("src"), &sandbox.path("to/copy")).user(NOBODY);
    drive.clone().run().assert_complete();
    set_xattr(&sandbox.path("src/file"), "user.note", b"new");
    for _ in 0..2 {
        let driven = drive.clone().run();
        driven.assert_complete();
        assert_eq!((driven.number("files"), driven.warnings.len()), (0, 0), "{:?}", driven.warnings);
        assert_eq!(mode(&sandbox.path("to/copy/file")), 0o444);
    }
    // Once: to compare is to read, and gives each file a time of its own.
    assert_same(&sandbox.path("src"), &sandbox.path("to/copy"));
}

#[test]
fn capabilities_of_programs_survive_the_change_of_owner() {
    if !is_root() {
        return skip("giving a file capabilities needs root");
    }
    let sandbox = Sandbox::new().file("src/program", b"#!").file("src/large", &awkward::noise(9 << 20, 1));
    for name in ["src/program", "src/large"] {
        std::os::unix::fs::chown(sandbox.path(name), Some(1000), Some(1000)).unwrap();
        set_xattr(&sandbox.path(name), CAPABILITY, &NET_RAW);
    }
    assert_complete(&sandbox.copy());
    assert_eq!(xattr(&sandbox.path("dst/program"), CAPABILITY).unwrap(), NET_RAW);
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn only_what_is_listed_is_kept() {
    let sandbox = Sandbox::new();
    awkward::plant(&sandbox.path("src"));
    if !is_root() {
        return skip("the awkward tree has entries that only root can read");
    }
    let source = Tree::of(&sandbox.path("src"));
    let copy = |name: &str, attributes| {
        let job = CopyJob::new(sandbox.path("src"), sandbox.path(name));
        run(job.preserve(Preserve::exactly(attributes)))
    };
    let kinds = |report: &orbit::Report| report.totals.specials_created;
    let report = copy("nothing", Attributes::empty());
    assert_complete(&report);
    let specials = source.0.values().filter(|entry| {
        use rustix::fs::FileType::*;
        matches!(entry.kind, Fifo | Socket | CharacterDevice | BlockDevice)
    });
    assert_eq!((report.totals.skipped, kinds(&report)), (specials.count() as u64, 0));
    let bare = Tree::of(&sandbox.path("nothing"));
    for (path, entry) in &bare.0 {
        let was = &source.0[path];
        assert!(entry.owner == (0, 0) && entry.mtime != was.mtime && entry.xattrs.is_empty(), "{path:?}");
        assert!(entry.nlink == 1 || entry.kind == rustix::fs::FileType::Directory, "{path:?}");
    }
    use Aspect::*;
    let without_specials =
        |tree: Tree| Tree(tree.0.into_iter().filter(|(path, _)| bare.0.contains_key(path)).collect());
    let mut source = without_specials(source);
    source.0.get_mut(&b"setuid"[..]).unwrap().mode = 0o755; // another owner's rights are not lent
    for (name, attributes, lost) in [
        ("mode", Attributes::MODE, &[Owner, Mtime, Xattrs, Links, Holes][..]),
        ("times", Attributes::TIMESTAMPS, &[Owner, Mode, Xattrs, Links, Holes]),
        ("owner", Attributes::OWNERSHIP, &[Mode, Mtime, Xattrs, Links, Holes]),
        ("links", Attributes::LINKS, &[Owner, Mode, Mtime, Xattrs, Holes]),
        ("holes", Attributes::SPARSE, &[Owner, Mode, Mtime, Xattrs, Links]),
        ("xattrs", Attributes::XATTR | Attributes::ACL, &[Owner, Mode, Mtime, Links, Holes]),
    ] {
        assert_complete(&copy(name, attributes));
        assert_matches(&source, &sandbox.path(name), lost);
    }
}
