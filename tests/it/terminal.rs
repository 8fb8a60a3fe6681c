//! Progress, on a terminal.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    interrupts::{assert_only_whole_files, slow_source},
    support::{Sandbox, has_program, orbit, skip},
};

/// The command on a terminal of its own, which it takes for a person's.
fn on_terminal(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let line = [&[orbit().get_program().to_str().unwrap()], arguments].concat().join(" ");
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &line, "/dev/null"]).env("TERM", "xterm").current_dir(sandbox.path(""));
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    script
}

#[test]
fn progress_moves_during_one_large_file_and_control_c_ends_it() {
    if !has_program("script") {
        return skip("script is not installed");
    }
    let sandbox = Sandbox::new();
    let mut child = on_terminal(&sandbox, slow_source(&sandbox)).spawn().unwrap();
    let mut terminal = child.stdout.take().unwrap();
    let mut shown = String::new();
    let mut amounts = BTreeSet::new();
    let mut buffer = [0; 4096];
    while amounts.len() < 3 {
        let read = terminal.read(&mut buffer).unwrap();
        assert!(read > 0, "it ended before progress moved: {shown}");
        shown += &String::from_utf8_lossy(&buffer[..read]);
        // Such as "1.20 GiB of 8.00 GiB, 1 of 3 entries, 1.05 GiB/s, 7s left".
        for (before, _) in shown.match_indices(" of 8.00 GiB, ").map(|(at, _)| shown.split_at(at)) {
            amounts.insert(before.rsplit(' ').nth(1).unwrap_or_default().to_owned());
        }
    }
    child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    terminal.read_to_string(&mut shown).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{shown}");
    assert!(shown.contains("dst/zeros"), "what is being copied: {shown}");
    assert!(shown.contains("1 of 3 entries"), "{shown}");
    assert!(shown.contains(" left"), "{shown}");
    assert!(shown.contains("interrupted; until then, "), "{shown}");
    assert_only_whole_files(&sandbox);
}

#[test]
fn a_terminal_that_goes_away_ends_no_copy_that_hangups_do_not_end() {
    if !has_program("script") {
        return skip("script is not installed");
    }
    for options in ["", "--itemize", "-v"] {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("src")).unwrap();
        for number in 0..200 {
            fs::write(sandbox.path("src").join(number.to_string()), vec![1; 100_000]).unwrap();
        }
        let orbit = orbit().get_program().to_str().unwrap().to_owned();
        // As nohup does for who leaves, but with the terminal as it is.
        let line = format!(
            "trap '' HUP; {orbit} {options} --bwlimit 15M -T src dst; echo $? >status.new; mv status.new status"
        );
        let mut script = Command::new("script");
        script.args(["-q", "-c", &line, "/dev/null"]).env("TERM", "xterm").current_dir(sandbox.path(""));
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut terminal = child.stdout.take().unwrap();
        let (mut shown, mut buffer) = (String::new(), [0; 4096]);
        while !shown.contains(" entries") {
            let read = terminal.read(&mut buffer).unwrap();
            assert!(read > 0, "{options}: it ended before progress was shown: {shown}");
            shown += &String::from_utf8_lossy(&buffer[..read]);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !sandbox.path("status").exists() {
            assert!(Instant::now() < deadline, "{options}: it does not end");
            thread::sleep(Duration::from_millis(5));
        }
        // What standard output does not take is an output that cannot be written.
        assert_eq!(sandbox.read("status"), b"1\n", "{options}");
        let copied = fs::read_dir(sandbox.path("dst")).unwrap().count();
        assert_eq!(copied, 200, "{options}");
    }
}

#[test]
fn nothing_of_progress_shows_where_it_is_not_wanted() {
    if !has_program("script") {
        return skip("script is not installed");
    }
    for option in ["-q", "--progress=never"] {
        let sandbox = Sandbox::new();
        // Long enough a copy for a display to have come.
        fs::create_dir(sandbox.path("src")).unwrap();
        fs::File::create(sandbox.path("src/zeros")).unwrap().set_len(512 << 20).unwrap();
        let arguments = [option, "--sparse=never", "src", "dst"];
        let output = on_terminal(&sandbox, &arguments).output().unwrap();
        assert!(output.status.success());
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!shown.contains('\x1b'), "{option}: {shown:?}");
        assert!(!shown.contains(" entries"), "{option}: {shown:?}");
    }
}
