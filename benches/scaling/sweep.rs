//! The sweeps: one tree with more and more workers, and trees of larger and larger files.

use std::{
    env, fs,
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

use crate::{
    arena::{Arena, Filesystem, Place, keep_mounts_private},
    chart,
    check::compare,
    corpus::Tree,
    machine::{Ground, Machine},
    measure::{Copier, copy},
    results::{Contest, Results, Row},
};

/// Time Orbit over numbers of workers and sizes of files, beside `cp -a`.
#[derive(Debug, Parser)]
#[command(name = "scaling", bin_name = "cargo bench --bench scaling --")]
struct Args {
    /// Runs of each copier on each tree
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How much to copy: 1 is about 1 GiB, or 20,000 files where those are less
    ///
    /// Files of sizes that are larger than all of it are left out.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// What to vary
    #[arg(long = "axis", value_delimiter = ',', default_value = "jobs,size")]
    axes: Vec<Axis>,
    /// Numbers of workers
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32")]
    jobs: Vec<usize>,
    /// Filesystem to make for the trees, in an image [default: ext4 as root, none otherwise]
    #[arg(long, conflicts_with = "dir")]
    fs: Option<Filesystem>,
    /// Where to put the image, which takes up to 3 GiB; in memory by default
    #[arg(long, default_value = "/dev/shm")]
    image_dir: PathBuf,
    /// Put the trees in this directory instead
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Given by `cargo bench`; without it, everything is tried once and small
    #[arg(long, hide = true)]
    bench: bool,
    /// Try everything once and small
    #[arg(long, hide = true)]
    test: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Axis {
    /// The number of workers, on small files and on one large file.
    Jobs,
    /// The size of files.
    Size,
}

impl Args {
    const SIZES: [u64; 10] =
        [0, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20, 256 << 20, 1 << 30];
    const FILES: f64 = 20_000.0;
    const BYTES: f64 = (1 << 30) as f64;

    /// What `cargo test` wants of a bench: to see that it works.
    fn tried_only(self) -> Args {
        if self.bench && !self.test { self } else { Args { runs: 1, scale: 0.001, jobs: vec![1, 2], ..self } }
    }

    fn bytes(&self) -> u64 {
        (Self::BYTES * self.scale) as u64
    }

    fn tree(&self, file_bytes: u64) -> Tree {
        let most = (Self::FILES * self.scale) as u64;
        Tree { file_bytes, files: (self.bytes() / file_bytes.max(1)).min(most).max(1) }
    }

    /// Small files as a source tree's, and one large file.
    fn over_jobs(&self) -> [Tree; 2] {
        [self.tree(2 << 10), Tree { file_bytes: self.bytes(), files: 1 }]
    }

    fn over_size(&self) -> impl Iterator<Item = Tree> {
        Self::SIZES.into_iter().filter(|size| *size <= self.bytes()).map(|size| self.tree(size))
    }

    /// Where the trees are to lie.
    fn place(&self) -> Result<Place> {
        if let Some(directory) = &self.dir {
            return Ok(Place::Directory(directory.clone()));
        }
        let temporary = |why: &str| {
            println!("trees lie in a temporary directory: {why}");
            Place::Directory(env::temp_dir())
        };
        if self.fs == Some(Filesystem::None) {
            return Ok(temporary("--fs none"));
        }
        match keep_mounts_private() {
            Ok(()) => Ok(Place::Images(self.fs.unwrap_or(Filesystem::Ext4), self.image_dir.clone())),
            Err(error) if self.fs.is_none() => {
                Ok(temporary(&format!("mounting a filesystem needs root ({error})")))
            }
            Err(error) => Err(error).context("mounting a filesystem needs root"),
        }
    }
}

pub(crate) fn main() -> ExitCode {
    match run(&Args::parse().tried_only()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scaling: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    ensure!(args.runs > 0 && args.scale > 0.0 && !args.jobs.contains(&0), "nothing to do");
    let place = args.place()?;
    let mut results =
        Results { machine: Machine::this(), runs: args.runs, over_jobs: Vec::new(), over_size: Vec::new() };
    if args.axes.contains(&Axis::Jobs) {
        let numbers = args.jobs.iter().copied().map(Copier::Jobs);
        let copiers: Vec<_> = numbers.chain([Copier::Orbit, Copier::Cp]).collect();
        for tree in args.over_jobs() {
            results.over_jobs.push(hold(args, tree, &place, &copiers)?);
        }
    }
    if args.axes.contains(&Axis::Size) {
        for tree in args.over_size() {
            results.over_size.push(hold(args, tree, &place, &[Copier::Orbit, Copier::Cp])?);
        }
    }
    println!("\n{}", results.markdown());
    write(&results)
}

/// Let all copy one tree, in turns.
fn hold(args: &Args, tree: Tree, place: &Place, copiers: &[Copier]) -> Result<Contest> {
    let arena = Arena::new(place, tree.extent())?;
    let (source, destination) = arena.source_and_copy()?;
    tree.make(&source).context("making the tree")?;
    let mut rows: Vec<Row> = copiers.iter().map(|copier| Row { copier: *copier, runs: Vec::new() }).collect();
    for round in 0..args.runs {
        for index in turns(round, copiers.len()) {
            notice(&format!("{}, round {}: {}", tree.described(), round + 1, copiers[index].name()));
            rows[index].runs.push(copy(copiers[index], &source, &destination)?);
            if round == 0 {
                let findings = compare(&source, &destination)?;
                let wrong = findings.first_wrong.unwrap_or_default();
                ensure!(findings.wrong == 0, "the copy of {} is not whole: {wrong}", copiers[index].name());
            }
        }
    }
    notice("");
    Ok(Contest { tree, ground: Ground::under(&source)?, rows })
}

/// Who copies when: someone else first in each round, and every other round the other way round,
/// so that nobody always comes after the same one.
fn turns(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| {
        let turn = if round.is_multiple_of(2) { turn } else { count - 1 - turn };
        (round + turn) % count
    })
}

/// Show what is going on, on a terminal, in place of the notice before.
fn notice(what: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

/// Write all of it to target/scaling.
fn write(results: &Results) -> Result<()> {
    // This program is target/PROFILE/deps/scaling-HASH.
    let program = env::current_exe()?;
    let directory = program.ancestors().nth(3).context("no target directory")?.join("scaling");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("results.md"), results.markdown())?;
    fs::write(directory.join("results.json"), serde_json::to_string_pretty(results)?)?;
    if !results.over_jobs.is_empty() {
        chart::over_jobs(&results.over_jobs, &directory.join("jobs.svg"))?;
    }
    if !results.over_size.is_empty() {
        chart::over_size(&results.over_size, &directory.join("size.svg"))?;
    }
    println!("written to {}", directory.display());
    Ok(())
}
