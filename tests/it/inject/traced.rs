//! A copy in a process of its own, whose calls are recorded and made to fail by strace(1).

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;

use super::driver;
use crate::support::{is_root, skip};

/// Whether a process can be traced here; says why not.
pub(super) fn can_trace() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    let tries = || Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    // Where only ancestors may trace (Documentation/admin-guide/LSM/Yama.rst), attaching needs root.
    let scope = || fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let may_attach = || is_root() || ["", "0"].contains(&scope().trim());
    let can = *CAN.get_or_init(|| may_attach() && tries().is_ok_and(|output| output.status.success()));
    if !can {
        skip("strace is not installed, or may not trace");
    }
    can
}

/// Whether strace knows a call by name; an old one does not know the newest.
pub(super) fn is_known(call: &str) -> bool {
    let known = Command::new("strace").args(["-qq", "-o", "/dev/null", "-e", call, "true"]).output();
    known.is_ok_and(|output| output.status.success())
}

/// A copy that is to be run by the driver under strace.
#[derive(Clone)]
pub(super) struct Traced {
    told: String,
    calls: Vec<String>,
    faults: Vec<String>,
    paths: Vec<PathBuf>,
}

impl Traced {
    /// Copy `from` to `to` with one worker, whose calls therefore have a fixed order.
    pub(super) fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Traced {
        let told = format!("from={}\nto={}", from.as_ref().display(), to.as_ref().display());
        Traced { told, calls: Vec::new(), faults: Vec::new(), paths: Vec::new() }
    }

    /// Set an option of the copy; see the driver for what it understands.
    pub(super) fn told(mut self, key: &str, value: &str) -> Traced {
        self.told += &format!("\n{key}={value}");
        self
    }

    /// Record these calls, separated by commas.
    pub(super) fn recording(mut self, calls: &str) -> Traced {
        self.calls.push(calls.to_owned());
        self
    }

    /// Tamper with a call as strace's `inject=` does; `when=` counts in each thread on its own.
    pub(super) fn fault(mut self, call: &str, how: &str) -> Traced {
        self.faults.push(format!("inject={call}:{how}"));
        self.recording(call)
    }

    /// Record, and tamper with, only calls that name one of these paths or have it open.
    pub(super) fn concerning(mut self, paths: impl IntoIterator<Item = PathBuf>) -> Traced {
        self.paths.extend(paths);
        self
    }

    /// Make every attempt to share blocks fail, so that bytes are moved on any filesystem.
    pub(super) fn without_reflink(self) -> Traced {
        self.fault("ioctl", "error=EOPNOTSUPP")
    }

    /// Tamper with the one call of this name whose record has all of `parts`.
    ///
    /// Which one that is, a first run without the fault tells; `afresh` undoes what that run did.
    #[track_caller]
    pub(super) fn fault_at(self, call: &str, parts: &[&str], how: &str, afresh: impl FnOnce()) -> Traced {
        let rehearsal = self.clone().recording(call).run();
        let number = rehearsal.find(call, parts).number;
        afresh();
        self.fault(call, &format!("{how}:when={number}"))
    }

    /// Run it to its end.
    pub(super) fn run(&self) -> Outcome {
        let logs = TempDir::new().unwrap();
        let (mut driver, mut stdout) = self.start();
        let mut strace = Command::new("strace")
            .args(["-ff", "-ttt", "-y", "-s", "300", "-o"])
            .arg(logs.path().join("log"))
            .args(["-e", &format!("trace={}", self.calls.join(","))])
            .args(self.faults.iter().flat_map(|fault| ["-e", fault]))
            .args(self.paths.iter().flat_map(|path| [OsStr::new("-P"), path.as_os_str()]))
            .args(["-p", &driver.id().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It says so once all threads are attached; an error is said instead.
        let mut said = String::new();
        BufReader::new(strace.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert!(said.contains("attached"), "strace: {said}");
        driver.stdin.take().unwrap().write_all(b"go\n").unwrap();
        let mut told = String::new();
        stdout.read_to_string(&mut told).unwrap();
        let status = driver.wait().unwrap();
        strace.wait().unwrap();
        let summary = Summary::read(&told);
        if !summary.was_cancelled() && !summary.was_stopped() {
            let [found, done] = ["entries_found", "entries_done"].map(|name| summary.total(name));
            assert_eq!(found, done, "each entry is dealt with once: {summary:#?}");
        }
        Outcome { status, summary, calls: calls_in(logs.path()) }
    }

    /// Start it without a tracer.
    pub(super) fn start_untraced(&self) -> Child {
        let (mut driver, _) = self.start();
        driver.stdin.take().unwrap().write_all(b"go\n").unwrap();
        driver
    }

    /// Start the driver, and wait until it waits.
    fn start(&self) -> (Child, BufReader<ChildStdout>) {
        let mut driver = Command::new(env::current_exe().unwrap())
            .args(["--exact", driver::NAME, "--nocapture", "--test-threads=1"])
            .env(driver::TOLD, &self.told)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(driver.stdout.take().unwrap());
        let said_ready = stdout.by_ref().lines().any(|line| line.unwrap() == driver::READY);
        assert!(said_ready, "the driver ended before it was ready");
        (driver, stdout)
    }
}

/// One call of the copy, as strace wrote it down.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) name: String,
    /// The whole line.
    pub(super) line: String,
    /// How many calls of that name its thread had made with it: what `when=` counts.
    pub(super) number: usize,
    /// When it began, in seconds.
    pub(super) began: f64,
}

impl Call {
    pub(super) fn is_injected(&self) -> bool {
        self.line.ends_with("(INJECTED)")
    }
}

/// How a traced copy ended.
pub(super) struct Outcome {
    pub(super) status: ExitStatus,
    pub(super) summary: Summary,
    /// The recorded calls, those of one thread together and in their order.
    pub(super) calls: Vec<Call>,
}

impl Outcome {
    /// How many calls of this name there were.
    pub(super) fn count(&self, name: &str) -> usize {
        self.calls.iter().filter(|call| call.name == name).count()
    }

    /// How many calls of this name were tampered with.
    pub(super) fn injected(&self, name: &str) -> usize {
        self.calls.iter().filter(|call| call.name == name && call.is_injected()).count()
    }

    /// How many calls of these names began after the copy was cancelled.
    pub(super) fn count_after_cancel(&self, names: &[&str]) -> usize {
        let cancelled = self.calls.iter().find(|call| call.line.contains(driver::CANCELLED));
        let cancelled = cancelled.expect("the driver marks where it cancels").began;
        self.calls.iter().filter(|call| names.contains(&&*call.name) && call.began > cancelled).count()
    }

    /// The first recorded call of this name whose line has all of `parts`.
    #[track_caller]
    pub(super) fn find(&self, name: &str, parts: &[&str]) -> &Call {
        let fits = |call: &&Call| call.name == name && parts.iter().all(|part| call.line.contains(part));
        self.calls.iter().find(fits).unwrap_or_else(|| panic!("no {name} with {parts:?}: {:#?}", self.calls))
    }

    pub(super) fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }

    /// Assert that all was copied although the calls were tampered with.
    #[track_caller]
    pub(super) fn assert_complete_despite(&self, name: &str) {
        assert!(self.injected(name) > 0, "{name} was never tampered with: {:#?}", self.calls);
        assert!(self.status.success(), "{:?} {:#?}", self.status, self.summary);
        assert!(self.summary.failures.is_empty(), "{:#?}", self.summary);
    }

    /// How many of `count` other entries were copied at least, after one that failed.
    pub(super) fn others(&self, count: usize) -> usize {
        if self.summary.was_stopped() { 0 } else { count }
    }

    /// Assert that exactly one entry failed, with this error, because the calls were tampered with.
    #[track_caller]
    pub(super) fn assert_one_failure_by(&self, name: &str, errno: nix::errno::Errno) {
        assert!(self.injected(name) > 0, "{name} was never tampered with: {:#?}", self.calls);
        assert_eq!(self.status.code(), Some(1), "{:#?}", self.summary);
        assert_eq!(self.summary.total("failed"), 1, "{:#?}", self.summary);
        // What a quota refuses to one it refuses to all, unless the directory turns out to have room.
        assert!(!self.summary.was_stopped() || errno == nix::errno::Errno::EDQUOT, "{:#?}", self.summary);
        let failure = &self.summary.failures[0];
        assert!(failure.contains(&format!(" {} ", errno as i32)), "{errno}: {failure}");
    }
}

/// The driver's report.
#[derive(Debug, Default)]
pub(super) struct Summary {
    counts: BTreeMap<String, u64>,
    /// Operation, error number, path and cause of each failure.
    pub(super) failures: Vec<String>,
}

impl Summary {
    fn read(text: &str) -> Summary {
        let mut summary = Summary::default();
        for line in text.lines() {
            if let Some(failure) = line.strip_prefix("failure ") {
                summary.failures.push(failure.to_owned());
            } else if let Some((what, number)) = line.rsplit_once(' ')
                && let Ok(number) = number.parse()
            {
                summary.counts.insert(what.to_owned(), number);
            }
        }
        summary
    }

    pub(super) fn total(&self, name: &str) -> u64 {
        self.counts.get(&format!("total {name}")).copied().unwrap_or(0)
    }

    /// Bytes that a method moved.
    pub(super) fn moved(&self, method: &str) -> u64 {
        self.counts.get(&format!("moved {method}")).copied().unwrap_or(0)
    }

    /// How many entries lost this.
    pub(super) fn warned(&self, loss: &str) -> u64 {
        self.counts.get(&format!("warning {loss}")).copied().unwrap_or(0)
    }

    pub(super) fn was_cancelled(&self) -> bool {
        self.counts.get("cancelled").is_some_and(|cancelled| *cancelled == 1)
    }

    pub(super) fn was_stopped(&self) -> bool {
        self.counts.get("stopped").is_some_and(|stopped| *stopped == 1)
    }

    /// How many kinds of warnings there are.
    pub(super) fn warnings(&self) -> usize {
        self.counts.keys().filter(|key| key.starts_with("warning ")).count()
    }
}

fn calls_in(logs: &Path) -> Vec<Call> {
    let mut calls = Vec::new();
    for log in fs::read_dir(logs).unwrap() {
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        let text = fs::read(log.unwrap().path()).unwrap();
        for line in String::from_utf8_lossy(&text).lines() {
            let Some((began, line)) = line.split_once(' ') else { continue };
            let Some((name, _)) = line.split_once('(') else { continue };
            if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                let number = numbers.entry(name.to_owned()).or_default();
                *number += 1;
                let (name, line, number) = (name.to_owned(), line.to_owned(), *number);
                calls.push(Call { name, line, number, began: began.parse().unwrap() });
            }
        }
    }
    calls
}
