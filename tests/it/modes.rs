//! Copies that do not keep the source's mode: what is there keeps its own, what is new gets what cp gives it.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
    process::Command,
};

use crate::support::{
    Sandbox,
    awkward::{ACCESS, DEFAULT, acl, make_node, set_mode, set_xattr, xattr},
    has_program, is_root, must, orbit, skip,
};

const MODES: [u32; 9] = [0o4755, 0o2755, 0o1644, 0o600, 0o640, 0o664, 0o777, 0o400, 0o000];

/// Run a copying command on `src` and `to` under a umask.
fn copied(umask: u32, command: &Command) {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("umask {umask:o}; exec \"$@\""), "sh"]).args(words);
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Every entry's mode and access ACL.
fn modes(dir: &Path) -> Vec<(String, u32, Option<Vec<u8>>)> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, entry.metadata().unwrap().mode() & 0o7777, xattr(&entry.path(), ACCESS))
        })
        .collect();
    found.sort();
    found
}

fn planted() -> Sandbox {
    let sandbox = Sandbox::new().dir("src").dir("by-cp").dir("by-orbit");
    for mode in MODES {
        let file = sandbox.path(format!("src/file-{mode:o}"));
        fs::write(&file, b"new").unwrap();
        set_mode(&file, mode);
        fs::create_dir(sandbox.path(format!("src/dir-{mode:o}"))).unwrap();
        set_mode(&sandbox.path(format!("src/dir-{mode:o}")), mode);
    }
    for mode in [0o600, 0o666] {
        let fifo = sandbox.path(format!("src/fifo-{mode:o}"));
        make_node(&fifo, rustix::fs::FileType::Fifo, 0);
        set_mode(&fifo, mode);
    }
    sandbox
}

#[test]
fn without_the_sources_mode_files_get_what_cp_gives_them() {
    if !is_root() || !has_program("cp") {
        return skip("needs root, who may read every mode, and cp");
    }
    for umask in [0o022, 0o002, 0o077, 0o000] {
        for is_there in [false, true] {
            for inherits in [false, true] {
                let sandbox = planted();
                for to in ["by-cp", "by-orbit"] {
                    let to = sandbox.path(to);
                    for mode in MODES.into_iter().filter(|_| is_there) {
                        fs::write(to.join(format!("file-{mode:o}")), b"older").unwrap();
                        set_mode(&to.join(format!("file-{mode:o}")), 0o604);
                        fs::create_dir(to.join(format!("dir-{mode:o}"))).unwrap();
                        set_mode(&to.join(format!("dir-{mode:o}")), 0o710);
                    }
                    if is_there {
                        // Root's own, before and after: as cp, by whom root writes into the file.
                        set_mode(&to.join("file-600"), 0o4755);
                        set_mode(&to.join("file-640"), 0o2750);
                        set_xattr(&to.join("file-664"), ACCESS, &acl(6, (1000, 6), 4, 6, 0));
                        chown(to.join("file-777"), Some(0), Some(1000)).unwrap();
                        set_mode(&to.join("file-777"), 0o660);
                    }
                    if inherits {
                        set_xattr(&to, DEFAULT, &acl(7, (1001, 7), 5, 7, 0));
                    }
                }
                let mut cp = Command::new("cp");
                cp.args(["-R", "--preserve=timestamps"]);
                cp.args([sandbox.path("src/."), sandbox.path("by-cp")]);
                copied(umask, &cp);
                let mut ours = orbit();
                ours.args(["-q", "-T", "--no-preserve=mode,ownership,acl,xattr"]);
                ours.args([sandbox.path("src"), sandbox.path("by-orbit")]);
                copied(umask, &ours);
                let [mut cps, mut own] = ["by-cp", "by-orbit"].map(|to| modes(&sandbox.path(to)));
                // Of new directories cp keeps the sticky bit too,
                cps.iter_mut()
                    .filter(|(name, ..)| name == "dir-1644")
                    .for_each(|(_, mode, _)| *mode &= 0o777);
                if inherits {
                    // and takes the umask away where a default ACL stands in for it.
                    let is_told = |(name, ..): &(String, u32, Option<Vec<u8>>)| !name.starts_with("dir-");
                    cps.retain(is_told);
                    own.retain(is_told);
                }
                assert_eq!(own, cps, "umask {umask:o}, there: {is_there}, default ACL: {inherits}");
            }
        }
    }
}

#[test]
fn a_replaced_file_lends_its_setuid_to_nobody_elses_content() {
    if !is_root() {
        return skip("only root can give files away");
    }
    for (words, uid) in [("--no-preserve=mode", 1000), ("--no-preserve=mode,ownership", 0)] {
        let sandbox = Sandbox::new().file("src/tool", b"a user's").file("dst/tool", b"root's");
        chown(sandbox.path("src/tool"), Some(1000), Some(1000)).unwrap();
        set_mode(&sandbox.path("dst/tool"), 0o6755);
        let (from, to) = (sandbox.path("src"), sandbox.path("dst"));
        let output = orbit().args(["-q", "-T", words]).args([from, to]).output().unwrap();
        assert!(output.status.success());
        assert_eq!(sandbox.read("dst/tool"), b"a user's");
        let meta = fs::metadata(sandbox.path("dst/tool")).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o755, uid), "{words}");
    }
}

#[test]
fn a_replaced_fifo_keeps_its_mode_too() {
    let sandbox = planted().dir("dst");
    must(
        "cp",
        &["-a", sandbox.path("src/fifo-666").to_str().unwrap(), sandbox.path("dst").to_str().unwrap()],
    );
    set_mode(&sandbox.path("dst/fifo-666"), 0o620);
    let mut command = orbit();
    command.args([
        "-q",
        "-T",
        "--no-preserve=mode",
        "--existing=replace",
        "--include=fifo-666",
        "--exclude=*",
    ]);
    let output = command.args([sandbox.path("src"), sandbox.path("dst")]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::metadata(sandbox.path("dst/fifo-666")).unwrap().mode() & 0o7777, 0o620);
}
