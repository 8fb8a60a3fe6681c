//! `orbit`, the command: arguments in, a copy and an honest account of it out.

mod args;
mod capabilities;
mod compare;
mod copy;
mod destination;
mod explain;
mod itemize;
mod job;
mod json;
mod listeners;
mod log;
mod manifest;
mod output;
mod progress;
mod report;
mod system;

use std::{env, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, filter_fn},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use args::{Cli, Command};
use progress::Lines;

/// Everything was copied.
const COMPLETE: u8 = 0;
/// Something failed; the rest was copied all the same. (Wrong usage is 2, which is clap's.)
const FAILED: u8 = 1;
/// A signal ended the copy early.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code.into(),
        Err(error) => {
            Lines::default().print(&format!("orbit: {error:#}"));
            FAILED.into()
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let lines = Lines::default();
    match cli.command {
        Some(Command::Capabilities(args)) => {
            trace(LevelFilter::ERROR, &lines)?;
            runtime.block_on(capabilities::show(&args))
        }
        Some(Command::Verify(args)) => {
            trace(LevelFilter::ERROR, &lines)?;
            runtime.block_on(compare::show(&args))
        }
        Some(Command::Report(args)) => report::show(&args),
        None => {
            let job = job::job_of(&cli.copy).unwrap_or_else(|refusal| refusal.exit());
            trace(cli.copy.log_level(), &lines)?;
            system::prepare();
            runtime.block_on(copy::run(&cli.copy, job, lines))
        }
    }
}

/// Show the library's tracing as far as `level` says, or as `ORBIT_LOG` says.
fn trace(level: LevelFilter, lines: &Lines) -> anyhow::Result<()> {
    let filter = match env::var("ORBIT_LOG") {
        Ok(asked) => {
            FilterExt::boxed(EnvFilter::builder().parse(asked).context("cannot understand ORBIT_LOG")?)
        }
        // Failures and warnings have lines of their own, which what is logged of them would repeat.
        Err(_) => FilterExt::boxed(level.and(filter_fn(|event| {
            event.target().starts_with("orbit") && *event.level() != tracing::Level::WARN
        }))),
    };
    let layer = fmt::layer().with_writer(lines.clone()).with_ansi(false).with_timer(fmt::time::uptime());
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    Ok(())
}
