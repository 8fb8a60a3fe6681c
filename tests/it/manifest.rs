//! Manifests of copies, as the tools that check them see it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::support::{Filesystem, Mount, Sandbox, has_program, orbit, skip, stderr};

fn awkward() -> Sandbox {
    let sandbox = Sandbox::new()
        .file("src/a", b"a")
        .file("src/empty", b"")
        .file("src/dir/with space", b"space")
        .file("src/dir/back\\slash", b"backslash")
        .file("src/dir/line\nfeed", b"line feed")
        .file("src/dir/*star", b"star")
        .file("src/large", &vec![7; 9 << 20])
        .symlink("a", "src/symlink");
    fs::hard_link(sandbox.path("src/a"), sandbox.path("src/dir/linked")).unwrap();
    sandbox
}

fn copy(sandbox: &Sandbox, arguments: &[&str], to: &Path) -> Output {
    let mut command = orbit();
    command.args(arguments).arg("--manifest").arg(to);
    command.args(["-T".as_ref(), sandbox.path("src").as_os_str(), sandbox.path("dst").as_os_str()]);
    command.output().unwrap()
}

/// What a checking program says, run in the copy; how many files it found good.
fn checked(program: &str, sandbox: &Sandbox, manifest: &Path) -> usize {
    let mut command = Command::new(program);
    let output = command.arg("-c").arg(manifest).current_dir(sandbox.path("dst")).output().unwrap();
    assert!(
        output.status.success(),
        "{program}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        stderr(&output)
    );
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.ends_with(": OK")).count()
}

#[test]
fn sha256sum_accepts_the_manifest_of_a_copy_and_of_an_unchanged_one() {
    let sandbox = awkward();
    let manifest = sandbox.path("SHA256SUMS");
    for _ in 0..2 {
        let output = copy(&sandbox, &[], &manifest);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(checked("sha256sum", &sandbox, &manifest), 8);
        fs::write(sandbox.path("dst/dir/with space"), b"SPACE").unwrap();
        let bad =
            Command::new("sha256sum").arg("-c").arg(&manifest).current_dir(sandbox.path("dst")).output();
        assert!(!bad.unwrap().status.success());
    }
}

#[test]
fn b3sum_accepts_the_manifest_of_a_copy_by_blake3() {
    if !has_program("b3sum") {
        return skip("b3sum is not installed");
    }
    let sandbox = awkward();
    let manifest = sandbox.path("dst-b3");
    let output = copy(&sandbox, &["--verify=blake3"], &manifest);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(checked("b3sum", &sandbox, &manifest), 8);
}

#[test]
fn a_file_that_is_copied_alone_has_its_name_in_the_manifest() {
    let sandbox = Sandbox::new().file("src", b"content").dir("dst");
    let manifest = sandbox.path("sums");
    let mut command = orbit();
    command.arg("--manifest").arg(&manifest).arg(sandbox.path("src")).arg(sandbox.path("dst"));
    assert!(command.output().unwrap().status.success());
    assert_eq!(checked("sha256sum", &sandbox, &manifest), 1);
}

#[test]
fn a_manifest_may_lie_in_the_copy_but_not_in_place_of_a_file_of_it() {
    let sandbox = Sandbox::new().file("src/a", b"a");
    let output = copy(&sandbox, &[], &sandbox.path("dst/SHA256SUMS"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(checked("sha256sum", &sandbox, &sandbox.path("dst/SHA256SUMS")), 1);
    let output = copy(&sandbox, &[], &sandbox.path("dst/a"));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is a file of the copy"), "{}", stderr(&output));
    assert_eq!(sandbox.read("dst/a"), b"a");
}

#[test]
fn a_manifest_that_cannot_be_written_is_said_and_fails_the_command() {
    let sandbox = Sandbox::new().file("src/a", b"a");
    let output = copy(&sandbox, &[], &sandbox.path("missing/sums"));
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.starts_with("orbit: cannot write the manifest ") && said.lines().count() == 1, "{said}");
    assert!(!sandbox.path("dst").exists(), "its place is tried before anything is copied");
    // One that the copy makes is there in the end.
    let output = copy(&sandbox, &[], &sandbox.path("dst/sums"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(checked("sha256sum", &sandbox, &sandbox.path("dst/sums")), 1);
    let output = copy(&sandbox, &[], &sandbox.path("src"));
    assert_eq!(output.status.code(), Some(1), "a directory");
}

#[test]
fn a_manifest_waits_beside_its_place_and_not_in_the_directory_of_temporary_files() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 1) else { return };
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("src")).unwrap();
    for number in 0..3_000 {
        fs::write(sandbox.path("src").join(number.to_string()), b"").unwrap();
    }
    fs::write(mount.path().join("filler"), vec![1; 2 << 20]).unwrap_err();
    let copy_to = |manifest: &Path| {
        let mut command = orbit();
        command.env("TMPDIR", mount.path()).arg("--manifest").arg(manifest).arg("-T");
        command.args([sandbox.path("src"), sandbox.path("dst")]).output().unwrap()
    };
    let output = copy_to(&sandbox.path("sums"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(checked("sha256sum", &sandbox, &sandbox.path("sums")), 3_000);
    // Where its own disk is full that is said, and everything is copied all the same.
    fs::remove_dir_all(sandbox.path("dst")).unwrap();
    let output = copy_to(&mount.path().join("sums"));
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("cannot write the manifest ") && said.contains("No space left"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), 3_000);
    assert_eq!(fs::read_dir(mount.path()).unwrap().count(), 1, "the filler");
}

#[test]
fn a_manifest_goes_through_pipes_and_links() {
    let sandbox = Sandbox::new().file("src/a", b"a").file("there", b"old").symlink("there", "link");
    let output = copy(&sandbox, &["-q"], Path::new("/dev/stdout"));
    assert!(output.status.success(), "{}", stderr(&output));
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.ends_with("  a\n") && line.len() == 64 + 4, "{line}");
    assert!(copy(&sandbox, &[], &sandbox.path("link")).status.success());
    assert_eq!(sandbox.read("there"), line.as_bytes());
    assert!(sandbox.path("link").is_symlink());
    for (name, to) in [("nowhere", "missing"), ("loop", "loop")] {
        std::os::unix::fs::symlink(to, sandbox.path(name)).unwrap();
        let output = copy(&sandbox, &[], &sandbox.path(name));
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(stderr(&output).contains("symbolic link"), "{name}: {}", stderr(&output));
        assert!(sandbox.path(name).is_symlink() && !sandbox.path(to).is_file(), "{name}");
    }
    let mut command = orbit();
    command.env("TMPDIR", sandbox.path("missing")).args(["--manifest", "/dev/stdout", "-T"]);
    let output = command.args([sandbox.path("src"), sandbox.path("dst")]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("missing (TMPDIR)"), "{}", stderr(&output));
}

#[test]
fn a_dry_run_leaves_the_manifest_that_is_there() {
    let sandbox = Sandbox::new().file("src/a", b"a");
    for (place, before) in [("sums", Some("precious")), ("none", None)] {
        before.into_iter().for_each(|text| fs::write(sandbox.path(place), text).unwrap());
        let output = copy(&sandbox, &["--dry-run"], &sandbox.path(place));
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(fs::read_to_string(sandbox.path(place)).ok().as_deref(), before);
    }
}

#[test]
fn a_run_that_is_stopped_leaves_the_manifest_that_is_there() {
    let sandbox = Sandbox::new().file("src/a", b"a").file("src/dir/b", b"b");
    assert!(copy(&sandbox, &[], &sandbox.path("sums")).status.success());
    let before = sandbox.read("sums");
    assert!(!before.is_empty());
    // In the way of what is to be copied, twice.
    for name in ["a", "dir/b"] {
        fs::remove_file(sandbox.path("dst").join(name)).unwrap();
        fs::create_dir(sandbox.path("dst").join(name)).unwrap();
    }
    let output = copy(&sandbox, &["--max-errors=1"], &sandbox.path("sums"));
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("orbit: stopped: "), "{output:?}");
    assert_eq!(sandbox.read("sums"), before);
}
