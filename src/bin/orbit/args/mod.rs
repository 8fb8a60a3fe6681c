//! What can be said on the command line.

mod checks;
mod compress;
mod durable;
mod limits;
mod mirror;
mod report;
mod select;
mod verify;

use std::{io::IsTerminal, path::PathBuf};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use orbit::Attributes;
use tracing_subscriber::filter::LevelFilter;

pub(crate) use checks::CheckArgs;
pub(crate) use compress::CompressArgs;
pub(crate) use durable::DurableArgs;
pub(crate) use limits::LimitArgs;
pub(crate) use mirror::MirrorArgs;
pub(crate) use report::ReportArgs;
pub(crate) use select::SelectArgs;
pub(crate) use verify::VerifyArgs;

const USAGE: &str = "orbit [OPTIONS] SRC... DST
       orbit [OPTIONS] SRC... DIR/
       orbit [OPTIONS] -t DIR SRC...
       orbit [OPTIONS] -s SRC -d DST
       orbit capabilities [--json] [PATH | SRC DST]
       orbit verify [OPTIONS] SRC DST
       orbit verify [OPTIONS] --manifest FILE DST
       orbit report [--json] [--all] FILE";

const AFTER_HELP: &str = "\
A directory becomes DST, whether DST is there or not, so that the same command may be run again; a file, or \
several sources, go into DST where it is a directory. DST/ with a slash means into it, and so does `.`.

Exit status: 0 when everything was copied; 1 when something failed, or an output could not be written (the rest \
was still copied); 2 for wrong usage; 3 when the copy was stopped early (the destination is full or read-only, \
--preflight, --max-errors); 4 when all that failed had vanished from the source, or changed in it, meanwhile. When \
a signal interrupts it, it removes what is unfinished and dies of that signal.

`capabilities`, `verify` and `report` are commands only as the first word: `orbit ./report DST` copies a source \
of that name. ORBIT_LOG=debug (or trace, or module=level,...) shows what the program does inside.";

/// Copies files and directory trees, faithfully and fast.
#[derive(Debug, Parser)]
#[command(
    name = "orbit",
    version,
    override_usage = USAGE,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) copy: CopyArgs,
}

/// What `orbit` does beside copying.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Try what this kernel and a pair of filesystems can do
    Capabilities(CapabilitiesArgs),
    /// Compare a copy with its source, or with a manifest: every byte is read, nothing is changed
    Verify(VerifyArgs),
    /// Sum up a log that `orbit --log` wrote
    Report(ReportArgs),
}

/// The arguments of `orbit capabilities`.
#[derive(Debug, Args)]
#[command(override_usage = "orbit capabilities [--json] [PATH | SRC DST]")]
pub(crate) struct CapabilitiesArgs {
    /// One place for both sides, or a source and a destination; the working directory by default
    #[arg(value_name = "PATH", num_args = 0..=2)]
    pub(crate) paths: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of a copy.
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// Sources, and at the end the destination unless -d or -t names it
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// A source, before those that are named without an option; may be repeated
    #[arg(short, long, value_name = "SRC")]
    pub(crate) source: Vec<PathBuf>,
    /// The destination
    #[arg(short, long, value_name = "DST")]
    pub(crate) dest: Option<PathBuf>,
    /// Copy into DIR, which must exist: as DIR/ at the end
    #[arg(
        short, long, visible_alias = "into", value_name = "DIR",
        conflicts_with_all = ["dest", "no_target_directory"]
    )]
    pub(crate) target_directory: Option<PathBuf>,
    /// Let the copy become DST, whatever DST is: a file is not put into it, a directory is merged with it
    #[arg(short = 'T', long)]
    pub(crate) no_target_directory: bool,

    /// Workers; by default as many as suit the machine's cores and both storages, see --explain
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) jobs: Option<u16>,
    /// What to do with files the destination already has
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub(crate) existing: Existing,
    /// Keep exactly these of each source, and fail what cannot keep them; without LIST, everything.
    /// By default everything is kept that privilege and destination allow
    #[arg(
        long, value_enum, value_name = "LIST", value_delimiter = ',',
        num_args = 0..=1, require_equals = true, default_missing_value = "all"
    )]
    pub(crate) preserve: Option<Vec<Kept>>,
    /// Do not keep these
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',', require_equals = true)]
    pub(crate) no_preserve: Vec<Kept>,

    /// Whether copies share blocks with their sources
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    pub(crate) reflink: Reflink,
    /// Let the kernel move the bytes of files of every size
    #[arg(long, conflicts_with = "no_zero_copy")]
    pub(crate) zero_copy: bool,
    /// Never let the kernel move the bytes; blocks are still shared unless --reflink=never
    #[arg(long)]
    pub(crate) no_zero_copy: bool,
    /// Smallest file whose bytes the kernel moves, such as 1M or 1MiB (both powers of 1024); by
    /// default it begins at 64K and adapts to what is faster, see --explain
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) threshold: Option<u64>,
    /// Who moves the bytes of large files: calls that wait, a ring of io_uring, or what is faster
    #[arg(long, value_enum, value_name = "WHICH", default_value_t)]
    pub(crate) backend: Backend,
    /// Holes: those of the source, every run of zeros, or none
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    pub(crate) sparse: Sparse,

    #[command(flatten)]
    pub(crate) compress: CompressArgs,

    #[command(flatten)]
    pub(crate) select: SelectArgs,

    #[command(flatten)]
    pub(crate) mirror: MirrorArgs,

    #[command(flatten)]
    pub(crate) checks: CheckArgs,

    #[command(flatten)]
    pub(crate) durable: DurableArgs,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    /// Show what is done; twice for each directory, three times for everything
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
    /// Say in the end how the bytes were moved, by how many workers, and why
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) explain: bool,
    /// Print failures and nothing else
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print the final report as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Append to FILE what becomes of each entry, a line of JSON for each, for `orbit report`; it lies
    /// neither in the copy nor where the run comes to in a source
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Whether to show progress on standard error: `auto` does where that is a terminal
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    pub(crate) progress: ShowProgress,
}

/// `--existing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Existing {
    /// Leave a file of the same size and time alone, replace any other
    #[default]
    Update,
    /// Replace it always
    Replace,
    /// Replace it where the source was modified later
    Newer,
    /// Leave it alone
    Skip,
    /// Leave it alone and report a failure
    Fail,
}

/// `--reflink`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reflink {
    /// Share blocks where the filesystem can
    #[default]
    Auto,
    /// Share blocks or fail the file
    Always,
    /// Never share blocks
    Never,
}

/// `--backend`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// A ring where it proves faster, which is tried with files of 64 MiB and more
    #[default]
    Auto,
    /// Never a ring
    Blocking,
    /// A ring, with direct I/O, for every file of 8 MiB and more without holes
    Uring,
}

/// `--sparse`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sparse {
    /// Holes where the source has holes
    #[default]
    Auto,
    /// Also turn runs of zeros into holes
    Always,
    /// Write every byte
    Never,
}

/// `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShowProgress {
    /// Where standard error is a terminal
    #[default]
    Auto,
    /// Never
    Never,
}

/// A name in the lists of `--preserve` and `--no-preserve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kept {
    /// Permissions, with setuid, setgid and sticky
    Mode,
    /// Owner and group
    Ownership,
    /// Access and modification times
    Timestamps,
    /// Extended attributes
    Xattr,
    /// POSIX ACLs
    Acl,
    /// Hard links within what is copied
    Links,
    /// Holes
    Sparse,
    /// FIFOs, sockets and device nodes
    Special,
    /// All of these
    All,
}

impl Kept {
    /// The attributes that a list of names stands for.
    pub(crate) fn attributes(names: &[Kept]) -> Attributes {
        names.iter().fold(Attributes::empty(), |sum, name| sum | name.attribute())
    }

    fn attribute(self) -> Attributes {
        match self {
            Kept::Mode => Attributes::MODE,
            Kept::Ownership => Attributes::OWNERSHIP,
            Kept::Timestamps => Attributes::TIMESTAMPS,
            Kept::Xattr => Attributes::XATTR,
            Kept::Acl => Attributes::ACL,
            Kept::Links => Attributes::LINKS,
            Kept::Sparse => Attributes::SPARSE,
            Kept::Special => Attributes::SPECIAL,
            Kept::All => Attributes::all(),
        }
    }
}

impl CopyArgs {
    /// How much to log.
    pub(crate) fn log_level(&self) -> LevelFilter {
        match self.verbose {
            0 => LevelFilter::ERROR,
            1 => LevelFilter::INFO,
            2 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        }
    }

    /// Whether what becomes of every entry is of interest, and not only failures.
    pub(crate) fn wants_entries(&self) -> bool {
        self.log.is_some() || self.checks.manifest.is_some() || self.mirror.tells_entries()
    }

    /// Whether to show progress.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet && self.progress == ShowProgress::Auto && std::io::stderr().is_terminal()
    }
}

fn size(text: &str) -> Result<u64, parse_size::Error> {
    parse_size::Config::new().with_binary().parse_size(text)
}
