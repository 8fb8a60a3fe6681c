//! One copy, measured, with the source in the page cache and nothing left of the copy before.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use serde::Serialize;

use crate::{arena, machine};

/// What one copy took.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) wall_s: f64,
    /// User and system.
    pub(crate) cpu_s: f64,
    /// CPU seconds that all others used meanwhile, the kernel's own threads included.
    pub(crate) others_cpu_s: f64,
}

/// Who copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Copier {
    /// With as many workers as it likes.
    Orbit,
    /// With this many.
    Jobs(usize),
    /// `cp -a`
    Cp,
}

impl Copier {
    pub(crate) fn name(self) -> String {
        match self {
            Copier::Orbit => "orbit".to_owned(),
            Copier::Jobs(jobs) => format!("orbit --jobs {jobs}"),
            Copier::Cp => "cp -a".to_owned(),
        }
    }

    fn command(self) -> Command {
        // The destination's very name, or a copy could go into another.
        let (program, arguments) = match self {
            Copier::Cp => ("cp", vec!["-a".to_owned(), "-T".to_owned()]),
            Copier::Orbit => (env!("CARGO_BIN_EXE_orbit"), vec!["-T".to_owned()]),
            Copier::Jobs(jobs) => {
                (env!("CARGO_BIN_EXE_orbit"), vec!["-T".to_owned(), format!("--jobs={jobs}")])
            }
        };
        let mut command = Command::new(program);
        command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

/// Let one copy `source` to `destination`.
///
/// # Errors
/// When it fails.
pub(crate) fn copy(copier: Copier, source: &Path, destination: &Path) -> Result<Run> {
    // Deleting and writing back the copy before would be timed with the next.
    arena::remove(destination).context("removing the copy before")?;
    rustix::fs::syncfs(File::open(source)?)?;
    // Idle pages may have been taken away.
    read_through(source).context("reading the source")?;
    let mut command = copier.command();
    command.arg(source).arg(destination);
    let (busy_before, cpu_before) = (machine::busy_s(), children_cpu_s()?);
    let started = Instant::now();
    let status = command.status().with_context(|| copier.name())?;
    let wall_s = started.elapsed().as_secs_f64();
    let (busy_s, cpu_s) = (machine::busy_s() - busy_before, children_cpu_s()? - cpu_before);
    ensure!(status.success(), "{}: {status}", copier.name());
    let others_cpu_s = (busy_s - cpu_s).max(0.0); // counted in ticks, so it may come out a little below
    Ok(Run { wall_s, cpu_s, others_cpu_s })
}

fn children_cpu_s() -> nix::Result<f64> {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok((used.user_time().num_microseconds() + used.system_time().num_microseconds()) as f64 / 1e6)
}

fn read_through(directory: &Path) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            read_through(&entry.path())?;
        } else {
            let mut file = File::open(entry.path())?;
            while file.read(&mut buffer)? > 0 {}
        }
    }
    Ok(())
}
