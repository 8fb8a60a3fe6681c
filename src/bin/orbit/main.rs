//! `orbit`, the command: arguments in, a copy and an honest account of it out.

mod args;
mod commands;
mod output;
mod signals;
mod status;
mod system;

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

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
use commands::{capabilities, copy, job, report, verify};
use output::listeners;
use output::progress::Lines;
use output::text::cause_text;

fn main() -> ExitCode {
    let lines = Lines::default();
    // First of all: whatever is named on the command line may be a pipe that nobody writes to.
    let ended = signals::catch().context("cannot catch signals").and_then(|()| run(&lines));
    let code = ended.unwrap_or_else(|error| {
        lines.print(&format!("orbit: {}", cause_text(&format!("{error:#}"))));
        status::FAILED
    });
    signals::end();
    code.into()
}

fn run(lines: &Lines) -> anyhow::Result<u8> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return Ok(refuse(&error, lines)),
    };
    // Without descriptors and threads of its own: where those are short, that is found out by who needs them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.context("cannot start")?;
    let level = if cli.command.is_some() { LevelFilter::ERROR } else { cli.copy.log_level() };
    if let Err(error) = trace(level, lines) {
        lines.print(&format!("orbit: {}", cause_text(&format!("{error:#}"))));
        return Ok(status::USAGE);
    }
    match cli.command {
        Some(Command::Capabilities(args)) => runtime.block_on(capabilities::show(&args)),
        Some(Command::Verify(args)) => Ok(runtime.block_on(verify::show(&args, lines))),
        Some(Command::Report(args)) => report::show(&args),
        None => {
            let job = match job::job_of(&cli.copy) {
                Ok(job) => job,
                Err(refusal) => return Ok(refuse(&refusal, lines)),
            };
            system::prepare();
            runtime.block_on(copy::run(&cli.copy, job, lines.clone()))
        }
    }
}

/// Say why the arguments cannot be used, or what was asked of them; the exit status.
fn refuse(error: &clap::Error, lines: &Lines) -> u8 {
    if !error.use_stderr() {
        // Help, or the version.
        return match error.print().and_then(|()| io::stdout().flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let why = cause_text(&error.to_string());
                lines.print(&format!("orbit: {}: {why}", listeners::TO_STDOUT));
                status::FAILED
            }
            _ => status::COMPLETE,
        };
    }
    lines.print(error.render().to_string().trim_end());
    status::USAGE
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
