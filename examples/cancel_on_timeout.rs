//! Stop a copy that takes too long, and say how far it came.
//!
//! ```text
//! cargo run --example cancel_on_timeout -- SECONDS SRC DST
//! ```
//!
//! A cancelled copy removes the files it had not finished. Running it again goes on where it was:
//! what is there already is left alone.

use std::{env, error::Error, process::ExitCode, time::Duration};

use orbit::{CopyJob, Engine};
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [seconds, source, destination] = arguments.as_slice() else {
        return Err("usage: cancel_on_timeout SECONDS SRC DST".into());
    };
    let limit = Duration::try_from_secs_f64(seconds.parse()?)?;

    let run = Engine::new()?.start(CopyJob::new(source, destination));
    let canceller = run.canceller();
    // Not tokio::time::timeout: that would drop the run, which cancels it too, but tells nothing.
    let mut finish = std::pin::pin!(run.finish());
    let report = tokio::select! {
        report = &mut finish => report?,
        () = sleep(limit) => {
            canceller.cancel();
            finish.await?
        }
    };

    let totals = &report.totals;
    let how = if report.cancelled { "cancelled" } else { "finished" };
    println!(
        "{how} after {:?}: {} files, {} bytes",
        report.elapsed, totals.files_copied, totals.bytes_copied
    );
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
