//! One copy, measured.
//!
//! What would spoil it, and what is done about that:
//! - the page cache of an idle file may be taken away at any moment: the source is read again
//!   before each warm run, and every cache is dropped before each cold one;
//! - deleting and writing back the copy before would be timed with the next: it is removed, and the
//!   filesystem synced, before each run;
//! - a program's peak memory includes, by the kernel's reckoning, that of the process which started
//!   it: a small process of its own starts each copier, so that the floor is low and equal for all;
//! - another program's work slows some runs and not others: how much CPU time went elsewhere is
//!   noted with each run.
//!
//! CPU seconds are those of the copier and its children, in user and kernel mode; what the kernel
//! does on threads of its own (writing back, the loop device) is nobody's.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read},
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use serde::Serialize;

use crate::{arena, machine, peer::Contender, run::Run};

/// What is in the page cache when a copy begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cache {
    /// The source.
    Warm,
    /// Nothing.
    Cold,
}

/// Where the kernel is told to drop all it has cached.
pub(crate) const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// What there is at the destination when a copy begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Pass {
    /// Nothing.
    First,
    /// The same copier's whole copy: what a second run costs that finds nothing to do.
    Again,
}

/// A copier that ended otherwise than well.
#[derive(Debug, thiserror::Error)]
#[error("{said}")]
pub(crate) struct Failure {
    code: Option<i32>,
    said: String,
}

impl Failure {
    /// Whether Orbit did not understand its arguments.
    pub(crate) fn is_usage(&self) -> bool {
        self.code == Some(2)
    }
}

/// Given as first argument, this executable is the small process that starts a copier.
pub(crate) const STARTER: &str = "--start-and-measure";

/// Be the process that starts a copier, and print what it took.
pub(crate) fn be_starter(command: impl Iterator<Item = OsString>) -> ExitCode {
    match start(command) {
        Ok(ended) => ended,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(mut command: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    let program = command.next().context("no program to start")?;
    let mut copier = Command::new(program);
    copier.args(command).stdin(Stdio::null()).stdout(Stdio::null());
    let busy_before = machine::busy_s();
    let started = Instant::now();
    let status = copier.status()?;
    let wall_s = started.elapsed().as_secs_f64();
    let busy_s = machine::busy_s() - busy_before;
    if !status.success() {
        eprintln!("{status}");
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
    }
    // Of all children there were; there was one.
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu_s = (used.user_time().num_microseconds() + used.system_time().num_microseconds()) as f64 / 1e6;
    let others_cpu_s = (busy_s - cpu_s).max(0.0); // counted in ticks, so it may come out a little below
    let run = Run { wall_s, cpu_s, rss_kib: used.max_rss(), others_cpu_s };
    println!("{}", serde_json::to_string(&run)?);
    Ok(ExitCode::SUCCESS)
}

/// Let a contender copy `source` to `destination`, where nothing is left of the copy before.
///
/// # Errors
/// When the copier fails, with what it said.
pub(crate) fn copy(
    contender: &Contender,
    source: &Path,
    destination: &Path,
    cache: Cache,
    pass: Pass,
) -> Result<Run> {
    arena::remove(destination).context("removing the copy before")?;
    if pass == Pass::Again {
        start_copier(contender, source, destination)?;
    }
    rustix::fs::syncfs(File::open(source)?)?;
    match cache {
        Cache::Warm => read_through(source).context("reading the source")?,
        Cache::Cold => fs::write(DROP_CACHES, "3").context("dropping caches")?,
    }
    start_copier(contender, source, destination)
}

fn start_copier(contender: &Contender, source: &Path, destination: &Path) -> Result<Run> {
    let output = Command::new(env::current_exe()?)
        .arg(STARTER)
        .arg(&contender.program)
        .args(contender.arguments(source, destination))
        .envs(Contender::ENVIRONMENT)
        .output()?;
    if !output.status.success() {
        let said = gist(&String::from_utf8_lossy(&output.stderr));
        bail!(Failure { code: output.status.code(), said });
    }
    serde_json::from_slice(&output.stdout).context("what the starter printed")
}

/// The first and the last line of what a copier said, which may be long and coloured.
fn gist(said: &str) -> String {
    const LINE_MAX: usize = 160;
    let mut lines = said.lines().filter(|line| !line.trim().is_empty());
    let ends = [lines.next(), lines.next_back()].into_iter().flatten();
    let plain = |line: &str| line.chars().filter(|letter| !letter.is_control()).take(LINE_MAX).collect();
    ends.map(plain).collect::<Vec<String>>().join(" … ")
}

/// Read everything below a directory, for nothing but to have it in the page cache.
fn read_through(path: &Path) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file() {
                let mut file = File::open(entry.path())?;
                while file.read(&mut buffer)? > 0 {}
            }
        }
    }
    Ok(())
}
