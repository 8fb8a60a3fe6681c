//! `--explain`: how bytes were moved and workers chosen, and why, for people and in the report.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Filesystem, Mount, Sandbox, has_program, orbit, skip, stderr};

/// Five milliseconds more for each call.
const SLOW: &str = "delay_enter=5000";

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let output = orbit().args(arguments).current_dir(sandbox.path("")).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

/// The same while `call` is tampered with as strace's `inject=` does.
fn run_despite(sandbox: &Sandbox, call: &str, how: &str, arguments: &[&str]) -> Option<Output> {
    if !has_program("strace") {
        skip("strace is not installed");
        return None;
    }
    let inject = ["-f", "-qq", "-o", "/dev/null", "-e"];
    let mut strace = Command::new("strace");
    strace.args(inject).arg(format!("trace={call}")).args(["-e", &format!("inject={call}:{how}")]);
    let output =
        strace.arg(orbit().get_program()).args(arguments).current_dir(sandbox.path("")).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    Some(output)
}

fn report_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn methods_workers_and_threshold_are_explained_beside_the_report() {
    let sandbox = Sandbox::in_memory().file("src/large", &[7; 100_000]).file("src/small", b"12345");
    let output = run(&sandbox, &["--explain", "--json", "--jobs=1", "--reflink=never", "src", "dst"]);
    let expected = "\
methods    copy_file_range  97.66 KiB of 1 file
           buffered         5 B of 1 file: smaller than the threshold (1)
workers    1: as asked
threshold  64 KiB: the default, which adapts
";
    assert_eq!(stderr(&output), expected);
    let between = &report_of(&output)["between"][0];
    assert_eq!((&between["threshold"], &between["refused"]), (&json!(65_536), &json!([])));
    assert_eq!(between["threshold_reason"], "the default, which adapts");
    assert_eq!(between["threshold_steps"], json!([]));
    let documented = include_str!("../../docs/json.md");
    for key in between.as_object().unwrap().keys() {
        assert!(documented.contains(&format!("`{key}`")), "docs/json.md lacks {key}");
    }
}

#[test]
fn a_threshold_is_as_asked_or_there_is_a_reason_for_none() {
    let sandbox = Sandbox::new().file("src/a", &[7; 100_000]);
    for (number, (option, expected)) in [
        ("--threshold=1M", "threshold  1 MiB: as asked\n"),
        ("--zero-copy", "threshold  none: the kernel moves files of every size\n"),
        ("--no-zero-copy", "threshold  none: forbidden by option\n"),
        ("--sparse=always", "threshold  none: zeros are searched for in every file\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let output = run(&sandbox, &["--explain", "--reflink=never", option, "src", &number.to_string()]);
        assert!(stderr(&output).ends_with(expected), "{option}: {}", stderr(&output));
    }
    let again = run(&sandbox, &["--explain", "-T", "src", "0"]);
    assert!(stderr(&again).starts_with("methods    no content was moved\n"), "{}", stderr(&again));
}

#[test]
fn what_a_filesystem_refuses_is_said_with_its_name() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
    let sandbox = Sandbox::on(&mount).file("src/a", b"12345");
    let output = run(&sandbox, &["--explain", "--json", "src", "dst"]);
    let expected = "           reflink          refused by ext4: Operation not supported\n";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    let between = &report_of(&output)["between"];
    assert_eq!(between.as_array().unwrap().len(), 1);
    assert_eq!((&between[0]["source"], &between[0]["destination"]), (&json!("ext4"), &json!("ext4")));
    let refused = json!([{ "method": "reflink", "errno": 95, "cause": "Operation not supported" }]);
    assert_eq!(between[0]["refused"], refused);
}

#[test]
fn a_ring_that_cannot_be_had_is_said_with_the_reason() {
    let sandbox = Sandbox::new().file("src/large", &[7; 9 << 20]);
    let arguments = ["--explain", "--json", "--backend=uring", "--reflink=never", "src", "dst"];
    let Some(output) = run_despite(&sandbox, "io_uring_setup", "error=ENOSYS", &arguments) else { return };
    let why = report_of(&output)["ring_refused"].as_str().expect("there is no ring").to_owned();
    let text = stderr(&output);
    let start = "\n           io_uring         not to be had: ";
    let told = text.split_once(start).unwrap_or_else(|| panic!("{text}")).1.lines().next().unwrap();
    assert!(why.starts_with(told), "{why}: {text}");
}

#[test]
fn files_that_share_their_blocks_are_not_said_to_lack_anything() {
    let Some(mount) = Mount::new(Filesystem::Xfs, 400) else { return };
    let sandbox = Sandbox::on(&mount).file("src/a", &[7; 100_000]).file("src/b", b"12345");
    let output = run(&sandbox, &["--explain", "--json", "src", "dst"]);
    let text = stderr(&output);
    assert!(text.starts_with("methods    reflink          97.66 KiB of 2 files\nworkers "), "{text}");
    assert!(text.ends_with("threshold  64 KiB: the default, where blocks are not shared\n"), "{text}");
    assert_eq!(report_of(&output)["zero_copy_declined"], json!([]));
}

#[test]
fn each_step_of_the_threshold_is_told_with_its_time_and_reason() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 128) else { return };
    // Enough for as many workers as there are at first to be seen waiting.
    let cores = std::thread::available_parallelism().unwrap().get();
    let files = (0..150 * cores.max(2)).map(|index| format!("src/{index}"));
    let sandbox = files.fold(Sandbox::on(&mount), |sandbox, name| sandbox.file(name, &[7; 70 << 10]));
    let arguments = ["--explain", "-v", "--jobs=1", "src", "dst"];
    let Some(output) = run_despite(&sandbox, "copy_file_range", SLOW, &arguments) else { return };
    let text = stderr(&output);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.contains(&"threshold  64 KiB at first: the default, which adapts"), "{text}");
    let has = |start: &str, end: &str| {
        lines.iter().any(|line| line.contains(start) && line.contains("% less time") && line.ends_with(end))
    };
    assert!(has("           128 KiB from ", " through a buffer"), "{text}");
    assert!(has("threshold: 128 KiB instead of 64 KiB, as files ", " through a buffer"), "{text}");
    let summary = String::from_utf8(output.stdout).unwrap();
    assert!(summary.contains(" s: 128 KiB instead of 64 KiB, as files of sizes in between"), "{summary}");
}

#[test]
fn each_step_of_the_workers_is_told_with_its_time_and_reason() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 64) else { return };
    let files = (0..300).map(|index| format!("src/{index}"));
    let sandbox = files.fold(Sandbox::on(&mount), |sandbox, name| sandbox.file(name, b"small"));
    let arguments = ["--explain", "--json", "src", "dst"];
    let Some(output) = run_despite(&sandbox, "openat", SLOW, &arguments) else { return };
    let text = stderr(&output);
    let first = &report_of(&output)["jobs"]["steps"][0];
    let (from, to) = (&first["from"], &first["to"]);
    assert!(text.contains(&format!("\nworkers    {from} at first: ")), "{text}");
    assert!(text.contains(&format!("\n           {to} from ")), "{text}");
    assert!(text.contains(" s on: they wait for "), "{text}");
}
