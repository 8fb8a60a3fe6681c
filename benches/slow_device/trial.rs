//! One copy from or to the slow device, timed and checked.

use std::{
    ffi::OsStr,
    fs, io,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use fuser::INodeNo;
use serde::{Deserialize, Serialize};

use crate::{device::Device, memory::Memory};

/// Which side of a copy lies on the slow device; the other lies in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Source,
    Destination,
}

/// So many directories beside each other, full of small files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tree {
    directories: usize,
}

/// What one copy took.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Trial {
    pub(crate) wall_s: f64,
    pub(crate) files_per_s: f64,
    pub(crate) requests: u64,
    pub(crate) jobs: Jobs,
}

/// What Orbit says about its workers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Jobs {
    pub(crate) peak: usize,
    reason: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Step {
    at_seconds: f64,
    from: usize,
    to: usize,
    reason: String,
}

#[derive(Deserialize)]
struct Report {
    jobs: Jobs,
}

impl Jobs {
    /// How the number came about, a line for each step.
    pub(crate) fn steps(&self) -> String {
        let steps = self.steps.iter().map(|Step { at_seconds, from, to, reason }| {
            format!("- after {at_seconds:.2} s {to} instead of {from}: {reason}\n")
        });
        format!("- at first: {}\n{}", self.reason, steps.collect::<String>())
    }
}

impl Tree {
    const FILES_PER_DIRECTORY: usize = 100;
    /// Files of the smallest tree.
    pub(crate) const LEAST: usize = Self::FILES_PER_DIRECTORY;
    const FILE_BYTES: usize = 1024;

    /// With about so many files.
    pub(crate) fn of(files: usize) -> Tree {
        Tree { directories: (files / Self::FILES_PER_DIRECTORY).max(1) }
    }

    pub(crate) fn files(self) -> usize {
        self.directories * Self::FILES_PER_DIRECTORY
    }

    /// Names of directories and their files, and what is in them.
    fn each(self, mut seen: impl FnMut(&str, &str, &[u8]) -> Result<()>) -> Result<()> {
        for index in 0..self.files() {
            let (directory, file) = (index / Self::FILES_PER_DIRECTORY, index % Self::FILES_PER_DIRECTORY);
            let content = index.to_le_bytes().repeat(Self::FILE_BYTES / size_of::<usize>());
            seen(&format!("directory-{directory:04}"), &format!("file-{file:04}"), &content)?;
        }
        Ok(())
    }

    fn fill(self, memory: &mut Memory) -> Result<()> {
        let top = memory.make_directory(INodeNo::ROOT, OsStr::new("source"), 0o755)?.ino;
        self.each(|directory, file, content| {
            let home = match memory.lookup(top, OsStr::new(directory)) {
                Ok(home) => home,
                Err(_) => memory.make_directory(top, OsStr::new(directory), 0o755)?,
            };
            let made = memory.make_file(home.ino, OsStr::new(file), 0o644)?;
            Ok(memory.write(made.ino, 0, content)?)
        })
    }

    fn make(self, root: &Path) -> Result<()> {
        self.each(|directory, file, content| {
            let home = root.join(directory);
            fs::create_dir_all(&home)?;
            Ok(fs::write(home.join(file), content)?)
        })
    }

    fn check(self, copy: &Path) -> Result<()> {
        self.each(|directory, file, content| {
            let path = copy.join(directory).join(file);
            let there = fs::read(&path).with_context(|| path.display().to_string())?;
            ensure!(there == content, "{} has other content", path.display());
            Ok(())
        })
    }

    fn check_in(self, memory: &Memory) -> Result<()> {
        let top = memory.lookup(INodeNo::ROOT, OsStr::new("copy"))?.ino;
        self.each(|directory, file, content| {
            let home = memory.lookup(top, OsStr::new(directory))?.ino;
            let there = memory.read(memory.lookup(home, OsStr::new(file))?.ino, 0, u32::MAX)?;
            ensure!(there == content, "{directory}/{file} has other content");
            Ok(())
        })
    }
}

/// Let Orbit copy a tree, with so many workers or as many as it likes, between a device that is
/// mounted for this copy, so that the kernel knows nothing of it yet, and a directory.
///
/// # Errors
/// When the copy fails, or is not whole.
pub(crate) fn copy(
    tree: Tree,
    side: Side,
    jobs: Option<usize>,
    latency: Duration,
    home: &Path,
) -> Result<Trial> {
    let (mount_point, directory) = (home.join("slow"), home.join("fast"));
    for fresh in [&mount_point, &directory] {
        fs::create_dir(fresh)?;
    }
    let mut memory = Memory::new();
    let (source, destination) = match side {
        Side::Source => {
            tree.fill(&mut memory)?;
            (mount_point.join("source"), directory.join("copy"))
        }
        Side::Destination => {
            tree.make(&directory.join("source"))?;
            (directory.join("source"), mount_point.join("copy"))
        }
    };
    let device = Device::mount(memory, latency, &mount_point).context("mounting")?;
    let started = Instant::now();
    let report = orbit(jobs, &source, &destination);
    let wall_s = started.elapsed().as_secs_f64();
    let requests = device.requests();
    let memory = device.unmount().context("unmounting")?;
    let jobs = report?.jobs;
    match side {
        Side::Source => tree.check(&destination)?,
        Side::Destination => tree.check_in(&memory)?,
    }
    for used in [&mount_point, &directory] {
        fs::remove_dir_all(used)?;
    }
    Ok(Trial { wall_s, files_per_s: tree.files() as f64 / wall_s, requests, jobs })
}

fn orbit(jobs: Option<usize>, source: &Path, destination: &Path) -> Result<Report> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orbit"));
    command.args(["--json", "-T"]).args(jobs.map(|jobs| format!("--jobs={jobs}")));
    let output = command.arg(source).arg(destination).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("what orbit printed")
}

/// Whether a device can be mounted at all.
pub(crate) fn can_mount(home: &Path) -> io::Result<()> {
    let mount_point = home.join("slow");
    fs::create_dir(&mount_point)?;
    Device::mount(Memory::new(), Duration::ZERO, &mount_point)?.unmount()?;
    fs::remove_dir(&mount_point)
}
