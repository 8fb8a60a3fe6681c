//! What a stranger wrote is never lent rights, by no sequence of runs.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt, chown},
    path::Path,
};

use orbit::{Attributes, CopyJob, Existing, Preserve};

use crate::support::{
    Sandbox, assert_complete,
    awkward::{CAPABILITY, NET_RAW, set_mode, set_times, set_xattr, xattr},
    has_program, is_root, must, orbit, run, skip, stderr,
    tree::{Aspect, assert_same, assert_same_but},
};

const STRANGER: u32 = 1000;

/// A program of root's, and what a stranger has put in place of its copy, which looks the same.
fn planted() -> Sandbox {
    let sandbox = Sandbox::new().opened().file("src/tool", b"good").file("dst/tool", b"EVIL");
    for tree in ["src", "dst"] {
        let tool = sandbox.path(tree).join("tool");
        set_mode(&tool, 0o755);
        set_times(&tool, 1_000, 0);
    }
    chown(sandbox.path("dst/tool"), Some(STRANGER), Some(STRANGER)).unwrap();
    sandbox
}

fn copy_without(sandbox: &Sandbox, attributes: Attributes) {
    let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst"));
    assert_complete(&run(job.preserve(Preserve::default().without(attributes))));
}

type Lend = fn(&Path);

#[test]
fn no_sequence_of_runs_gives_a_strangers_bytes_an_owner_or_rights() {
    if !is_root() {
        return skip("only root can give files away");
    }
    let setuid: Lend = |path| set_mode(path, 0o4755);
    let setgid: Lend = |path| set_mode(path, 0o2755);
    let capability: Lend = |path| set_xattr(path, CAPABILITY, &NET_RAW);
    let first =
        [Attributes::empty(), Attributes::OWNERSHIP, Attributes::MODE, Attributes::XATTR, Attributes::all()];
    for lend in [setuid, setgid, capability] {
        for without in first {
            let sandbox = planted();
            copy_without(&sandbox, without);
            lend(&sandbox.path("src/tool"));
            copy_without(&sandbox, Attributes::OWNERSHIP);
            assert_complete(&sandbox.copy());
            assert_same(&sandbox.path("src"), &sandbox.path("dst"));
            assert_eq!(sandbox.read("dst/tool"), b"good", "without {without:?} first");
            let report = sandbox.copy();
            assert_eq!((report.totals.files_copied, report.totals.unchanged), (0, 1), "it converged");
        }
    }
}

#[test]
fn who_has_a_file_open_for_writing_writes_into_nothing_that_has_rights() {
    if !is_root() {
        return skip("only root can give files away");
    }
    // Another's file; root's, that others may write to; and one that the run before took from them.
    for (owner, mode, is_closed_first) in [(STRANGER, 0o755, false), (0, 0o666, false), (0, 0o666, true)] {
        let sandbox = planted();
        fs::write(sandbox.path("dst/tool"), b"good").unwrap();
        set_mode(&sandbox.path("dst/tool"), mode);
        chown(sandbox.path("dst/tool"), Some(owner), Some(owner)).unwrap();
        set_times(&sandbox.path("dst/tool"), 1_000, 0);
        let open = File::options().write(true).open(sandbox.path("dst/tool")).unwrap();
        if is_closed_first {
            assert_complete(&sandbox.copy());
        }
        set_mode(&sandbox.path("src/tool"), 0o4755);
        assert_complete(&sandbox.copy());
        assert_same(&sandbox.path("src"), &sandbox.path("dst"));
        open.write_all_at(b"EVIL", 0).unwrap();
        assert_eq!(sandbox.read("dst/tool"), b"good");
    }
}

#[test]
fn an_acl_that_takes_from_others_the_right_to_write_takes_their_bytes_as_well() {
    if !is_root() || !has_program("setfacl") {
        return skip("root and setfacl(1) are needed");
    }
    let sandbox = planted();
    let [from, to] = ["src/tool", "dst/tool"].map(|name| sandbox.path(name));
    chown(&to, Some(0), Some(0)).unwrap();
    must("setfacl", &["-m", "u:1000:rwx", to.to_str().unwrap()]);
    must("setfacl", &["-m", "u:1000:r-x", from.to_str().unwrap()]);
    // The mode follows the ACL, whether it is kept or not.
    let preserve = Preserve::default().without(Attributes::MODE);
    let job = || CopyJob::new(sandbox.path("src"), sandbox.path("dst"));
    assert_complete(&run(job().preserve(preserve)));
    assert_eq!(sandbox.read("dst/tool"), b"good");
    let again = run(job().preserve(preserve));
    assert_eq!((again.totals.files_copied, again.totals.unchanged), (0, 1), "it converged");
    set_mode(&from, 0o4755);
    assert_complete(&sandbox.copy());
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));

    // Where it is not kept its mask does not become the group's rights, whatever the mode says.
    let sandbox = planted();
    let [from, to] = ["src/tool", "dst/tool"].map(|name| sandbox.path(name));
    chown(&to, Some(0), Some(0)).unwrap();
    set_mode(&to, 0o664);
    must("setfacl", &["-m", "u:1000:rwx,g::r-x", from.to_str().unwrap()]);
    let preserve = Preserve::default().without(Attributes::ACL);
    let job = || CopyJob::new(sandbox.path("src"), sandbox.path("dst")).preserve(preserve);
    assert_complete(&run(job()));
    assert_eq!(sandbox.read("dst/tool"), b"good");
    assert_eq!(run(job()).totals.files_copied, 0, "it converged");
}

#[test]
fn a_strangers_file_gets_no_further_names() {
    if !is_root() {
        return skip("only root can give files away");
    }
    for existing in [Existing::Update, Existing::Skip] {
        for without in [Attributes::empty(), Attributes::OWNERSHIP] {
            let sandbox = planted();
            fs::hard_link(sandbox.path("src/tool"), sandbox.path("src/z")).unwrap();
            let preserve = Preserve::default().without(without);
            let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst")).existing(existing);
            assert_complete(&run(job.preserve(preserve)));
            assert_eq!(sandbox.read("dst/z"), b"good", "{existing:?} {without:?}");
            assert_eq!(fs::metadata(sandbox.path("dst/z")).unwrap().uid(), 0);
        }
    }
}

#[test]
fn a_file_of_roots_in_a_strangers_directory_is_not_given_to_him() {
    if !is_root() {
        return skip("only root can give files away");
    }
    // He has moved it to the name of one of his own, which looks the same by size and time.
    let sandbox = Sandbox::new().opened().file("src/note", b"mine").file("dst/note", b"keys");
    for path in ["src", "src/note", "dst"] {
        chown(sandbox.path(path), Some(STRANGER), Some(STRANGER)).unwrap();
    }
    set_mode(&sandbox.path("dst/note"), 0o600);
    set_times(&sandbox.path("src/note"), 1_000, 0);
    set_times(&sandbox.path("dst/note"), 1_000, 0);
    assert_complete(&sandbox.copy());
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
    assert_eq!(sandbox.read("dst/note"), b"mine");
}

#[test]
fn what_root_wrote_is_given_away_and_gets_rights_in_place() {
    if !is_root() {
        return skip("only root can give files away");
    }
    let sandbox = planted();
    chown(sandbox.path("dst/tool"), Some(0), Some(0)).unwrap();
    chown(sandbox.path("src/tool"), Some(STRANGER), Some(STRANGER)).unwrap();
    let report = sandbox.copy();
    assert_complete(&report);
    assert_eq!((report.totals.files_copied, report.totals.metadata_corrected), (0, 1));
    chown(sandbox.path("src/tool"), Some(0), Some(0)).unwrap();
    assert_complete(&sandbox.copy());
    set_mode(&sandbox.path("src/tool"), 0o4755);
    let report = sandbox.copy();
    assert_eq!((report.totals.files_copied, report.totals.metadata_corrected), (0, 1));
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

/// Copy `src` to `dst` by the command, started by another; what its summary says.
fn copied_under(sandbox: &Sandbox, words: &[&str]) -> String {
    let orbit = orbit();
    let mut command = std::process::Command::new(words[0]);
    command
        .args(&words[1..])
        .arg(orbit.get_program())
        .arg("-T")
        .args([sandbox.path("src"), sandbox.path("dst")]);
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn owners_that_a_user_namespace_does_not_know_are_no_reason_to_copy_again() {
    if !is_root() || !has_program("unshare") {
        return skip("needs root and unshare");
    }
    let namespace = ["unshare", "--user", "--map-root-user"];
    if !std::process::Command::new(namespace[0]).args(&namespace[1..]).arg("true").status().unwrap().success()
    {
        return skip("no user namespaces here");
    }
    let sandbox = Sandbox::new().opened().dir("src");
    for (name, mode) in
        [("plain", 0o644), ("open", 0o666), ("uid", 0o4755), ("gid", 0o2775), ("both", 0o6755)]
    {
        for owner in [0, STRANGER] {
            let path = sandbox.path("src").join(format!("{name}-{owner}"));
            fs::write(&path, name).unwrap();
            chown(&path, Some(owner), Some(owner)).unwrap();
            set_mode(&path, mode);
        }
    }
    set_xattr(&sandbox.path("src/plain-1000"), CAPABILITY, &NET_RAW);
    copied_under(&sandbox, &namespace);
    let inodes = || {
        let listing = fs::read_dir(sandbox.path("dst")).unwrap();
        let mut inodes: Vec<_> = listing.map(|entry| entry.unwrap().metadata().unwrap().ino()).collect();
        inodes.sort_unstable();
        inodes
    };
    let before = inodes();
    let said = copied_under(&sandbox, &namespace);
    assert!(said.contains("0 files copied") && said.contains("10 unchanged"), "{said}");
    assert_eq!(inodes(), before, "nothing is replaced");
    assert!(said.contains("owner"), "what is lost is said again: {said}");
    // Who may give files away makes it right, in place of none of a stranger's.
    let said = copied_under(&sandbox, &["env"]);
    assert!(!said.contains("warning"), "{said}");
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn root_without_the_right_to_pass_modes_by_is_not_taken_for_privileged() {
    if !is_root() || !has_program("setpriv") {
        return skip("needs root and setpriv");
    }
    let sandbox = Sandbox::new().file("src/sub/fixed", b"fixed").file("dst/sub/other", b"there");
    set_mode(&sandbox.path("src/sub/fixed"), 0o444);
    set_xattr(&sandbox.path("src/sub/fixed"), "user.note", b"kept");
    set_mode(&sandbox.path("src/sub"), 0o555);
    set_mode(&sandbox.path("dst/sub"), 0o555);
    let bounded = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let said = copied_under(&sandbox, &bounded);
    assert!(!said.contains("warning"), "{said}");
    assert_eq!(xattr(&sandbox.path("dst/sub/fixed"), "user.note").unwrap(), b"kept");
    assert_eq!(fs::metadata(sandbox.path("dst/sub")).unwrap().mode() & 0o7777, 0o555);
}

#[test]
fn root_that_could_not_finish_what_it_gives_away_keeps_it() {
    if !is_root() || !has_program("setpriv") {
        return skip("needs root and setpriv");
    }
    let sandbox = Sandbox::new().file("src/file", b"content").file("src/sub/file", b"content");
    for name in ["src/file", "src/sub", "src/sub/file"] {
        chown(sandbox.path(name), Some(STRANGER), Some(STRANGER)).unwrap();
        set_times(&sandbox.path(name), 1_000, 0);
    }
    let said = copied_under(&sandbox, &["setpriv", "--bounding-set=-fowner"]);
    assert_eq!(said.matches("warning").count(), 1, "{said}");
    assert!(said.contains("owner or group not kept"), "{said}");
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Owner, Aspect::Atime]);
    let again = copied_under(&sandbox, &["setpriv", "--bounding-set=-fowner"]);
    assert!(again.contains("0 files copied") && again.contains("owner or group not kept"), "{again}");
    // Who may do more makes it good.
    assert_complete(&sandbox.copy());
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
}
