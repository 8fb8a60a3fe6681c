//! Copy a tree and say what was done.
//!
//! ```text
//! cargo run --example copy_tree -- SRC DST
//! ```

use std::{env, error::Error, process::ExitCode};

use orbit::{CopyJob, Engine};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let (Some(source), Some(destination)) = (arguments.next(), arguments.next()) else {
        return Err("usage: copy_tree SRC DST".into());
    };
    let report = Engine::new()?.start(CopyJob::new(source, destination)).finish().await?;

    // One entry that fails does not stop the others; the report has them all.
    for failure in &report.failures {
        eprintln!("{failure}: {}", failure.cause());
    }
    for warning in &report.warnings {
        eprintln!(
            "{} ({} times, first for {})",
            warning.kind.described(),
            warning.count,
            warning.path.display()
        );
    }
    let totals = &report.totals;
    println!(
        "{} files, {} directories, {} bytes in {:.3} s",
        totals.files_copied,
        totals.directories_created,
        totals.bytes_copied,
        report.elapsed.as_secs_f64()
    );
    for (method, moved) in report.methods() {
        println!("  {} bytes by {}", moved.bytes, method.name());
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
