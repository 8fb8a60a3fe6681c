//! The main job: run a copy, tell its failures as they come, and account for it in the end.

use std::{
    collections::HashSet,
    io::{self, Write},
};

use anyhow::Context;
use futures::StreamExt;
use orbit::{CopyJob, Engine, Event, Failure, Loss, Report, Run, Warning};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{
    COMPLETE, FAILED, INTERRUPTED,
    args::{Backend, CopyArgs},
    explain::explanation,
    json,
    listeners::Listeners,
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
    let mut listeners = Listeners::new(args, &job)?;
    let before = match args.mirror.deletes_before(&job) {
        Some(deletes) => {
            listeners.set_deleting(true);
            let run = engine.start(deletes);
            Some(listen(args, run, &mut listeners, &mut interrupts, &lines, &mut Told::default()).await?)
        }
        None => None,
    };
    let report = match before {
        Some(report) if report.cancelled => report,
        before => {
            listeners.set_deleting(false);
            let mut told = Told::of(before.as_ref());
            let run = engine.start(job);
            let mut report = listen(args, run, &mut listeners, &mut interrupts, &lines, &mut told).await?;
            if let Some(before) = before {
                report.totals.deleted += before.totals.deleted;
                report.totals.failed = told.in_all(before.totals.failed, report.totals.failed);
                report.totals.undeleted += before.totals.undeleted;
                report.failures.retain(|failure| !told.knows(failure));
                report.failures.extend(before.failures);
                let is_new =
                    |warning: &Warning| report.warnings.iter().all(|known| known.loss != warning.loss);
                let warnings: Vec<_> = before.warnings.into_iter().filter(is_new).collect();
                report.warnings.extend(warnings);
            }
            report
        }
    };
    let status = match &report {
        report if report.cancelled => INTERRUPTED,
        report if !report.is_complete() => FAILED,
        _ => COMPLETE,
    };
    let finished = listeners.finish(&report, status);
    account(args, &report, &lines)?;
    finished?;
    Ok(status)
}

/// Failures that a run before has told of.
#[derive(Default)]
struct Told {
    failures: HashSet<String>,
    /// How many of them have come again.
    again: u64,
}

impl Told {
    fn of(before: Option<&Report>) -> Told {
        let failures = before.iter().flat_map(|report| &report.failures);
        Told { failures: failures.map(ToString::to_string).collect(), again: 0 }
    }

    /// How many entries failed in both runs, what failed in each counted once.
    fn in_all(&self, before: u64, after: u64) -> u64 {
        // A directory may fail in several ways, and is one entry all the same.
        (before + after).saturating_sub(self.again).max(before).max(after)
    }

    fn knows(&self, failure: &Failure) -> bool {
        !self.failures.is_empty() && self.failures.contains(&failure.to_string())
    }
}

/// Listen to a run until it is over, and cancel it when a signal comes.
async fn listen(
    args: &CopyArgs,
    mut run: Run,
    listeners: &mut Listeners,
    interrupts: &mut Interrupts,
    lines: &Lines,
    told: &mut Told,
) -> anyhow::Result<Report> {
    let progress = run.progress();
    let mut display = args.shows_progress().then(|| Display::new(lines));
    let mut ticks = interval_at(Instant::now() + Display::INTERVAL, Display::INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = run.next() => match event {
                Some(Event::Failed(failure)) if told.knows(&failure) => told.again += 1,
                Some(event) => {
                    match &event {
                        Event::Failed(failure) => lines.print(&failure_line(failure)),
                        // In time for who would rather stop it.
                        Event::Warned(warning) if warning.loss == Loss::Room && !args.quiet => {
                            lines.print(&warning_line(warning));
                        }
                        _ => {}
                    }
                    listeners.hear(&event)?;
                }
                None => break,
            },
            () = interrupts.next() => {
                run.cancel();
                if !args.quiet {
                    lines.print("orbit: interrupted, removing what is unfinished");
                }
            }
            _ = ticks.tick(), if display.is_some() || listeners.are_logging() => {
                listeners.flush();
                if let Some(display) = &mut display {
                    display.show(&progress.borrow());
                }
            }
        }
    }
    if let Some(display) = display {
        display.clear();
    }
    Ok(run.finish().await?)
}

/// Say what was done.
fn account(args: &CopyArgs, report: &Report, lines: &Lines) -> anyhow::Result<()> {
    if !args.quiet {
        let untold = report.warnings.iter().filter(|warning| warning.loss != Loss::Room);
        untold.for_each(|warning| lines.print(&warning_line(warning)));
    }
    if let (Backend::Uring, Some(why), false) = (args.backend, &report.ring_refused, args.quiet) {
        lines.print(&ring_line(why));
    }
    if args.json {
        print(&format!("{}\n", json::report(report)))?;
    } else if !args.quiet {
        let is_dry = if args.mirror.dry_run { "dry run, nothing was done: " } else { "" };
        print(&format!("{is_dry}{}", summary(report, args.verbose > 0)))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_never_counted_away() {
        let in_all = |again, before, after| Told { again, ..Told::default() }.in_all(before, after);
        assert_eq!(in_all(0, 2, 3), 5);
        assert_eq!(in_all(2, 2, 3), 3);
        assert_eq!(in_all(2, 1, 1), 1, "one directory, in two ways");
        assert_eq!(in_all(9, 1, 0), 1);
    }
}
