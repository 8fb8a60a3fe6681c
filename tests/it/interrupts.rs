//! Signals: the copy stops, and nothing unfinished stays.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

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
fn a_signal_ends_the_copy_with_130_and_leaves_nothing_unfinished() {
    for name in ["INT", "TERM", "HUP"] {
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
        assert_eq!(output.status.code(), Some(130), "{name}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "orbit: interrupted, removing what is unfinished\n", "{name}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["cancelled"], true);
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
    assert_eq!(child.wait().unwrap().code(), Some(130));
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
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(copy.exists(), "it waited for the removal");
}
