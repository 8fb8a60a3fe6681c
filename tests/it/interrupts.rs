//! Signals: the copy stops, and nothing unfinished stays.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::libc;

use crate::support::{Sandbox, has_program, orbit, skip};

/// A source that takes many seconds to copy and no room: a hole, which is written out.
pub fn slow_source(sandbox: &Sandbox) -> &'static [&'static str] {
    fs::create_dir(sandbox.path("src")).unwrap();
    fs::write(sandbox.path("src/small"), b"small").unwrap();
    fs::File::create(sandbox.path("src/zeros")).unwrap().set_len(8 << 30).unwrap();
    &["--sparse=never", "--jobs=1", "src", "dst"]
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Wait until the copy has `bytes`, which it must come to while the command runs.
fn wait_for(child: &mut Child, copy: &Path, bytes: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::metadata(copy).map_or(0, |meta| std::os::unix::fs::MetadataExt::blocks(&meta) * 512) < bytes {
        assert!(Instant::now() < deadline, "the copy does not grow");
        assert!(child.try_wait().unwrap().is_none(), "the command ended");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether this process ignores SIGHUP, and so what it starts: it was itself started so, by `nohup` say.
fn ignores_hangups() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or("0").trim();
    u64::from_str_radix(ignored, 16).unwrap() & 1 == 1
}

pub fn assert_only_whole_files(sandbox: &Sandbox) {
    let mut left: Vec<_> =
        fs::read_dir(sandbox.path("dst")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.retain(|name| name != "small");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_signal_ends_the_copy_leaves_nothing_unfinished_and_ends_the_process() {
    for (name, number) in [("INT", libc::SIGINT), ("TERM", libc::SIGTERM), ("HUP", libc::SIGHUP)] {
        if name == "HUP" && ignores_hangups() {
            continue; // as below
        }
        let sandbox = Sandbox::new();
        let arguments = slow_source(&sandbox);
        let mut command = orbit();
        command.args(arguments).arg("--json").current_dir(sandbox.path(""));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(&mut child, &sandbox.path("dst/zeros"), 4 << 20);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(number), "{name}");
        let said = String::from_utf8(output.stderr).unwrap();
        // What was begun is neither done nor untried; which that is depends on the order of a listing.
        let (begun, rest) = said.split_once('\n').unwrap();
        assert_eq!(begun, "orbit: interrupted, removing what is unfinished", "{name}");
        assert!(rest.starts_with("orbit: interrupted; ") && rest.lines().count() == 1, "{name}: {said}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["cancelled"], true);
        assert_eq!(report["exit_status"], 128 + number);
        assert!(report["not_tried"]["entries"].is_u64());
        assert_eq!(report["complete"], false);
        assert_eq!(report["totals"]["failed"], 0, "what is left undone did not fail");
        assert_only_whole_files(&sandbox);
    }
}

#[test]
fn a_hangup_that_is_ignored_stays_ignored() {
    let sandbox = Sandbox::new();
    let arguments = slow_source(&sandbox);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(orbit().get_program()).args(arguments);
    let mut child =
        command.current_dir(sandbox.path("")).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let copy = sandbox.path("dst/zeros");
    wait_for(&mut child, &copy, 1 << 20);
    signal(&child, "HUP");
    let now = fs::metadata(&copy).unwrap().len();
    wait_for(&mut child, &copy, now + (32 << 20));
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
    assert_only_whole_files(&sandbox);
}

#[test]
fn a_second_signal_ends_the_command_at_once() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let sandbox = Sandbox::new();
    let arguments = slow_source(&sandbox);
    // Removing begins and then takes seconds. With -D the command is our child, and strace is not.
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qq", "-o", "log", "-e", "trace=unlinkat"]);
    strace.args(["-e", "inject=unlinkat:delay_enter=4000000"]).arg(orbit().get_program()).args(arguments);
    let mut child =
        strace.current_dir(sandbox.path("")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let copy = sandbox.path("dst/zeros");
    wait_for(&mut child, &copy, 1 << 20);
    let started = Instant::now();
    signal(&child, "TERM");
    while !fs::read_to_string(sandbox.path("log")).is_ok_and(|log| log.contains("unlinkat(")) {
        assert!(started.elapsed() < Duration::from_secs(30), "nothing is removed");
        thread::sleep(Duration::from_millis(2));
    }
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGINT));
    assert!(copy.exists(), "it waited for the removal");
}

#[test]
fn two_signals_of_a_kind_are_one_wish() {
    let sandbox = Sandbox::new();
    let arguments = slow_source(&sandbox);
    let mut command = orbit();
    command.args(arguments).current_dir(sandbox.path("")).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    wait_for(&mut child, &sandbox.path("dst/zeros"), 1 << 20);
    let twice = format!("kill -s TERM {0}; kill -s TERM {0}", child.id());
    assert!(Command::new("sh").args(["-c", &twice]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGTERM));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("interrupted; until then, "));
    assert_only_whole_files(&sandbox);
}

#[test]
fn whoever_waits_for_a_pipe_can_be_ended() {
    let sandbox = Sandbox::new().file("src/a", b"a");
    nix::unistd::mkfifo(&sandbox.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for arguments in [
        &["--log", "pipe", "-T", "src", "dst"][..],
        &["--manifest", "pipe", "-T", "src", "dst"],
        &["--exclude-from", "pipe", "-T", "src", "dst"],
        &["--files-from", "pipe", "-T", "src", "dst"],
        &["--files-from", "-", "-T", "src", "dst"],
        &["verify", "--manifest", "pipe", "src"],
        &["verify", "--exclude-from", "pipe", "src", "src"],
        &["report", "pipe"],
        &["report", "-"],
    ] {
        let mut command = orbit();
        command.args(arguments).current_dir(sandbox.path("")).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        // It waits where it opens the pipe, or reads from it; the first signal ends it wherever it is.
        thread::sleep(Duration::from_millis(100));
        assert!(child.try_wait().unwrap().is_none(), "{arguments:?} does not wait");
        signal(&child, "TERM");
        while child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(30), "{arguments:?} cannot be ended");
            thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM), "{arguments:?}");
        assert!(!sandbox.path("dst").exists(), "{arguments:?}");
    }
}

#[test]
fn a_reader_who_does_not_read_keeps_nobody_from_ending() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("src")).unwrap();
    for number in 0..5_000 {
        fs::write(sandbox.path("src").join(number.to_string()), b"1").unwrap();
    }
    for arguments in [&["--itemize", "-T", "src", "dst"][..], &["--log", "/dev/stdout", "-T", "src", "dst"]] {
        let mut command = orbit();
        command.args(arguments).current_dir(sandbox.path("")).stderr(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let unread = child.stdout.take();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !sandbox.path("dst/0").exists() && !sandbox.path("dst/999").exists() {
            assert!(Instant::now() < deadline, "nothing is copied");
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(Duration::from_millis(300)); // the pipe fills
        signal(&child, "TERM");
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "{arguments:?} cannot be ended");
            thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM), "{arguments:?}");
        drop(unread);
        fs::remove_dir_all(sandbox.path("dst")).unwrap();
    }
}
