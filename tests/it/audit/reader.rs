//! `orbit report` on what it is given, whatever that is.

use std::{
    fs::File,
    io::Write,
    process::{Command, Output, Stdio},
    thread,
};

use serde_json::Value;

use super::{finished, logged};
use crate::support::{Sandbox, orbit, stderr};

/// What a command says to what `write` gives it.
fn piped(mut command: Command, write: impl FnOnce(&mut dyn Write) + Send + 'static) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = std::io::BufWriter::new(child.stdin.take().unwrap());
    let writer = thread::spawn(move || write(&mut input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

#[test]
fn a_log_can_come_from_standard_input() {
    let sandbox = Sandbox::new().file("src/a", b"a");
    assert_eq!(finished(logged(&sandbox, &[])).0, Some(0));
    let log = File::open(sandbox.path("log")).unwrap();
    let from_stdin = orbit().args(["report", "--json", "-"]).stdin(log).output().unwrap();
    let from_file = orbit().args(["report", "--json"]).arg(sandbox.path("log")).output().unwrap();
    assert!(from_stdin.status.success(), "{}", stderr(&from_stdin));
    assert_eq!(from_stdin.stdout, from_file.stdout);
}

#[test]
fn what_is_no_log_is_told_and_fails() {
    for (content, why) in [
        (&b""[..], "is empty"),
        (b"hello\n", "the line that begins it is missing"),
        (b"{\"type\":\"entry\"}\n", "the line that begins it is missing"),
        (&[0; 5000], "it was cut off"),
    ] {
        let mut report = orbit();
        report.args(["report", "-"]);
        let output = piped(report, move |input| input.write_all(content).unwrap());
        assert_eq!(output.status.code(), Some(1), "{content:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
        assert!(said.contains(why), "{said}");
    }
    let missing = orbit().args(["report", "/nowhere/log"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("cannot open /nowhere/log"), "{}", stderr(&missing));
}

#[test]
fn names_in_a_log_do_not_reach_the_terminal_raw() {
    let mut report = orbit();
    report.args(["report", "-"]);
    let output = piped(report, |input| {
        let escape = r"\u001b]0;owned\u0007";
        writeln!(input, r#"{{"orbit_log":1,"type":"begin","run":"r","time":"{escape}","destination":{{"path":"{escape}"}}}}"#).unwrap();
        writeln!(input, r#"{{"type":"failure","op":"{escape}","cause":"{escape}","path":"{escape}"}}"#)
            .unwrap();
        writeln!(
            input,
            r#"{{"type":"entry","action":"{escape}","kind":"file","path":"{escape}","seconds":1}}"#
        )
        .unwrap();
        writeln!(input, r#"{{"type":"end","run":"r","report":{{"stopped":"{escape}"}}}}"#).unwrap();
    });
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("owned"), "{text}");
    assert!(!text.contains('\x1b') && !text.contains('\x07'), "{text:?}");
}

#[test]
fn a_million_lines_take_little_memory() {
    const LINES: u64 = 1_000_000;
    let mut report = Command::new("sh");
    // In KiB of address space, of which the program's own is a part.
    report.args(["-c", "ulimit -v 60000 && exec \"$0\" report --json -", env!("CARGO_BIN_EXE_orbit")]);
    let output = piped(report, |input| {
        writeln!(input, r#"{{"orbit_log":1,"type":"begin","run":"r"}}"#).unwrap();
        for number in 0..LINES {
            writeln!(input, r#"{{"action":"created","bytes":10,"kind":"file","methods":[{{"bytes":10,"method":"splice"}}],"path":"some/where/file-{number}","seconds":0.001,"type":"entry"}}"#).unwrap();
        }
        writeln!(input, r#"{{"type":"end","run":"r","exit_status":0,"report":{{}}}}"#).unwrap();
    });
    assert!(output.status.success(), "{}", stderr(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["entries"], &told["bytes"]), (&LINES.into(), &(LINES * 10).into()));
    assert_eq!(told["zero_copy"]["files"], LINES);
}
