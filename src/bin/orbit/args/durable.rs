//! What has to be on the device, and when.

use clap::{Args, ValueEnum};
use orbit::CopyJob;

/// What has to be on the device, and when.
#[derive(Debug, Args)]
pub(crate) struct DurableArgs {
    /// What has to be on the device, and when
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, require_equals = true)]
    fsync: Fsync,
    /// Go on inside large files that an earlier run with --resume left unfinished, and leave them so that a
    /// later one can
    #[arg(long)]
    resume: bool,
}

/// `--fsync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Fsync {
    /// Nothing is waited for; a power cut may take files that are being replaced
    None,
    /// Files that replace others before they do so, in groups
    #[default]
    Auto,
    /// Each file before it counts as done
    File,
    /// As auto, and everything before the run ends
    End,
}

impl DurableArgs {
    pub(crate) fn apply(&self, job: CopyJob) -> CopyJob {
        job.resume(self.resume).fsync(match self.fsync {
            Fsync::None => orbit::Fsync::None,
            Fsync::Auto => orbit::Fsync::Auto,
            Fsync::File => orbit::Fsync::File,
            Fsync::End => orbit::Fsync::End,
        })
    }
}
