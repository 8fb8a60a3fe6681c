//! The main job: run a copy, tell its failures as they come, and account for it in the end.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use futures::StreamExt;
use orbit::{CopyJob, Engine, Event, Report};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{
    COMPLETE, FAILED, INTERRUPTED,
    args::{Backend, CopyArgs},
    explain::explanation,
    json,
    manifest::Manifest,
    output::{failure_line, ring_line, summary, warning_line},
    progress::{Display, Lines},
    system::Interrupts,
};

/// Run the copy; the exit status.
pub(crate) async fn run(args: &CopyArgs, job: CopyJob, lines: Lines) -> anyhow::Result<u8> {
    let mut interrupts = Interrupts::catch()?;
    let engine = match args.jobs {
        Some(jobs) => Engine::builder().jobs(jobs.into()).build()?,
        None => Engine::new()?,
    };
    let root = job.target().path().to_owned();
    let begin = |path: &PathBuf| Manifest::begin(path, &root);
    let mut manifest = args.checks.manifest.as_ref().map(begin).transpose()?;
    let mut run = engine.start(job);
    let progress = run.progress();
    let mut display = args.shows_progress().then(|| Display::new(&lines));
    let mut ticks = interval_at(Instant::now() + Display::INTERVAL, Display::INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = run.next() => match event {
                Some(Event::Failed(failure)) => lines.print(&failure_line(&failure)),
                Some(Event::Entry { path, digest: Some(digest), .. }) => {
                    if let Some(manifest) = &mut manifest {
                        manifest.add(&path, digest)?;
                    }
                }
                Some(_) => {}
                None => break,
            },
            () = interrupts.next() => {
                run.cancel();
                if !args.quiet {
                    lines.print("orbit: interrupted, removing what is unfinished");
                }
            }
            _ = ticks.tick(), if display.is_some() => {
                if let Some(display) = &mut display {
                    display.show(&progress.borrow());
                }
            }
        }
    }
    if let Some(display) = display {
        display.clear();
    }
    let report = run.finish().await?;
    if let Some(manifest) = manifest.filter(|_| !report.cancelled) {
        manifest.finish()?;
    }
    account(args, &report, &lines)?;
    Ok(match &report {
        report if report.cancelled => INTERRUPTED,
        report if report.totals.failed > 0 => FAILED,
        _ => COMPLETE,
    })
}

/// Say what was done.
fn account(args: &CopyArgs, report: &Report, lines: &Lines) -> anyhow::Result<()> {
    if !args.quiet {
        report.warnings.iter().for_each(|warning| lines.print(&warning_line(warning)));
    }
    if let (Backend::Uring, Some(why), false) = (args.backend, &report.ring_refused, args.quiet) {
        lines.print(&ring_line(why));
    }
    if args.json {
        print(&format!("{}\n", json::report(report)))?;
    } else if !args.quiet {
        print(&summary(report, args.verbose > 0))?;
    }
    if args.explain {
        lines.print(&explanation(report));
    }
    Ok(())
}

/// Write to standard output; it is no error when its reader has gone.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}
