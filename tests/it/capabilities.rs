//! What `orbit capabilities` and `Capabilities::probe` answer, and what they leave behind.

use std::{fs, process::Command};

use orbit::{Ability, Capabilities, Method};
use serde_json::Value;

use crate::support::{Filesystem, Mount, Sandbox, has_program, orbit, skip, stderr};

fn probe(source: impl AsRef<std::path::Path>, destination: impl AsRef<std::path::Path>) -> Capabilities {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(Capabilities::probe(source, destination)).unwrap()
}

/// The command's answer as JSON, under strace with these injections, if any.
fn answered(sandbox: &Sandbox, injection: Option<&str>) -> Value {
    let log = Sandbox::new();
    let mut command = match injection {
        Some(inject) => {
            let mut strace = Command::new("strace");
            let inject = format!("inject={inject}");
            strace.args(["-f", "-qq", "-e", &inject, "-o"]).arg(log.path("log")).arg(orbit().get_program());
            strace
        }
        None => orbit(),
    };
    let output = command.args(["capabilities", "--json"]).arg(sandbox.path("")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    if injection.is_some() {
        let log = fs::read_to_string(log.path("log")).unwrap();
        assert!(log.contains("(INJECTED)"), "{log}");
    }
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ladder(answer: &Value) -> Vec<String> {
    let medium = &answer["ladders"][1]["methods"];
    medium.as_array().unwrap().iter().map(|method| method.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_answer_is_printed_as_the_founding_document_shows() {
    let sandbox = Sandbox::new();
    let output = orbit().arg("capabilities").arg(sandbox.path("")).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.starts_with("Zero-Copy Support:\n  Available: ✓ Yes\n"), "{shown}");
    for line in ["reflink: ", "copy_file_range: ", "io_uring: ", "O_DIRECT: ", "Jobs: ", "File of 1 MiB: "] {
        assert!(shown.contains(&format!("\n  {line}")), "{line} is not in {shown}");
    }
    let documented = include_str!("../../docs/json.md");
    for key in answered(&sandbox, None).as_object().unwrap().keys() {
        assert!(documented.contains(&format!("`{key}`")), "docs/json.md lacks {key}");
    }
}

#[test]
fn a_call_that_the_kernel_refuses_is_answered_so_and_leaves_the_ladder() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let sandbox = Sandbox::new();
    let usual = answered(&sandbox, None);
    assert_eq!(usual["between"]["copy_file_range"]["works"], true, "{usual}");
    assert!(ladder(&usual).contains(&"copy_file_range".to_owned()));
    for (error, reason) in [("ENOSYS", "Function not implemented"), ("EXDEV", "Invalid cross-device link")] {
        let answer = answered(&sandbox, Some(&format!("copy_file_range:error={error}")));
        let copies = &answer["between"]["copy_file_range"];
        assert_eq!(copies["works"], false, "{copies}");
        assert_eq!(copies["reason"], reason);
        assert_eq!(answer["zero_copy"]["available"], true, "sendfile is left");
        assert!(!ladder(&answer).contains(&"copy_file_range".to_owned()), "{answer}");
    }
    let nothing = "ioctl,copy_file_range,sendfile,splice:error=EOPNOTSUPP";
    let answer = answered(&sandbox, Some(nothing));
    assert_eq!(answer["zero_copy"]["available"], false);
    assert_eq!(ladder(&answer), ["buffered"]);
}

#[test]
fn newer_calls_may_be_missing() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let sandbox = Sandbox::new();
    let answer = answered(&sandbox, Some("openat2,io_uring_setup:error=ENOSYS"));
    assert_eq!(answer["conveniences"]["openat2"]["works"], false);
    if cfg!(feature = "uring") {
        assert_eq!(answer["conveniences"]["io_uring"]["works"], false);
    }
    // Direct I/O is then found out by doing it.
    let asked = answered(&sandbox, None);
    let tried = answered(&sandbox, Some("statx:error=ENOSYS"));
    assert_eq!(tried["conveniences"]["direct_io"]["works"], asked["conveniences"]["direct_io"]["works"]);
    let unentered = answered(&sandbox, Some("io_uring_enter:error=EPERM"));
    assert_eq!(unentered["conveniences"]["io_uring"]["works"], false, "{unentered}");
}

#[test]
fn a_probe_leaves_nothing_behind_and_the_source_alone() {
    let sandbox = Sandbox::new().file("src/a", &[7; 200_000]).dir("dst");
    let stamps = |path: &str| {
        let meta = fs::metadata(sandbox.path(path)).unwrap();
        (meta.modified().unwrap(), meta.accessed().unwrap())
    };
    let before = ["src/a", "src", "dst"].map(stamps);
    probe(sandbox.path("src"), sandbox.path("dst"));
    probe(sandbox.path("src/a"), sandbox.path("dst/new"));
    assert_eq!(["src/a", "src", "dst"].map(stamps), before);
    assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), 0);
}

#[test]
fn filesystems_answer_as_they_are() {
    let (Some(xfs), Some(plain), Some(tmpfs)) = (
        Mount::new(Filesystem::Xfs, 320),
        Mount::new(Filesystem::XfsPlain, 320),
        Mount::new(Filesystem::Tmpfs, 16),
    ) else {
        return;
    };
    let shares = probe(xfs.path(), xfs.path());
    assert!(shares.same_filesystem);
    assert_eq!(shares.between.reflink, Ability::Yes);
    assert_eq!(shares.source.name.as_deref(), Some("xfs"));
    assert_eq!(shares.keeps.holes, Ability::Yes);
    assert_eq!(shares.keeps.time_step, Some(std::time::Duration::from_nanos(1)));
    assert_eq!(shares.ladders[2].methods[0], Method::Reflink);

    let copies = probe(plain.path(), plain.path());
    assert!(matches!(copies.between.reflink, Ability::No(_)), "{:?}", copies.between.reflink);
    assert!(!copies.ladders[2].methods.contains(&Method::Reflink));

    let blind = probe(plain.path(), xfs.path());
    assert!(!blind.same_filesystem);
    assert!(matches!(blind.between.reflink, Ability::Unknown(_)), "an empty source has nothing to try");
    assert!(matches!(blind.zero_copy(), Ability::Unknown(_)));
    assert_eq!(blind.within.reflink, Ability::Yes);

    fs::create_dir_all(plain.path().join("deep/er")).unwrap();
    fs::write(plain.path().join("deep/er/file"), b"content").unwrap();
    let across = probe(plain.path(), xfs.path());
    assert!(matches!(across.between.reflink, Ability::No(_)), "{:?}", across.between.reflink);
    assert_eq!(across.between.sendfile, Ability::Yes);

    let memory = probe(tmpfs.path(), tmpfs.path());
    assert_eq!(memory.destination.name.as_deref(), Some("tmpfs"));
    assert!(matches!(memory.between.reflink, Ability::No(_)));
}

#[test]
fn a_place_that_is_not_there_is_a_failure() {
    let sandbox = Sandbox::new();
    let output =
        orbit().args(["capabilities", "missing", "."]).current_dir(sandbox.path("")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "orbit: cannot stat missing: No such file or directory\n");
}
