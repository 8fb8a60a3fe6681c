//! Run many copies at a time in one engine, whose limit of workers they share.
//!
//! ```text
//! cargo run --example many_copies -- JOBS DIRECTORY SRC...
//! ```
//!
//! However many sources there are, at most JOBS threads copy; none of the copies waits for all of
//! another.

use std::{env, error::Error, ffi::OsString, path::PathBuf};

use futures::{StreamExt, stream::FuturesUnordered};
use orbit::{CopyJob, Engine};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    const USAGE: &str = "usage: many_copies JOBS DIRECTORY SRC...";
    let mut arguments = env::args_os().skip(1);
    let jobs: usize = arguments.next().and_then(|jobs| jobs.into_string().ok()).ok_or(USAGE)?.parse()?;
    let directory = PathBuf::from(arguments.next().ok_or(USAGE)?);
    let sources: Vec<OsString> = arguments.collect();

    let engine = Engine::builder().jobs(jobs).build()?;
    let mut copies: FuturesUnordered<_> = sources
        .iter()
        .map(|source| {
            let run = engine.start(CopyJob::into_directory([source], &directory));
            async move { (source, run.finish().await) }
        })
        .collect();
    while let Some((source, report)) = copies.next().await {
        let report = report?;
        let outcome = match report.failures.first() {
            None => "complete".to_owned(),
            Some(first) => format!("{} failed, first: {first}: {}", report.totals.failed, first.cause()),
        };
        println!("{}: {} files, {outcome}", source.display(), report.totals.files_copied);
    }
    Ok(())
}
