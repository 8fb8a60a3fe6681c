//! What a log says of how bytes were moved is how they were moved, and what it costs to say so.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::Value;

use super::{finished, last_report, lines, logged, number, of_type};
use crate::support::{Filesystem, Mount, Sandbox, has_program, skip};

/// The bytes that each method moved of the file `f`.
fn methods_of_f(sandbox: &Sandbox) -> BTreeMap<String, u64> {
    let lines = lines(&sandbox.path("log"));
    let line = of_type(&lines, "entry").into_iter().find(|line| line["path"] == "dst/f").unwrap().clone();
    let elapsed = lines.last().unwrap()["report"]["elapsed_seconds"].as_f64().unwrap();
    let seconds = line["seconds"].as_f64().unwrap();
    assert!(seconds > 0.0 && seconds <= elapsed, "{seconds} of {elapsed} s");
    let methods = line["methods"].as_array().unwrap();
    methods.iter().map(|used| (used["method"].as_str().unwrap().to_owned(), number(&used["bytes"]))).collect()
}

#[test]
fn the_methods_of_a_file_are_those_that_moved_it() {
    const MIB: usize = 1 << 20;
    for (filesystem, size, options, method) in [
        (Filesystem::Ext4, MIB, &["--zero-copy"][..], "copy_file_range"),
        (Filesystem::Ext4, MIB, &["--no-zero-copy"], "buffered"),
        (Filesystem::Ext4, 1000, &[], "buffered"),
        (Filesystem::Ext4, 40 * MIB, &["-j4", "--backend=blocking", "--no-zero-copy"], "buffered"),
        (Filesystem::Ext4, 40 * MIB, &["-j4", "--zero-copy"], "copy_file_range"),
        (Filesystem::Ext4, 40 * MIB, &["-j4", "--verify"], "copy_file_range"),
        (Filesystem::Ext4, 16 * MIB, &["--backend=uring"], "io_uring"),
        (Filesystem::Xfs, MIB, &[], "reflink"),
        (Filesystem::Xfs, 40 * MIB, &["--reflink=always"], "reflink"),
        (Filesystem::Xfs, 100_000, &["--reflink=never", "--threshold=64K"], "sendfile"),
    ] {
        let Some(mount) = Mount::new(filesystem, 400) else { return };
        let sandbox = Sandbox::on(&mount);
        let content: Vec<u8> = (0..size as u32 / 4 + 1).flat_map(u32::to_le_bytes).take(size).collect();
        let sandbox = sandbox.file("src/f", &content);
        let (status, report) = finished(logged(&sandbox, options));
        assert_eq!(status, Some(0), "{filesystem:?} {options:?}");
        let moved = methods_of_f(&sandbox);
        let expected = BTreeMap::from([(method.to_owned(), size as u64)]);
        assert_eq!(moved, expected, "{filesystem:?} {options:?}");
        let told = last_report(&sandbox.path("log")).1;
        assert_eq!(told["methods"][0]["method"], method);
        assert_eq!(report["methods"][0]["bytes"], told["methods"][0]["bytes"]);
        let is_zero_copy = !["buffered", "io_uring"].contains(&method);
        assert_eq!(told["zero_copy"]["bytes"], if is_zero_copy { size } else { 0 }, "{method}");
        assert_eq!(told["slowest"][0]["bytes"], size);
    }
}

/// How often a copy makes each call, without what its start takes.
fn calls(sandbox: &Sandbox, arguments: &[&str]) -> BTreeMap<String, u64> {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-c", "-U", "name,calls", "-o", "calls", "-e", "trace=%file,%desc,%memory"]);
    traced.arg(env!("CARGO_BIN_EXE_orbit")).args(arguments).args(["-q", "-j1", "-T", "src", "dst"]);
    let output = traced.current_dir(sandbox.path("")).output().unwrap();
    assert!(output.status.success(), "{}", crate::support::stderr(&output));
    fs::remove_dir_all(sandbox.path("dst")).unwrap();
    let text = fs::read_to_string(sandbox.path("calls")).unwrap();
    let rows = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let rows = rows.filter_map(|(name, count)| Some((name.to_owned(), count.trim().parse().ok()?)));
    rows.filter(|(name, _)| name != "total").collect()
}

#[test]
fn a_log_costs_a_file_no_call_of_its_own() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let sandbox = Sandbox::new().dir("src");
    for number in 0..1_000 {
        fs::write(sandbox.path(format!("src/{number}")), b"content").unwrap();
    }
    let without = calls(&sandbox, &[]);
    let with = calls(&sandbox, &["--log", "log"]);
    assert!(without["openat"] > 2_000, "{without:?}");
    let waits = ["epoll_wait", "read", "write", "mmap", "munmap", "mprotect", "brk", "madvise", "mremap"];
    for (name, count) in &with {
        let before = without.get(name).copied().unwrap_or(0);
        let most = if waits.contains(&name.as_str()) { 500 } else { 20 };
        assert!(*count <= before + most, "{name}: {count} instead of {before}");
    }
    assert_eq!(lines(&sandbox.path("log")).len(), 1_003);
    let begins: Vec<Value> = lines(&sandbox.path("log")).into_iter().take(1).collect();
    assert_eq!(begins[0]["orbit_log"], 1);
}
