//! Exit statuses, and what is said of runs that end early or cannot begin.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::support::{Filesystem, Mount, Sandbox, has_program, is_root, orbit, skip, stderr};

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    orbit().args(arguments).current_dir(sandbox.path("")).output().unwrap()
}

#[test]
fn a_full_destination_stops_the_copy_with_3_and_the_rest_is_counted() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 1) else { return };
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("src")).unwrap();
    for number in 0..9 {
        fs::write(sandbox.path("src").join(number.to_string()), vec![1; 900_000]).unwrap();
    }
    let to = mount.path().join("dst");
    for options in [&["-q"][..], &[], &["-q", "--json"]] {
        let mut command = orbit();
        let output = command.args(options).args(["-j1", "-T", "src"]).arg(&to).current_dir(sandbox.path(""));
        let output = output.output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{options:?}");
        let said = stderr(&output);
        let last = said.lines().last().unwrap();
        assert!(last.starts_with("orbit: stopped: the destination is full: "), "{options:?}: {said}");
        assert!(last.ends_with("; 7 entries were not tried"), "{options:?}: {said}");
        if options.contains(&"--json") {
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(report["exit_status"], 3);
            assert_eq!(report["not_tried"], serde_json::json!({ "entries": 7, "at_least": false }));
        }
        fs::remove_dir_all(&to).unwrap();
    }
}

#[test]
fn too_many_failures_stop_the_copy_with_3() {
    let sandbox = Sandbox::new().file("src/a", b"1").file("src/b", b"1");
    let sandbox = sandbox.file("dst/a", b"old").file("dst/b", b"old");
    let output = run(&sandbox, &["-q", "-j1", "--existing=fail", "--max-errors=1", "-T", "src", "dst"]);
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    assert!(said.ends_with("as many as --max-errors allows; 1 entry was not tried\n"), "{said}");
}

#[test]
fn what_was_never_listed_is_not_said_to_be_nothing() {
    let sandbox = Sandbox::new().file("src/d/a", b"1").file("src/d/b", b"1").file("dst/d", b"in the way");
    let output = run(&sandbox, &["-q", "--max-errors=1", "-T", "src", "dst"]);
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    assert!(said.ends_with("; how much was not tried is not known\n"), "{said}");
}

/// Copy what is in `src`, of which the file that is listed last vanishes when the copy has begun.
fn while_one_vanishes(sandbox: &Sandbox, options: &[&str]) -> Output {
    for number in 0..300 {
        fs::write(sandbox.path("src").join(number.to_string()), b"1").unwrap();
    }
    let listed: Vec<_> =
        fs::read_dir(sandbox.path("src")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut command = orbit();
    command.args(options).args(["-j1", "--iops-limit=150", "-T", "src", "dst"]).current_dir(sandbox.path(""));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !sandbox.path("dst").join(listed[0].file_name().unwrap()).exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before anything was copied");
        thread::sleep(Duration::from_millis(2));
    }
    fs::remove_file(listed.last().unwrap()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn what_vanished_meanwhile_is_4_and_what_was_never_there_is_1() {
    let sandbox = Sandbox::new().dir("src").file("list", b"never\nstays\n");
    let output = while_one_vanishes(&sandbox, &["--json"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["exit_status"], 4);
    assert_eq!(report["totals"]["failed"], 1);
    assert_eq!(report["failures"][0]["source_changed"], true);
    assert_eq!(report["failures"][0]["side"], "source");
    // Beside another failure it is one of two.
    fs::remove_dir_all(sandbox.path("dst")).unwrap();
    let sandbox = sandbox.file("src/stays", b"1").dir("dst/stays");
    let output = while_one_vanishes(&sandbox, &["-q"]);
    assert_eq!((output.status.code(), stderr(&output).lines().count()), (Some(1), 2), "{}", stderr(&output));
    assert_eq!(run(&sandbox, &["-q", "-T", "nowhere", "new"]).status.code(), Some(1));
    let listed = run(&sandbox, &["-q", "--files-from", "list", "-T", "src", "listed"]);
    assert_eq!(listed.status.code(), Some(1), "{}", stderr(&listed));
}

#[test]
fn statuses_are_in_the_help_and_the_documents() {
    let help = String::from_utf8(orbit().arg("--help").output().unwrap().stdout).unwrap();
    let semantics = include_str!("../../docs/semantics.md");
    let json = include_str!("../../docs/json.md");
    let readme = include_str!("../../README.md");
    for text in [help.as_str(), semantics, json, readme] {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in ["stopped early", "vanished"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("130 when") && !text.contains("130 interrupted"), "{text}");
    }
}

#[test]
fn what_cannot_be_logged_as_was_asked_is_wrong_usage() {
    let sandbox = Sandbox::new().file("a/f", b"1").file("b/f", b"1");
    for arguments in [&["-T", "a", "c"][..], &["verify", "a", "b"]] {
        let mut command = orbit();
        let output = command.env("ORBIT_LOG", "[[").args(arguments).current_dir(sandbox.path("")).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("ORBIT_LOG") && !sandbox.path("c").exists(), "{}", stderr(&output));
    }
}

#[test]
fn without_threads_every_command_says_so_and_ends() {
    if !is_root() || !has_program("prlimit") {
        return skip("it needs root to become another user, and prlimit");
    }
    let sandbox = Sandbox::new().file("a/f", b"1").file("b/f", b"1");
    for path in ["", "a", "b"] {
        fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::copy(orbit().get_program(), sandbox.path("orbit")).unwrap();
    for (arguments, status) in [
        (&["verify", "a", "b"][..], 2),
        (&["-T", "a", "c"], 3),
        (&["--preflight", "-T", "a", "c"], 3),
        (&["--delete=before", "-T", "a", "c"], 3),
        (&["--itemize", "--log", "log", "-T", "a", "c"], 3),
        (&["capabilities", "a"], 1),
    ] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=4321", "--regid=4321", "--clear-groups", "prlimit", "--nproc=1", "./orbit"]);
        let output = ended(command.args(arguments).current_dir(sandbox.path("")));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        assert!(
            said.starts_with("orbit: ") && said.contains("no thread can be had"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn with_few_descriptors_every_command_says_so_and_ends() {
    if !has_program("prlimit") {
        return skip("prlimit is not installed");
    }
    let sandbox = Sandbox::new().file("a/f", b"1").file("b/f", b"1");
    for limit in 4..24 {
        // With three, not even the program can be loaded.
        for arguments in
            [&["verify", "a", "b"][..], &["-T", "a", "c"], &["capabilities", "a"], &["report", "a/f"]]
        {
            let mut command = Command::new("prlimit");
            command.arg(format!("--nofile={limit}:{limit}")).arg(orbit().get_program()).args(arguments);
            let output = ended(command.current_dir(sandbox.path("")));
            let said = stderr(&output);
            assert!(output.status.code().is_some_and(|code| code <= 4), "{limit} {arguments:?}: {output:?}");
            assert!(!said.contains("panicked"), "{limit} {arguments:?}: {said}");
            let is_silent = said.is_empty() && !output.status.success() && arguments[0] == "-T";
            assert!(!is_silent, "{limit} {arguments:?}");
        }
        let _ = fs::remove_dir_all(sandbox.path("c"));
    }
}

/// The output of a command, which must come to its end.
fn ended(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > patience {
            child.kill().unwrap();
            panic!("it hangs: {command:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}
