//! What a run may take, and what it does about errors.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use clap::Args;
use orbit::{CopyJob, Limits, Retry};

/// What a run may take, and what it does about errors.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// Try what may pass N times more: I/O and network errors, a lack of resources, a copy that turns out
    /// not to be what was copied
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// How long to wait before the first of them, such as 500ms or 10s; it doubles each time
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    retry_wait: Duration,
    /// Count first what the copies would take, and write nothing if the destination has less room (with
    /// --delete=before, when that is done)
    #[arg(long)]
    preflight: bool,
    /// Stop after N failures
    #[arg(long, value_name = "N")]
    max_errors: Option<NonZeroU32>,
    /// Put at most RATE bytes a second in place, such as 500K or 10M; shared blocks do not count
    #[arg(long, value_name = "RATE", value_parser = rate)]
    bwlimit: Option<NonZeroU64>,
    /// At most N operations a second: entries begun, and calls that move content
    #[arg(long, value_name = "N")]
    iops_limit: Option<NonZeroU64>,
    /// Use the disk only while nobody else does
    #[arg(long)]
    nice_io: bool,
}

impl LimitArgs {
    pub(crate) fn apply(&self, job: CopyJob) -> CopyJob {
        let mut limits = Limits::default().idle_io(self.nice_io).preflight(self.preflight);
        if let Some(rate) = self.bwlimit {
            limits = limits.bandwidth(rate);
        }
        if let Some(rate) = self.iops_limit {
            limits = limits.operations(rate);
        }
        if let Some(most) = self.max_errors {
            limits = limits.max_errors(most.into());
        }
        job.limits(limits).retry(Retry::default().times(self.retries).wait(self.retry_wait))
    }
}

fn rate(text: &str) -> Result<NonZeroU64, String> {
    let size = super::size(text.strip_suffix("/s").unwrap_or(text)).map_err(|error| error.to_string())?;
    NonZeroU64::new(size).ok_or_else(|| "a rate of nothing copies nothing".to_owned())
}
