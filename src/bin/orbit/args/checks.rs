//! How copies are checked, and what is written down of it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use orbit::{CopyJob, Verify};

/// How copies are checked, and what is written down of it.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// How each copied file is checked before it counts as finished; without HOW, by SHA-256
    #[arg(
        long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true,
        default_missing_value = "sha256", conflicts_with = "no_verify"
    )]
    pub(crate) verify: Option<How>,
    /// Check nothing, not even sizes
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Write the digest of every file of the copy to FILE, for `sha256sum -c` (or `b3sum -c`, with
    /// --verify=blake3); files that are not copied are read for it
    #[arg(long, value_name = "FILE", conflicts_with = "no_verify")]
    pub(crate) manifest: Option<PathBuf>,
}

/// `--verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum How {
    /// What was put in place must add up (the default)
    Size,
    /// SHA-256 of the source and of the copy, read back
    Sha256,
    /// BLAKE3 of the source and of the copy, read back
    Blake3,
    /// SHA-256, the copy being read back from its device and not from memory
    Media,
}

impl CheckArgs {
    pub(crate) fn apply(&self, job: CopyJob) -> CopyJob {
        let verify = match self.verify {
            None | Some(How::Size) if self.manifest.is_some() => Verify::Sha256,
            None if self.no_verify => Verify::Never,
            None | Some(How::Size) => Verify::Size,
            Some(How::Sha256) => Verify::Sha256,
            Some(How::Blake3) => Verify::Blake3,
            Some(How::Media) => Verify::Media,
        };
        job.verify(verify).digest_all(self.manifest.is_some())
    }
}
