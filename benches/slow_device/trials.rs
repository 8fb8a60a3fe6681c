//! All trials: every number of workers in turns, and the default beside the best of them.

use std::{
    env, fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use tempfile::TempDir;

use crate::{
    chart,
    machine::Machine,
    results::{Contest, Results, Row},
    trial::{Side, Tree, can_mount, copy},
};

/// Compare Orbit's own choice of workers with fixed numbers of them on a slow, parallel device.
#[derive(Debug, Parser)]
#[command(name = "slow_device", bin_name = "cargo bench --bench slow_device --")]
struct Args {
    /// Rounds, in each of which every number of workers has one turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Files in the tree; fixed numbers below half of the highest copy proportionally fewer
    ///
    /// Then the default and the best fixed number copy a quarter and a sixteenth of it.
    #[arg(long, default_value_t = 12_800)]
    files: usize,
    /// Fixed numbers of workers
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32,64")]
    jobs: Vec<usize>,
    /// How long each request waits for its answer, in milliseconds
    #[arg(long, default_value_t = 10)]
    latency: u64,
    /// What lies on the slow device
    #[arg(long = "side", value_delimiter = ',', default_value = "source")]
    sides: Vec<Side>,
    /// Where the other side lies
    #[arg(long, default_value = "/dev/shm")]
    dir: PathBuf,
    /// Given by `cargo bench`; without it, everything is tried once and small
    #[arg(long, hide = true)]
    bench: bool,
    /// Try everything once and small
    #[arg(long, hide = true)]
    test: bool,
}

impl Args {
    /// What `cargo test` wants of a bench: to see that it works.
    fn tried_only(self) -> Args {
        if self.bench && !self.test { self } else { Args { rounds: 1, files: 100, jobs: vec![8], ..self } }
    }

    fn most_jobs(&self) -> usize {
        self.jobs.iter().copied().max().unwrap_or(1)
    }

    /// The tree that a number of workers copies: with few, the whole would take minutes.
    fn tree(&self, jobs: Option<usize>) -> Tree {
        let part = jobs.map_or(1.0, |jobs| (2.0 * jobs as f64 / self.most_jobs() as f64).min(1.0));
        Tree::of((self.files as f64 * part) as usize)
    }
}

pub(crate) fn main() -> ExitCode {
    match run(&Args::parse().tried_only()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slow_device: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// See to it that what this process mounts is seen by nobody else, and is unmounted by the kernel
/// however the process ends.
fn keep_mounts_private() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
}

fn run(args: &Args) -> Result<()> {
    ensure!(args.rounds > 0 && args.files > 0 && !args.jobs.contains(&0), "nothing to do");
    if let Err(error) = keep_mounts_private() {
        println!("skipped: mounting the device needs root ({error})");
        return Ok(());
    }
    let home = TempDir::with_prefix_in("orbit-slow-", &args.dir)?;
    if let Err(error) = can_mount(home.path()) {
        println!("skipped: a FUSE filesystem cannot be mounted here ({error})");
        return Ok(());
    }
    let mut results = Results {
        machine: Machine::this(),
        latency_ms: args.latency,
        rounds: args.rounds,
        contests: Vec::new(),
    };
    println!("\n{}", results.heading());
    let all: Vec<_> = args.jobs.iter().copied().map(Some).chain([None]).collect();
    for side in &args.sides {
        let mut keep = |contest: Contest| {
            println!("{}", contest.section());
            results.contests.push(contest);
            write(&results)
        };
        let rows = all.iter().map(|jobs| (*jobs, args.tree(*jobs)));
        let contest = hold(args, *side, true, rows.collect(), home.path())?;
        let best = contest.best().and_then(|row| row.jobs);
        keep(contest)?;
        // Where there is less to do, finding the number takes a larger part of it.
        for files in [args.files / 4, args.files / 16].into_iter().filter(|files| *files >= Tree::LEAST) {
            let rows = [best, None].map(|jobs| (jobs, Tree::of(files)));
            keep(hold(args, *side, false, rows.to_vec(), home.path())?)?;
        }
    }
    Ok(())
}

/// Let numbers of workers take turns, each beginning one of the rounds.
fn hold(
    args: &Args,
    side: Side,
    is_whole: bool,
    workers: Vec<(Option<usize>, Tree)>,
    home: &Path,
) -> Result<Contest> {
    let mut rows: Vec<Row> = workers
        .iter()
        .map(|(jobs, tree)| Row { jobs: *jobs, files: tree.files(), trials: Vec::new() })
        .collect();
    for round in 0..args.rounds {
        for turn in 0..workers.len() {
            let index = (round + turn) % workers.len();
            let (jobs, tree) = workers[index];
            notice(&format!("{side:?}, {} files, round {}: {jobs:?}", tree.files(), round + 1));
            rows[index].trials.push(copy(tree, side, jobs, Duration::from_millis(args.latency), home)?);
        }
    }
    notice("");
    let files = rows.iter().map(|row| row.files).max().unwrap_or_default();
    Ok(Contest { side, is_whole, files, rows })
}

/// Show what is going on, on a terminal, in place of the notice before.
fn notice(what: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

/// Write what is known so far to target/slow_device.
fn write(results: &Results) -> Result<()> {
    // This program is target/PROFILE/deps/slow_device-HASH.
    let program = env::current_exe()?;
    let directory = program.ancestors().nth(3).context("no target directory")?.join("slow_device");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("results.md"), results.markdown())?;
    fs::write(directory.join("results.json"), serde_json::to_string_pretty(results)?)?;
    chart::draw(results, &directory.join("results.svg"))
}
