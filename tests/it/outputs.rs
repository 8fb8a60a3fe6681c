//! Outputs that cannot be written, and names that would control a terminal.

use std::{
    fs,
    os::unix::process::CommandExt,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::support::{Sandbox, has_program, orbit, stderr};

const FILES: usize = 3_000;

fn many() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("src")).unwrap();
    for number in 0..FILES {
        fs::write(sandbox.path("src").join(number.to_string()), b"1").unwrap();
    }
    sandbox
}

fn full() -> fs::File {
    fs::OpenOptions::new().write(true).open("/dev/full").unwrap()
}

#[test]
fn an_output_that_cannot_be_written_costs_that_output_and_the_exit_status() {
    let sandbox = many();
    for options in [
        &["--itemize"][..],
        &["--itemize", "--json"],
        &["-v"],
        &["--json"],
        &["-q", "--log", "/dev/full"],
        &["-q", "--manifest", "/dev/full"],
    ] {
        let mut command = orbit();
        command
            .args(options)
            .args(["-T", "src", "dst"])
            .current_dir(sandbox.path(""))
            .env_remove("ORBIT_LOG");
        let output = command.stdout(full()).stderr(Stdio::piped()).output().unwrap();
        let said = stderr(&output);
        let said: Vec<_> = said.lines().filter(|line| line.starts_with("orbit: ")).collect();
        assert_eq!((output.status.code(), said.len()), (Some(1), 1), "{options:?}: {said:?}");
        assert!(said[0].contains("No space left on device"), "{options:?}: {said:?}");
        assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), FILES, "{options:?}");
        fs::remove_dir_all(sandbox.path("dst")).unwrap();
    }
}

#[test]
fn help_that_cannot_be_written_is_said() {
    for arguments in [&["--help"][..], &["-h"], &["--version"], &["verify", "--help"]] {
        let output = orbit().args(arguments).stdout(full()).stderr(Stdio::piped()).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(
            said.starts_with("orbit: cannot write to standard output: No space"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn a_dash_is_no_file_that_is_written() {
    let sandbox = Sandbox::new().file("src/a", b"1");
    for option in ["--log", "--manifest"] {
        let output = orbit().args([option, "-", "-T", "src", "dst"]).current_dir(sandbox.path("")).output();
        let output = output.unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("{option} /dev/stdout")), "{said}");
        assert!(said.contains(&format!("{option} ./-")), "{said}");
        assert!(!sandbox.path("dst").exists() && !sandbox.path("-").exists());
    }
}

#[test]
fn a_reader_who_leaves_is_no_failure_of_the_copy() {
    let sandbox = many();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = orbit();
    command.args(["--itemize", "-T", "src", "dst"]).current_dir(sandbox.path(""));
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), FILES);
}

#[test]
fn outputs_that_are_closed_never_become_files_of_the_copy() {
    let sandbox = many();
    let line = "exec \"$0\" --itemize -T src dst <&- >&- 2>&-";
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).arg(orbit().get_program()).current_dir(sandbox.path(""));
    assert_eq!(shell.status().unwrap().code(), Some(0));
    for number in 0..FILES {
        assert_eq!(sandbox.read(format!("dst/{number}")), b"1", "{number}");
    }
}

#[test]
fn where_standard_error_cannot_be_written_the_exit_status_says_it() {
    let sandbox = Sandbox::new().file("src/a", b"new").file("dst/a", b"old");
    let mut command = orbit();
    command.args(["--existing=fail", "-T", "src", "dst"]).current_dir(sandbox.path(""));
    let output = command.stdout(Stdio::null()).stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    // Also where nothing but a warning is lost; who has left needs none.
    for (output, expected) in [(Stdio::from(full()), 1), (gone(), 0), (Stdio::null(), 0)] {
        let mut command = orbit();
        command.args(["--existing=replace", "--exclude", "nothing", "-T", "src", "dst", "--json"]);
        let output = command.current_dir(sandbox.path("")).stderr(output).output().unwrap();
        assert_eq!(output.status.code(), Some(expected));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["exit_status"], expected);
        assert_eq!(said["warnings"][0]["loss"], "rule");
        assert_eq!(sandbox.read("dst/a"), b"new");
    }
}

/// A pipe that nobody reads from.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// As an ordinary user in the group of nobody, so that permissions count.
fn as_nobody(mut command: Command) -> Command {
    if nix::unistd::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    command
}

#[test]
fn no_name_reaches_a_terminal_raw() {
    let odd = "x\x1b[31m\x1b]0;owned\x07\u{9b}1m\u{7f}\u{202e}\ny";
    let sandbox = Sandbox::new()
        .file(format!("src/{odd}"), b"1")
        .file(format!("src/{odd}2/inner"), b"1")
        .symlink(odd, format!("src/link-{odd}"))
        .file(format!("dst/{odd}"), b"2")
        .file(format!("dst/extra-{odd}"), b"2")
        .file("rules", format!("{odd}[\n").as_bytes())
        .file("list", format!("{odd}/../..\n").as_bytes());
    let all = std::os::unix::fs::PermissionsExt::from_mode;
    fs::set_permissions(sandbox.path(""), all(0o777)).unwrap();
    fs::set_permissions(sandbox.path("src").join(odd), all(0)).unwrap();
    let attribute = format!("user.{}", odd.replace('\n', ""));
    if has_program("setfattr") {
        let path = sandbox.path("src");
        let _ = Command::new("setfattr").args(["-n", &attribute, "-v", "1"]).arg(path).status();
    }
    let inner = format!("src/{odd}2");
    let glob = format!("{odd}[");
    for arguments in [
        &["verify", "src", "dst"][..],
        &["verify", "--metadata", "src", "dst"],
        &["verify", &inner, "nowhere"],
        &["verify", "--exclude", &glob, "src", "dst"],
        &["-vvv", "-T", "src", "new"],
        &["-n", "-vv", "-T", "src", "new"],
        &["-n", "--delete", "-T", "src", "dst"],
        &["--itemize", "-T", "src", "other"],
        &["--existing=fail", "-T", "src", "dst"],
        &["--exclude", &glob, "-T", "src", "new"],
        &["--exclude-from", "rules", "-T", "src", "new"],
        &["--files-from", "list", "-T", "src", "new"],
        &["--log", odd, "-T", "src", "new"],
        &["--manifest", &inner, "-T", "src", "new"],
        &["report", odd],
        &["capabilities", odd],
        &["--json", "--existing=fail", "-T", "src", "dst"],
        &["--json", "--itemize", "-T", "src", "new"],
        &["--json", "-n", "-T", "src", "new"],
        &["verify", "--json", "--metadata", "src", "dst"],
        &["report", "--json", odd],
        &["capabilities", "--json", "src", inner.as_str()],
        &[&glob],
        &["--frob\x1b[31m", "a", "b"],
        &["--jobs=\x1b[31m", "a", "b"],
        &[odd, "new", "nowhere\x1b[31m/"],
    ] {
        for command in [orbit(), as_nobody(orbit())] {
            let mut command = command;
            let output: Output = command.args(arguments).current_dir(sandbox.path("")).output().unwrap();
            for said in [&output.stdout, &output.stderr] {
                let said = String::from_utf8_lossy(said);
                let is_raw = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
                assert!(!said.contains(is_raw), "{arguments:?}: {said:?}");
                assert!(!said.lines().any(|line| line.starts_with('y')), "a line of its own: {said}");
            }
            if arguments.contains(&"--json") {
                let objects = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
                let objects: Vec<_> = objects.map(|object| object.expect("it is JSON")).collect();
                assert!(output.stdout.is_empty() || !objects.is_empty(), "{arguments:?}");
            }
        }
        for made in ["new", "other"] {
            let _ = fs::remove_dir_all(sandbox.path(made));
        }
    }
    let log = fs::read_to_string(sandbox.path(odd)).unwrap();
    assert!(!log.contains(|letter: char| letter.is_control() && letter != '\n'), "{log:?}");
}

#[test]
fn a_log_of_a_stranger_controls_no_terminal() {
    let odd = r"\u001b[31m";
    let log = format!(
        r#"{{"orbit_log":1,"type":"begin","run":"r{odd}","time":"t{odd}","destination":{{"path":"d{odd}"}}}}
{{"type":"entry","action":"a{odd}","kind":"file","path":"p{odd}","bytes":7,"seconds":1,"methods":[{{"method":"m{odd}","bytes":7}}]}}
{{"type":"failure","op":"o{odd}","cause":"c{odd}","path":"p{odd}","errno":1}}
{{"type":"end","run":"r{odd}","exit_status":0,"report":{{"stopped":"s{odd}","elapsed_seconds":1}}}}
"#
    );
    let sandbox = Sandbox::new().file("log", log.as_bytes());
    let output = orbit().arg("report").arg(sandbox.path("log")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("[31m") && !said.contains('\x1b'), "{said:?}");
}

#[test]
fn paths_are_said_once() {
    let sandbox = Sandbox::new().file("a/f", b"1").file("b/f", b"2").dir("b/d");
    let said = |arguments: &[&str]| {
        let output = orbit().args(arguments).current_dir(sandbox.path("")).output().unwrap();
        stderr(&output) + &String::from_utf8_lossy(&output.stdout)
    };
    assert!(said(&["verify", "a/f", "b/f"]).starts_with("f: other content from byte 0 on\n"));
    for (arguments, path) in [
        (&["verify", "a/f", "nowhere"][..], "nowhere"),
        (&["verify", "--manifest", "nowhere", "b"], "nowhere"),
        (&["report", "nowhere"], "nowhere"),
        (&["--exclude-from", "nowhere", "a", "c"], "nowhere"),
        (&["--files-from", "nowhere", "a", "c"], "nowhere"),
        (&["--log", "nowhere/log", "-T", "a", "c"], "nowhere/log"),
        (&["--manifest", "nowhere/sums", "-T", "a", "c"], "nowhere/sums"),
        (&["-T", "nowhere", "c"], "nowhere"),
        (&["capabilities", "nowhere/at-all"], "nowhere"),
    ] {
        let said = said(arguments);
        let first = said.lines().next().unwrap();
        assert_eq!(first.matches(path).count(), 1, "{arguments:?}: {said}");
        assert_eq!(first.matches("cannot ").count(), 1, "{arguments:?}: {said}");
    }
}
