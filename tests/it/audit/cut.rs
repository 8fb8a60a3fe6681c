//! Logs that end before their time: killed runs, full disks.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::process::ExitStatusExt,
    process::Stdio,
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{actions, finished, last_report, lines, logged, number, reports};
use crate::support::{Filesystem, Mount, Sandbox, orbit, stderr};

fn many_files(count: usize) -> Sandbox {
    let sandbox = Sandbox::new().dir("src");
    for number in 0..count {
        fs::write(sandbox.path(format!("src/file-{number}")), b"content").unwrap();
    }
    sandbox
}

#[test]
fn a_killed_run_leaves_whole_lines_and_is_told_to_be_cut_off() {
    const PAGE: usize = 4096;
    let sandbox = many_files(5_000);
    let log = sandbox.path("log");
    let (mut cut_off, mut with_entries, mut chance) = (0, 0, 0x2545_f491_4f6c_dd1d_u64);
    for round in 0..20 {
        let _ = fs::remove_dir_all(sandbox.path("dst"));
        let _ = fs::remove_file(&log);
        let mut child = logged(&sandbox, &[]).stdout(Stdio::null()).spawn().unwrap();
        chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        thread::sleep(Duration::from_micros((chance >> 32) % 400_000));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let text = fs::read(&log).unwrap_or_default();
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // Within a write the kernel minds a fatal signal between two pages, and nowhere else.
        assert!(whole == text.len() || text.len().is_multiple_of(PAGE), "round {round}: a torn line");
        let told = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let told: Vec<Value> = told.map(|line| serde_json::from_slice(line).unwrap()).collect();
        with_entries += u32::from(told.len() > 1);
        if text.is_empty() || status.success() {
            continue;
        }
        let (code, report) = last_report(&log);
        if told.last().is_some_and(|line| line["type"] == "end") {
            continue; // it was killed when it was done
        }
        cut_off += 1;
        assert_eq!((code, &report["ended"]), (Some(1), &false.into()), "round {round}");
        assert_eq!(number(&report["entries"]), told.len().saturating_sub(1) as u64);
        let text = orbit().arg("report").arg(&log).output().unwrap();
        assert!(String::from_utf8_lossy(&text.stdout).contains("it was cut off"), "round {round}");
    }
    eprintln!("{cut_off} runs were cut off, {with_entries} had told of entries");
    assert!(cut_off >= 5 && with_entries >= 2, "{cut_off} {with_entries}: the moments are not well chosen");
}

#[test]
fn a_run_after_a_torn_line_is_whole_and_the_file_tells_of_both() {
    let sandbox = Sandbox::new().file("src/a", b"a");
    let log = sandbox.path("log");
    assert_eq!(finished(logged(&sandbox, &[])).0, Some(0));
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() - 100]).unwrap();
    let (code, report) = last_report(&log);
    assert_eq!((code, &report["unreadable"]["torn"]), (Some(1), &1.into()));

    assert_eq!(finished(logged(&sandbox, &[])).0, Some(0));
    let (code, report) = last_report(&log);
    assert_eq!((code, &report["whole"], &report["number"]), (Some(0), &true.into(), &2.into()));
    let (output, runs) = reports(&log, &["--all"]);
    assert_eq!(output.status.code(), Some(1), "one of them was cut off");
    let told: Vec<_> = runs.iter().map(|run| (&run["number"], &run["ended"])).collect();
    assert_eq!(told, [(&1.into(), &false.into()), (&2.into(), &true.into())]);
    assert_eq!(runs[0]["unreadable"]["not_json"], 1);
    assert_eq!(actions(&runs[1])["unchanged"], 1);
}

#[test]
fn a_log_that_cannot_be_written_is_said_once_and_everything_is_copied() {
    let sandbox = many_files(3_000);
    let mut full = orbit();
    full.current_dir(sandbox.path("")).args(["--log", "/dev/full", "-T", "src", "dst"]);
    let output = full.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("/dev/full") && said.contains("No space left"), "{said}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("3,000 files copied"),
        "the summary is there too"
    );
    assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), 3_000);
}

#[test]
fn a_disk_that_fills_up_leaves_whole_lines_of_the_log() {
    let sandbox = many_files(5_000);
    // Room for half of it, and the rest of a page.
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 1) else { return };
    let mut filler = File::create(mount.path().join("filler")).unwrap();
    filler.write_all(&vec![1; 700 << 10]).unwrap();
    let log = mount.path().join("log");
    let mut copy = orbit();
    let output =
        copy.arg("--log").arg(&log).arg("-T").args([sandbox.path("src"), sandbox.path("dst")]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("ends before its time"), "{}", stderr(&output));
    assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), 5_000);
    let told = lines(&log);
    assert!(told.len() > 500 && told.len() < 4_000, "{}", told.len());
    let (code, report) = last_report(&log);
    assert_eq!((code, &report["ended"], &report["unreadable"]["torn"]), (Some(1), &false.into(), &0.into()));

    drop(filler);
    fs::remove_file(mount.path().join("filler")).unwrap();
    let again =
        orbit().arg("--log").arg(&log).arg("-T").args([sandbox.path("src"), sandbox.path("dst")]).output();
    assert!(again.is_ok_and(|output| output.status.code().is_some()));
    assert_eq!(reports(&log, &["--all"]).1.len(), 2, "another run follows");
}

#[test]
fn an_interrupted_run_has_its_summary() {
    let sandbox = Sandbox::new();
    let arguments = crate::interrupts::slow_source(&sandbox);
    let mut command = orbit();
    command.current_dir(sandbox.path("")).args(["--log", "log"]).args(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !sandbox.path("dst/zeros").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the command ended");
        thread::sleep(Duration::from_millis(2));
    }
    crate::support::must("kill", &["-s", "INT", &child.id().to_string()]);
    assert_eq!(child.wait().unwrap().signal(), Some(nix::libc::SIGINT));
    let (code, report) = last_report(&sandbox.path("log"));
    assert_eq!((code, &report["exit_status"], &report["cancelled"]), (Some(0), &130.into(), &true.into()));
}
