//! The contest: all copiers on each tree, in turns.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use crate::{
    arena::{Arena, Filesystem, Place, keep_mounts_private},
    chart,
    check::{Findings, Lost, compare},
    corpus::{Extent, Tree, make_awkward},
    machine::{Ground, Machine},
    measure::{Cache, Pass, STARTER, be_starter, copy},
    peer::{self, Contender},
    table::{Contest, Results, Row, Size},
};

/// Compare Orbit with other copiers on the same trees.
#[derive(Debug, Parser)]
#[command(name = "peers", bin_name = "cargo bench --bench peers --")]
struct Args {
    /// Runs of each copier on each tree
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How much of each tree's full size to make; 1 is 100,000 small files
    #[arg(long, default_value_t = 0.2)]
    scale: f64,
    /// Trees to copy
    #[arg(long = "tree", value_delimiter = ',', default_value = "small,huge_dir,mixed")]
    trees: Vec<Tree>,
    /// Filesystem to make for the trees, in an image [default: ext4 as root, none otherwise]
    #[arg(long, conflicts_with = "dir")]
    fs: Option<Filesystem>,
    /// Where to put the image; in memory by default, and for --cold better on a disk
    #[arg(long, default_value = "/dev/shm")]
    image_dir: PathBuf,
    /// Put the trees in this directory instead
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Copiers to compare with, where they are on PATH
    #[arg(long, value_delimiter = ',', value_parser = peer::known())]
    peers: Vec<String>,
    /// Also let orbit run with --preserve=LIST
    #[arg(long, value_name = "LIST")]
    preserve: Option<String>,
    /// Also let orbit run with these arguments, separated by spaces; may be given again
    #[arg(long, value_name = "ARGUMENTS", allow_hyphen_values = true)]
    orbit: Vec<String>,
    /// Drop all caches before each run (as root), instead of reading the source
    #[arg(long)]
    cold: bool,
    /// Time a second run over each copier's own copy, which has nothing to do
    ///
    /// Compares with those alone that leave unchanged files alone, unless --peers says otherwise.
    #[arg(long)]
    again: bool,
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
        if self.bench && !self.test { self } else { Args { runs: 1, scale: 0.002, ..self } }
    }

    fn contenders(&self) -> Vec<Contender> {
        let able = || peer::THAT_UPDATE.map(str::to_owned).to_vec();
        let wanted = if self.again && self.peers.is_empty() { able() } else { self.peers.clone() };
        let (found, missing) = peer::find(&wanted);
        if !missing.is_empty() {
            println!("not on PATH: {}", missing.join(", "));
        }
        let preserve = self.preserve.iter().map(|list| vec![format!("--preserve={list}")]);
        let others = self.orbit.iter().map(|words| words.split_whitespace().map(str::to_owned).collect());
        let variants = [Vec::new()].into_iter().chain(preserve).chain(others);
        variants.map(|arguments| Contender::orbit(&arguments)).chain(found).collect()
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
        let filesystem = self.fs.unwrap_or(Filesystem::Ext4);
        match keep_mounts_private() {
            Ok(()) => Ok(Place::Images(filesystem, self.image_dir.clone())),
            Err(error) if self.fs.is_none() => {
                Ok(temporary(&format!("mounting a filesystem needs root ({error})")))
            }
            Err(error) => Err(error).context("mounting a filesystem needs root"),
        }
    }
}

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
    let place = args.place()?;
    let contenders = args.contenders();
    let lost =
        contenders.iter().map(|contender| lost_at_all(contender, &place)).collect::<Result<Vec<_>>>()?;
    let cache = if args.cold { Cache::Cold } else { Cache::Warm };
    let pass = if args.again { Pass::Again } else { Pass::First };
    let machine = Machine::this();
    let mut results = Results { machine, runs: args.runs, cache, pass, contests: Vec::new() };
    println!("\n{}", results.heading());
    for tree in &args.trees {
        let contest = match hold(&args, *tree, &place, &contenders, &lost, (cache, pass)) {
            Ok(contest) => contest,
            Err(error) => {
                println!("{} left out: {error:#}\n", tree.name());
                continue;
            }
        };
        println!("{}", contest.section(&results.machine));
        results.contests.push(contest);
        write(&results)?;
    }
    ensure!(!results.contests.is_empty(), "no tree could be copied");
    let reference = results.contests.iter().flat_map(|contest| &contest.rows).filter(|row| row.is_reference);
    for row in reference {
        if let Some(trouble) = &row.trouble {
            bail!("orbit's copy is not whole: {trouble}");
        }
        ensure!(row.lost.is_empty(), "orbit's copy lost {}", row.lost.join(", "));
    }
    Ok(())
}

/// What a copier loses of a tree that has one of everything.
fn lost_at_all(contender: &Contender, place: &Place) -> Result<BTreeSet<Lost>> {
    let arena = Arena::new(place, Extent { entries: 100, bytes: 32 << 20 })?;
    let (source, destination) = (arena.path().join("source"), arena.path().join("copy"));
    make_awkward(&source).context("making a tree with one of everything")?;
    if let Err(error) = copy(contender, &source, &destination, Cache::Warm, Pass::First) {
        println!("{}, on a tree with one of everything: {error:#}", contender.name);
    }
    let findings = compare(&source, &destination)?;
    if let Some(wrong) = findings.first_wrong {
        println!("{}, on a tree with one of everything: {wrong}", contender.name);
    }
    Ok(findings.lost)
}

/// Let all contenders copy one tree, in turns.
fn hold(
    args: &Args,
    tree: Tree,
    place: &Place,
    contenders: &[Contender],
    lost: &[BTreeSet<Lost>],
    (cache, pass): (Cache, Pass),
) -> Result<Contest> {
    let arena = Arena::new(place, tree.extent(args.scale))?;
    let (source, destination) = (arena.path().join("source"), arena.path().join("copy"));
    tree.make(&source, args.scale).context("making the tree")?;
    let mut lost = lost.to_vec();
    let mut rows: Vec<Row> = contenders.iter().map(row).collect();
    for round in 0..args.runs {
        for index in turns(round, contenders.len()) {
            let row = &mut rows[index];
            if row.trouble.is_some() {
                continue; // the time of a copy that is none says nothing
            }
            notice(&format!("{}, round {}: {}", tree.name(), round + 1, row.copier));
            match copy(&contenders[index], &source, &destination, cache, pass) {
                Ok(run) => row.runs.push(run),
                Err(error) => row.trouble = Some(format!("{error:#}")),
            }
            let Findings { lost: lost_here, wrong, first_wrong, .. } = compare(&source, &destination)?;
            lost[index].extend(lost_here);
            if let (Some(first), None) = (first_wrong, &row.trouble) {
                row.trouble = Some(format!("{wrong} wrong, first {first}"));
            }
        }
    }
    notice("");
    for (row, lost) in rows.iter_mut().zip(lost) {
        row.lost = lost.into_iter().map(Lost::name).collect();
    }
    let ground = Ground::under(&source)?;
    Ok(Contest { tree: tree.name(), scale: args.scale, size: size_of(&source)?, ground, rows })
}

/// Show what is going on, on a terminal, in place of the notice before.
fn notice(what: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

fn row(contender: &Contender) -> Row {
    Row {
        copier: contender.name.clone(),
        version: contender.version.clone(),
        is_reference: contender.is_reference,
        runs: Vec::new(),
        lost: Vec::new(),
        trouble: None,
    }
}

/// Who copies when: someone else first in each round, and every other round the other way round,
/// so that nobody always comes after the same one.
fn turns(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| {
        let turn = if round.is_multiple_of(2) { turn } else { count - 1 - turn };
        (round + turn) % count
    })
}

fn size_of(directory: &Path) -> io::Result<Size> {
    let mut size = Size { directories: 1, ..Size::default() };
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_dir() {
            let inner = size_of(&entry.path())?;
            size.files += inner.files;
            size.directories += inner.directories;
            size.bytes += inner.bytes;
        } else {
            size.files += 1;
            size.bytes += meta.len();
        }
    }
    Ok(size)
}

/// Write what is known so far to target/peers.
fn write(results: &Results) -> Result<()> {
    // This program is target/PROFILE/deps/peers-HASH.
    let program = env::current_exe()?;
    let directory = program.ancestors().nth(3).context("no target directory")?.join("peers");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("results.md"), results.markdown())?;
    fs::write(directory.join("results.json"), serde_json::to_string_pretty(results)?)?;
    chart::draw(results, &directory.join("results.svg"))?;
    println!("written to {}\n", directory.display());
    Ok(())
}
