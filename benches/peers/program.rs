//! The programme: contests one after the other, and what came of them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use crate::{
    args::Args,
    chart, contest, fixture,
    held::LeftOut,
    machine::Machine,
    measure::{STARTER, be_starter},
    place::Places,
    results::Results,
    roster::Roster,
    verdict::{self, Verdict},
    writeback::EarlyWriteback,
};

pub(crate) fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == STARTER).is_some() {
        return be_starter(arguments);
    }
    match run(Args::parse().tried_only()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    ensure!(args.runs > 0 && args.scale > 0.0, "no runs, or nothing to copy");
    let directory = output_directory()?;
    let places = Places::new(args.dir.clone(), args.image_dir.clone(), &directory);
    let bars = args.bars();
    let fixtures = if bars.is_empty() { args.fixtures(places.are_made()) } else { fixture::for_bars(&bars) };
    ensure!(!fixtures.is_empty(), "no bar is set on that filesystem");
    let _early = args.writeback.then(EarlyWriteback::begin).transpose()?;
    let mut roster = Roster::new(&args.peers);
    let mut results = Results {
        machine: Machine::this(),
        runs: args.runs,
        contests: Vec::new(),
        left_out: Vec::new(),
        verdicts: Vec::new(),
    };
    println!("{}", results.heading());
    for fixture in &fixtures {
        let sitting = fixture.sitting;
        let held = places
            .for_sitting(sitting)
            .and_then(|place| contest::hold(fixture, &place, args.scale, args.runs, &mut roster));
        match held {
            Ok(contest) => {
                println!("{}", contest.section(&results.machine));
                results.contests.push(contest);
                write(&results, &directory)?;
            }
            Err(error) => {
                let why = format!("{error:#}");
                println!("{sitting} left out: {why}\n");
                results.left_out.push(LeftOut { sitting, why });
            }
        }
    }
    if bars.is_empty() {
        ensure!(!results.contests.is_empty(), "no tree could be copied");
    } else {
        results.verdicts = bars
            .iter()
            .map(|bar| Verdict::of(bar, &results.contests, &results.left_out, results.machine.cores))
            .collect();
        write(&results, &directory)?;
        println!("{}", verdict::section(&results.verdicts, results.runs));
    }
    println!("written to {}", directory.display());
    check_orbit(&results)
}

/// See whether Orbit's copies were whole.
fn check_orbit(results: &Results) -> Result<()> {
    for contest in &results.contests {
        for row in contest.rows.iter().filter(|row| row.is_orbit) {
            if let Some(trouble) = &row.trouble {
                bail!("{}: the copy of `{}` is not whole: {trouble}", contest.sitting, row.copier);
            }
            let may_lose = !row.must_keep_all() || row.lost.is_empty();
            ensure!(may_lose, "{}: `{}` lost {}", contest.sitting, row.copier, row.lost.join(", "));
        }
    }
    Ok(())
}

/// target/peers.
fn output_directory() -> Result<PathBuf> {
    // This program is target/PROFILE/deps/peers-HASH.
    let program = env::current_exe()?;
    let directory = program.ancestors().nth(3).context("no target directory")?.join("peers");
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// Write down what is known so far.
fn write(results: &Results, directory: &Path) -> Result<()> {
    fs::write(directory.join("results.md"), results.markdown())?;
    fs::write(directory.join("results.json"), serde_json::to_string_pretty(results)?)?;
    chart::draw(results, &directory.join("results.svg"))
}
