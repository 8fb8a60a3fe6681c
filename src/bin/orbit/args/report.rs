//! The arguments of `orbit report`.

use std::path::PathBuf;

use clap::Args;

/// The arguments of `orbit report`.
#[derive(Debug, Args)]
#[command(
    override_usage = "orbit report [--json] [--all] FILE",
    after_help = "Exit status: 0 when what is told of is whole, 1 when a run was cut off or lines could not be read."
)]
pub(crate) struct ReportArgs {
    /// What `orbit --log FILE` wrote; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Tell of every run that the file has, and not of the last one alone
    #[arg(long)]
    pub(crate) all: bool,
    /// Print one JSON object for each run
    #[arg(long)]
    pub(crate) json: bool,
}
