//! Owner, mode, times, extended attributes and ACLs that the destination refuses.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::Command,
};

use nix::errno::Errno;

use super::{
    traced::{Call, Outcome, Traced, can_trace},
    tree::{age, assert_same_tree, copied, noise, set_mode, to_be_corrected},
};
use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete, awkward, has_program, is_root, skip,
    tree::{Aspect, assert_same_but},
};

/// For want of privilege or of support by the destination.
const NOT_KEPT: [(&str, Errno); 4] = [
    ("EPERM", Errno::EPERM),
    ("EACCES", Errno::EACCES),
    ("EOPNOTSUPP", Errno::EOPNOTSUPP),
    ("ENOSYS", Errno::ENOSYS),
];

/// Three files of another owner, one of them setuid and setgid; as root on a filesystem that has
/// attributes of every kind.
pub(super) fn owned_by_another() -> Option<(Mount, Sandbox)> {
    if !can_trace() {
        return None;
    }
    if !is_root() {
        skip("changing owners needs root");
        return None;
    }
    if !has_program("setfattr") {
        skip("setfattr is not installed");
        return None;
    }
    let mount = Mount::new(Filesystem::Ext4, 32)?;
    let mut sandbox = Sandbox::on(&mount);
    for (name, mode) in [("a", 0o640), ("b", 0o755), ("setid", 0o6755)] {
        sandbox = sandbox.file(format!("src/{name}"), &noise(mode, 3_000));
        let path = sandbox.path("src").join(name);
        chown(&path, Some(1234), Some(2345)).unwrap();
        set_mode(&path, mode as u32);
        xattr(&path, "user.colour", "red");
        age(&path, mode);
    }
    Some((mount, sandbox))
}

fn xattr(path: &Path, name: &str, value: &str) {
    let set = Command::new("setfattr").args(["-n", name, "-v", value]).arg(path).status().unwrap();
    assert!(set.success(), "setfattr {name}");
}

pub(super) fn copy_of(sandbox: &Sandbox) -> Traced {
    let _ = fs::remove_dir_all(sandbox.path("dst"));
    Traced::copy(sandbox.path("src"), sandbox.path("dst"))
}

/// Assert that everything was copied, and `count` entries lost this.
#[track_caller]
pub(super) fn assert_warned_of(outcome: &Outcome, call: &str, loss: &str, count: u64) {
    outcome.assert_complete_despite(call);
    assert_eq!(outcome.summary.warned(loss), count, "{:?}", outcome.summary);
}

#[track_caller]
pub(super) fn assert_same_contents(sandbox: &Sandbox) {
    for name in ["a", "b", "setid"] {
        let (from, to) = (sandbox.path("src").join(name), sandbox.path("dst").join(name));
        assert_eq!(fs::read(from).unwrap(), fs::read(to).unwrap(), "{name}");
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn an_owner_that_is_refused_is_one_warning_and_drops_setuid() {
    let Some((_mount, sandbox)) = owned_by_another() else { return };
    for (name, _) in NOT_KEPT {
        let outcome = copy_of(&sandbox).fault("fchown", &format!("error={name}")).run();
        assert_warned_of(&outcome, "fchown", "Owner", 3);
        assert_eq!(outcome.summary.warned("SetId"), 1);
        assert_eq!(outcome.summary.warnings(), 2);
        assert_same_contents(&sandbox);
        assert_eq!(mode(&sandbox.path("dst/setid")), 0o755, "neither setuid nor setgid");
        assert_eq!(mode(&sandbox.path("dst/a")), 0o640);
        assert_eq!(fs::metadata(sandbox.path("dst/a")).unwrap().uid(), 0);
    }
}

#[test]
fn a_group_is_kept_where_only_the_user_is_refused() {
    let Some((_mount, sandbox)) = owned_by_another() else { return };
    // Odd calls ask for both.
    let outcome = copy_of(&sandbox).fault("fchown", "error=EPERM:when=1+2").run();
    assert_warned_of(&outcome, "fchown", "Owner", 3);
    let setid = fs::metadata(sandbox.path("dst/setid")).unwrap();
    assert_eq!((setid.uid(), setid.gid()), (0, 2345));
    assert_eq!(mode(&sandbox.path("dst/setid")), 0o2755, "setgid lends the right group, setuid does not");
}

#[test]
fn a_refusal_for_a_later_file_leaves_the_earlier_ones_whole() {
    let Some((_mount, sandbox)) = owned_by_another() else { return };
    for (call, loss) in
        [("fchown", "Owner"), ("fchmod", "Mode"), ("utimensat", "Times"), ("fsetxattr", "Xattr")]
    {
        let outcome = copy_of(&sandbox).fault(call, "error=EPERM:when=2..3").run();
        outcome.assert_complete_despite(call);
        let warned = outcome.summary.warned(loss);
        assert!((1..=2).contains(&warned), "{call}: {:?}", outcome.summary);
        assert_same_contents(&sandbox);
    }
}

#[test]
fn what_cannot_be_kept_is_one_warning_of_its_kind() {
    let Some((_mount, sandbox)) = owned_by_another() else { return };
    for (name, _) in NOT_KEPT {
        // The directory is an entry as well; it has a mode and times, and no attributes.
        for (call, loss, count) in
            [("fchmod", "Mode", 4), ("utimensat", "Times", 4), ("fsetxattr", "Xattr", 3)]
        {
            let outcome = copy_of(&sandbox).fault(call, &format!("error={name}")).run();
            assert_warned_of(&outcome, call, loss, count);
            assert_eq!(outcome.summary.warnings(), 1, "{call} {name}: {:?}", outcome.summary);
            assert_same_contents(&sandbox);
        }
    }
    for name in ["E2BIG", "ERANGE", "ENOSPC"] {
        let outcome = copy_of(&sandbox).fault("fsetxattr", &format!("error={name}")).run();
        assert_warned_of(&outcome, "fsetxattr", "Xattr", 3);
        assert_same_contents(&sandbox);
    }
}

#[test]
fn what_was_named_and_cannot_be_kept_is_a_failure_that_leaves_no_file() {
    let Some((_mount, sandbox)) = owned_by_another() else { return };
    for (name, errno) in NOT_KEPT {
        for (call, attribute) in
            [("fchown", "OWNERSHIP"), ("fchmod", "MODE"), ("utimensat", "TIMESTAMPS"), ("fsetxattr", "XATTR")]
        {
            let copy = copy_of(&sandbox).told("requiring", attribute);
            let outcome = copy.fault(call, &format!("error={name}:when=2")).run();
            outcome.assert_one_failure_by(call, errno);
            assert_eq!(copied(&sandbox).len(), 2, "{call} {name}");
        }
    }
}

#[test]
fn a_correction_that_the_storage_failed_is_completed_by_the_next_run() {
    if !can_trace() || !is_root() {
        return skip("changing owners, and failing calls, needs root");
    }
    let of = |sandbox: &Sandbox| Traced::copy(sandbox.path("src"), sandbox.path("dst"));
    for call in ["fsetxattr", "fremovexattr", "fchown", "utimensat"] {
        let count = of(&to_be_corrected()).recording(call).run().count(call);
        assert!(count >= 2, "{call}: {count}");
        for number in 1..=count {
            let sandbox = to_be_corrected();
            let outcome = of(&sandbox).fault(call, &format!("error=EIO:when={number}")).run();
            outcome.assert_complete_despite(call);
            // That a copy's time could not be taken away first is no loss.
            assert!(call == "utimensat" || outcome.summary.warnings() == 1, "{:?}", outcome.summary);
            assert_complete(&sandbox.copy());
            eprintln!("{call} {number}");
            assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
        }
    }
}

#[test]
fn a_source_without_attributes_is_asked_once_and_not_complained_about() {
    let Some((_mount, sandbox)) = owned_by_another() else { return };
    let outcome = copy_of(&sandbox).fault("flistxattr", "error=EOPNOTSUPP").run();
    outcome.assert_complete_despite("flistxattr");
    let of_source = |call: &&Call| call.name == "flistxattr" && call.line.contains("/src");
    assert_eq!(outcome.calls.iter().filter(of_source).count(), 1);
    assert_eq!(outcome.summary.warnings(), 0, "{:?}", outcome.summary);
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn attributes_that_may_not_be_read_are_warned_of() {
    let Some((_mount, sandbox)) = owned_by_another() else { return };
    // A missing call is no filesystem without attributes.
    for name in ["EPERM", "EACCES", "ENOSYS"] {
        let outcome = copy_of(&sandbox).fault("flistxattr", &format!("error={name}")).run();
        outcome.assert_complete_despite("flistxattr");
        assert_eq!(outcome.summary.warned("Xattr"), 4, "{:?}", outcome.summary);
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        for attribute in ["XATTR", "ACL"] {
            let copy = copy_of(&sandbox).told("requiring", attribute);
            let outcome = copy.fault("flistxattr", &format!("error={name}:when=2")).run();
            assert_eq!(outcome.summary.total("failed"), 1, "{attribute}: {:?}", outcome.summary);
        }
    }
}

#[test]
fn an_attribute_removed_between_listing_and_reading_is_no_loss() {
    let Some((_mount, sandbox)) = owned_by_another() else { return };
    let copy = copy_of(&sandbox);
    let afresh = || fs::remove_dir_all(sandbox.path("dst")).unwrap();
    let outcome = copy.fault_at("fgetxattr", &["user.colour", "/src/a>"], "error=ENODATA", afresh).run();
    outcome.assert_complete_despite("fgetxattr");
    assert_eq!(outcome.summary.warnings(), 0, "{:?}", outcome.summary);
}

#[test]
fn an_acl_that_is_refused_is_one_warning_or_a_failure_when_named() {
    let Some((_mount, sandbox)) = owned_by_another() else { return };
    if !has_program("setfacl") {
        return skip("setfacl is not installed");
    }
    let acl = Command::new("setfacl").args(["-m", "u:77:rw"]).arg(sandbox.path("src/a")).status().unwrap();
    assert!(acl.success());
    let copy = copy_of(&sandbox);
    let afresh = || fs::remove_dir_all(sandbox.path("dst")).unwrap();
    let parts = ["system.posix_acl_access", "/dst/a>"];
    let copy = copy.fault_at("fsetxattr", &parts, "error=EOPNOTSUPP", afresh);
    let outcome = copy.run();
    outcome.assert_complete_despite("fsetxattr");
    assert_eq!((outcome.summary.warned("Acl"), outcome.summary.warnings()), (1, 1), "{:?}", outcome.summary);
    fs::remove_dir_all(sandbox.path("dst")).unwrap();
    let outcome = copy.told("requiring", "ACL").run();
    outcome.assert_one_failure_by("fsetxattr", Errno::EOPNOTSUPP);
    assert!(!sandbox.path("dst/a").exists());
}

#[test]
fn special_files_that_are_not_made_are_failures() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new().file("src/f", b"f");
    for name in ["p", "q"] {
        let rights = nix::sys::stat::Mode::from_bits_truncate(0o640);
        nix::unistd::mkfifo(&sandbox.path("src").join(name), rights).unwrap();
    }
    for (name, errno) in NOT_KEPT {
        let outcome = copy_of(&sandbox).fault("mknodat", &format!("error={name}:when=2")).run();
        outcome.assert_one_failure_by("mknodat", errno);
        assert_eq!((copied(&sandbox).len(), outcome.summary.warnings()), (2, 0));
    }
}

#[test]
fn links_that_were_named_and_are_refused_are_failures() {
    if !can_trace() {
        return;
    }
    for (name, errno) in [("EMLINK", Errno::EMLINK), ("EPERM", Errno::EPERM)] {
        let sandbox = Sandbox::new().file("src/a", &noise(1, 5_000));
        for other in ["b", "c"] {
            fs::hard_link(sandbox.path("src/a"), sandbox.path("src").join(other)).unwrap();
        }
        let copy = copy_of(&sandbox).told("requiring", "LINKS");
        let outcome = copy.fault("linkat", &format!("error={name}:when=2")).run();
        outcome.assert_one_failure_by("linkat", errno);
        assert_eq!((copied(&sandbox).len(), outcome.summary.warnings()), (2, 0), "{:?}", outcome.summary);
    }
}

#[test]
fn links_that_are_refused_become_second_copies() {
    if !can_trace() {
        return;
    }
    for name in ["EMLINK", "EPERM", "EXDEV", "EOPNOTSUPP", "ENOSYS"] {
        let sandbox = Sandbox::new().file("src/a", &noise(1, 5_000));
        for other in ["b", "c", "d"] {
            fs::hard_link(sandbox.path("src/a"), sandbox.path("src").join(other)).unwrap();
        }
        let outcome = copy_of(&sandbox).fault("linkat", &format!("error={name}:when=2+")).run();
        outcome.assert_complete_despite("linkat");
        assert!(outcome.summary.warned("HardLink") > 0, "{name}: {:?}", outcome.summary);
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
        let totals = ["files_copied", "hard_links_created"].map(|name| outcome.summary.total(name));
        assert_eq!(totals[0] + totals[1], 4, "{name}: {totals:?}");
        assert!(totals[1] >= 1, "{name}: the first link was made");
    }
}

#[test]
fn names_that_all_waited_for_a_copy_that_takes_no_more_are_linked_to_one_other() {
    if !can_trace() {
        return;
    }
    const NAMES: u64 = 801;
    // The first name is near and its content takes a second; all others are so far that none comes before it, and met
    // meanwhile.
    let far = "x/".repeat(200);
    let mut sandbox = Sandbox::new().file("src/a/first", b"one content of many names");
    for dir in 0..4 {
        sandbox = sandbox.dir(format!("src/{far}{dir}"));
    }
    for index in 1..NAMES {
        let name = sandbox.path(format!("src/{far}{}/{index}", index % 4));
        fs::hard_link(sandbox.path("src/a/first"), name).unwrap();
    }
    let outcome = copy_of(&sandbox)
        .told("jobs", "4")
        .told("reflink", "never")
        .concerning([sandbox.path("dst/a"), sandbox.path("dst/a/first")])
        .fault("pwrite64", "delay_enter=1000000")
        .fault("linkat", "error=EMLINK")
        .run();
    outcome.assert_complete_despite("linkat");
    assert_eq!((outcome.summary.warned("HardLink"), outcome.summary.warnings()), (1, 1));
    let totals = ["files_copied", "hard_links_created"].map(|name| outcome.summary.total(name));
    assert_eq!(totals, [2, NAMES - 2]);
    assert_eq!(fs::metadata(sandbox.path("dst/a/first")).unwrap().nlink(), 1);
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn a_lost_acl_never_gives_its_mask_to_the_owning_group() {
    if !can_trace() || !has_program("setfacl") {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Ext4, 32) else { return };
    let sandbox = Sandbox::on(&mount).file("src/f", b"secret");
    let file = sandbox.path("src/f");
    crate::support::must("setfacl", &["-m", "u:77:rw,g::-", file.to_str().unwrap()]);
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).fault("fsetxattr", "error=EOPNOTSUPP");
    let outcome = copy.run();
    assert!(outcome.calls.iter().any(Call::is_injected));
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().mode();
    assert_eq!(mode(file) & 0o070, 0o060, "the mask, to those who do not ask for the ACL");
    assert_eq!(mode(sandbox.path("dst/f")) & 0o077, 0o004, "the group had no rights, others could read");
}

#[test]
fn a_mask_is_never_the_groups_rights_where_others_may_come_in() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Ext4, 32) else { return };
    let mut sandbox = Sandbox::on(&mount).dir("dst");
    for name in 0..6 {
        sandbox = sandbox.file(format!("src/{name}"), b"secret");
        let acl = awkward::acl(6, (1234, 7), 0, 7, 0);
        awkward::set_xattr(&sandbox.path(format!("src/{name}")), "system.posix_acl_access", &acl);
    }
    let outcome = Traced::copy(sandbox.path("src"), sandbox.path("dst")).recording("openat").run();
    let creates = |call: &&Call| call.line.contains("O_CREAT") && !call.line.contains(".run\"");
    let created: Vec<_> = outcome.calls.iter().filter(creates).collect();
    assert_eq!(created.len(), 6);
    assert!(created.iter().all(|call| call.line.contains(", 0600)")), "{created:?}");
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[]);
}
