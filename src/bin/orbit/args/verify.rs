//! `orbit verify`.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;
use orbit::Compression;

use super::select::RuleArgs;

/// The arguments of `orbit verify`.
#[derive(Debug, Args)]
#[command(override_usage = "orbit verify [OPTIONS] SRC DST
       orbit verify [OPTIONS] --manifest FILE DST")]
pub(crate) struct VerifyArgs {
    /// The source, and the copy itself
    #[arg(value_name = "PATH", num_args = 1..=2, required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Compare with the digests in FILE, as --manifest, sha256sum or b3sum write them; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// The digests in FILE are BLAKE3; by default they are where its name has b3 or blake3 in it
    #[arg(long, requires = "manifest")]
    pub(crate) blake3: bool,
    /// Compare mode, owner, times, extended attributes, ACLs and hard links too
    #[arg(long, conflicts_with = "manifest")]
    pub(crate) metadata: bool,
    /// The copy is one that --compress made, by the same HOW: what its frames hold is compared
    #[arg(
        long, value_name = "HOW", value_parser = super::compress::how, num_args = 0..=1, require_equals = true,
        default_missing_value = "zstd", conflicts_with_all = ["decompress", "manifest"]
    )]
    compress: Option<Compression>,
    /// The copy is one that --decompress made
    #[arg(long, conflicts_with = "manifest")]
    decompress: bool,
    /// What only the copy has is a difference as well
    #[arg(long)]
    pub(crate) strict: bool,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    /// Workers at most
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Print one JSON object for each difference or failure, and one in the end
    #[arg(long)]
    pub(crate) json: bool,
    /// Print failures and nothing else
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

impl VerifyArgs {
    pub(crate) fn compression(&self) -> Compression {
        match self.compress {
            Some(compression) => compression,
            None if self.decompress => Compression::Decompress,
            None => Compression::None,
        }
    }
}
