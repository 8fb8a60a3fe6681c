//! Logs of copies, line by line, and what `orbit report` makes of them.

mod cut;
mod methods;
mod reader;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::Path,
    process::{Command, Output},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::support::{Sandbox, has_program, must, odd_name, orbit, skip, stderr};

/// A copy of `src` to `dst` that logs to `log`, in a sandbox.
fn logged(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = orbit();
    command.current_dir(sandbox.path("")).args(["--log", "log", "--json"]).args(arguments);
    command.args(["-T", "src", "dst"]);
    command
}

/// Run it; its exit status and its report.
#[track_caller]
fn finished(mut command: Command) -> (Option<i32>, Value) {
    let output = command.output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code(), report.unwrap_or_else(|_| panic!("{}", stderr(&output))))
}

/// The lines of a log, each of which has to be an object.
#[track_caller]
fn lines(log: &Path) -> Vec<Value> {
    let text = fs::read(log).unwrap();
    assert!(text.ends_with(b"\n"), "the last line has an end");
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// The lines of one type.
fn of_type<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

/// What `orbit report` says of a log, run by run.
fn reports(log: &Path, arguments: &[&str]) -> (Output, Vec<Value>) {
    let output = orbit().args(["report", "--json"]).args(arguments).arg(log).output().unwrap();
    let runs = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let runs = runs.map(|line| serde_json::from_slice(line).unwrap()).collect();
    (output, runs)
}

/// What it says of the last run.
#[track_caller]
fn last_report(log: &Path) -> (Option<i32>, Value) {
    let (output, mut runs) = reports(log, &[]);
    assert_eq!(runs.len(), 1, "{}", stderr(&output));
    (output.status.code(), runs.remove(0))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// How many entries each action of a report has.
fn actions(report: &Value) -> BTreeMap<String, u64> {
    let actions = report["actions"].as_array().unwrap().iter();
    actions.map(|line| (line["action"].as_str().unwrap().to_owned(), number(&line["entries"]))).collect()
}

/// A copy with something to do of every kind.
fn eventful() -> Sandbox {
    let sandbox = Sandbox::new()
        .file("src/unchanged", b"same")
        .file("src/changed", b"old")
        .file("src/corrected", b"content")
        .file("src/dir/a", b"a");
    let copied =
        orbit().args(["-q", "-T"]).args([sandbox.path("src"), sandbox.path("dst")]).status().unwrap();
    assert!(copied.success());
    let sandbox = sandbox
        .file("src/changed", b"a new one")
        .file("src/new", &vec![7; 100_000])
        .file("src/new-dir/b", b"b")
        .file("src/clash", b"a file")
        .file("dst/clash/inside", b"in a directory")
        .file("dst/extra/file", b"only there");
    fs::hard_link(sandbox.path("src/new"), sandbox.path("src/new-dir/linked")).unwrap();
    symlink("new", sandbox.path("src/symlink")).unwrap();
    fs::set_permissions(sandbox.path("src/corrected"), fs::Permissions::from_mode(0o751)).unwrap();
    must("mkfifo", &[sandbox.path("src/fifo").to_str().unwrap()]);
    sandbox
}

#[test]
fn every_action_has_its_lines_and_they_add_up_to_the_report() {
    let sandbox = eventful();
    // What is excluded stays, and so does the directory in the way that holds it.
    let options = ["--no-preserve=special", "--delete", "--ignore-errors", "--exclude=inside"];
    let (status, report) = finished(logged(&sandbox, &options));
    assert_eq!(status, Some(1), "one entry fails");
    let lines = lines(&sandbox.path("log"));
    let totals = &report["totals"];
    let entries = of_type(&lines, "entry");
    let count = |action: &str, kind: &str| {
        let is_one = |line: &&&Value| line["action"] == action && (kind.is_empty() || line["kind"] == kind);
        entries.iter().filter(is_one).count() as u64
    };
    for (lines, total, least) in [
        (count("created", "file") + count("replaced", "file"), "files_copied", 3),
        (count("replaced", ""), "files_copied", 1),
        (count("created", "directory"), "directories_created", 1),
        (count("merged", "directory"), "directories_merged", 2),
        (count("created", "symlink"), "symlinks_created", 1),
        (count("linked", ""), "hard_links_created", 1),
        (count("unchanged", ""), "unchanged", 1),
        (count("corrected", ""), "metadata_corrected", 1),
        (count("skipped", ""), "skipped", 1),
        (count("deleted", ""), "deleted", 2),
        (of_type(&lines, "failure").len() as u64, "failed", 1),
    ] {
        assert!(lines >= least, "{total}: {lines}");
        if total != "files_copied" || least > 1 {
            assert_eq!(lines, number(&totals[total]), "{total}");
        }
    }
    let bytes: u64 = entries.iter().map(|line| number(&line["bytes"])).sum();
    assert_eq!(bytes, number(&totals["bytes_copied"]));
    let failure = of_type(&lines, "failure")[0];
    assert_eq!(failure["path"], "dst/clash");
    assert_eq!(failure["op"], "replace");
    for line in &entries {
        let is_timed = line["kind"] != "directory" && line["action"] != "deleted";
        assert_eq!(line["seconds"].as_f64().is_some(), is_timed, "{line}");
    }
    let mut summary = lines.last().unwrap()["report"].clone();
    for (key, value) in summary.as_object_mut().unwrap() {
        if key != "warnings" {
            assert_eq!(*value, report[key], "{key}");
        }
    }

    let (status, told) = last_report(&sandbox.path("log"));
    assert_eq!(status, Some(0), "the log is whole, although something failed");
    assert_eq!((&told["ended"], &told["exit_status"]), (&true.into(), &1.into()));
    let counted = actions(&told);
    assert_eq!(counted.len(), 8, "{counted:?}");
    for (action, entries) in counted {
        assert_eq!(entries, count(&action, ""), "{action}");
    }
    assert_eq!(told["entries"], entries.len());
    assert_eq!(told["bytes"], totals["bytes_copied"]);
    assert_eq!((&told["failed"], &told["failures"][0]["op"]), (&1.into(), &"replace".into()));
    for method in report["methods"].as_array().unwrap() {
        let same = told["methods"].as_array().unwrap().iter().find(|told| told["method"] == method["method"]);
        let same = same.unwrap_or_else(|| panic!("{method}"));
        assert_eq!((&same["files"], &same["bytes"]), (&method["files"], &method["bytes"]));
    }
    let text = orbit().arg("report").arg(sandbox.path("log")).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    for part in
        ["run 1 of 1", "exit status 1", "  deleted ", "× cannot replace", "dst/clash", "zero-copy for "]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn deleting_before_does_not_tell_of_what_is_copied_twice() {
    let sandbox = Sandbox::new().file("src/a", b"a").file("dst/a", b"old").file("dst/b", b"b");
    let (status, _) = finished(logged(&sandbox, &["--delete=before"]));
    assert_eq!(status, Some(0));
    let lines = lines(&sandbox.path("log"));
    let told: Vec<_> = of_type(&lines, "entry").iter().map(|line| (&line["action"], &line["path"])).collect();
    let expected = [("deleted", "dst/b"), ("replaced", "dst/a"), ("merged", "dst")];
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        expected.iter().all(|(action, path)| told
            .iter()
            .any(|told| told == &(&Value::from(*action), &Value::from(*path)))),
        "{told:?}"
    );
}

#[test]
fn names_of_any_bytes_are_one_line_and_can_be_had_back() {
    let sandbox =
        Sandbox::new().file(Path::new("src").join(odd_name()), b"odd").file("src/line\nfeed", b"text");
    let (status, _) = finished(logged(&sandbox, &[]));
    assert_eq!(status, Some(0));
    let lines = lines(&sandbox.path("log"));
    assert_eq!(lines.len(), 5, "begin, two files, their directory, end");
    let odd = lines.iter().find_map(|line| line["path_bytes"].as_str()).unwrap();
    let path = BASE64_STANDARD.decode(odd).unwrap();
    assert_eq!(Path::new(OsStr::from_bytes(&path)), Path::new("dst").join(odd_name()));
    assert!(lines.iter().any(|line| line["path"] == "dst/line\nfeed" && line["path_bytes"].is_null()));
    let (_, told) = last_report(&sandbox.path("log"));
    let slowest = told["slowest"].as_array().unwrap();
    assert!(slowest.iter().any(|slow| slow["path_bytes"] == odd));
    assert_eq!(told["entries"], 3);
}

#[test]
fn a_dry_run_is_logged_as_one() {
    let sandbox = Sandbox::new().file("src/a", b"a");
    let mut command = logged(&sandbox, &["--dry-run"]);
    assert!(command.output().unwrap().status.success());
    assert!(!sandbox.path("dst").exists());
    let (status, told) = last_report(&sandbox.path("log"));
    assert_eq!((status, &told["dry_run"]), (Some(0), &true.into()));
    assert_eq!(actions(&told)["created"], 2);
}

#[test]
fn retries_and_mismatches_are_in_the_log() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let content: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).take(700 << 10).collect();
    for (fault, retried, failed, errno) in [
        ("pwrite64:error=EIO:when=1", 1, 0, Value::from(5)),
        ("pwrite64:error=EIO", 2, 1, Value::from(5)),
        ("pwrite64:retval=262144:when=2", 1, 0, Value::Null), // which writes nothing
    ] {
        let sandbox = Sandbox::new().file("src/f", &content);
        let copy = logged(&sandbox, &["--retries=2", "-j1", "--no-zero-copy", "--reflink=never", "--verify"]);
        let mut traced = Command::new("strace");
        traced.args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=pwrite64",
            "-e",
            &format!("inject={fault}"),
        ]);
        traced.arg(copy.get_program()).args(copy.get_args()).current_dir(sandbox.path(""));
        let (status, report) = finished(traced);
        assert_eq!(status, Some(if failed > 0 { 1 } else { 0 }), "{fault}");
        let lines = lines(&sandbox.path("log"));
        let retries = of_type(&lines, "retry");
        assert_eq!(retries.len(), retried, "{fault}");
        assert!(
            retries.iter().all(|line| line["errno"] == errno && number(&line["tried"]) > 0),
            "{retries:?}"
        );
        assert!(retries.iter().all(|line| line["wait_seconds"].as_f64().unwrap() > 0.0));
        assert_eq!(of_type(&lines, "failure").len(), failed, "{fault}");
        let (_, told) = last_report(&sandbox.path("log"));
        assert_eq!(told["retried"], retried, "{fault}");
        assert_eq!(told["retries"][0]["count"], report["retries"][0]["count"]);
        assert_eq!(told["failed"], failed);
    }
    // A copy that never is what was copied.
    let sandbox = Sandbox::new().file("src/f", &content);
    let copy = logged(&sandbox, &["-j1", "--no-zero-copy", "--reflink=never", "--verify"]);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64"]);
    traced.args(["-e", "inject=pwrite64:retval=262144:when=2"]);
    traced.arg(copy.get_program()).args(copy.get_args()).current_dir(sandbox.path(""));
    assert_eq!(finished(traced).0, Some(1));
    let (_, told) = last_report(&sandbox.path("log"));
    assert_eq!((&told["mismatches"], &told["failed"]), (&1.into(), &1.into()));
}

#[test]
fn a_log_lies_neither_in_a_source_nor_in_the_copy_nor_over_something_else() {
    let sandbox = Sandbox::new().file("src/a", b"a").file("dst/b", b"b").file("mine", b"my own text\n");
    for (log, status, why) in [
        ("src/log", 2, "lies in a source"),
        ("dst/log", 2, "lies in the copy"),
        ("dst/b", 2, "lies in the copy"),
        ("dst", 2, "lies in the copy"),
        ("mine", 1, "is no log of orbit"),
        ("missing/log", 1, "cannot open the log"),
    ] {
        let mut command = orbit();
        let output =
            command.current_dir(sandbox.path("")).args(["--log", log, "-T", "src", "dst"]).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{log}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{log}: {}", stderr(&output));
        assert!(!sandbox.path("dst/a").exists(), "{log}: nothing is copied");
    }
    assert_eq!(sandbox.read("mine"), b"my own text\n");
    assert_eq!(sandbox.read("dst/b"), b"b");
    assert_eq!(fs::read_dir(sandbox.path("src")).unwrap().count(), 1);
}

#[test]
fn a_log_has_one_writer_at_a_time() {
    let sandbox = Sandbox::new().file("src/a", b"a");
    let other = fs::File::create(sandbox.path("log")).unwrap();
    other.lock().unwrap();
    let output = logged(&sandbox, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("another run is writing to the log"), "{}", stderr(&output));
    assert!(!sandbox.path("dst").exists());
    // Not by closing it: a child that another test is starting may still hold it.
    other.unlock().unwrap();
    assert_eq!(finished(logged(&sandbox, &[])).0, Some(0));
}
