//! The main job: run a copy, tell its failures as they come, and account for it in the end.

use std::{collections::HashSet, sync::Arc};

use futures::StreamExt;
use orbit::{CopyJob, Event, Failure, Report, Run, Warning, WarningKind};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};

use crate::{
    args::{Backend, CopyArgs},
    output::{
        aside::{Aside, PATIENCE},
        explain::explanation,
        json,
        listeners::{Ended, Heard, Listeners, News},
        progress::{Display, Lines},
        text::{cause_text, failure_line, ring_line, stopped_line, summary, warning_line},
    },
    signals::{self, Interrupts},
    status, system,
};

/// Run the copy; the exit status.
pub(crate) async fn run(args: &CopyArgs, job: CopyJob, lines: Lines) -> anyhow::Result<u8> {
    // A signal that comes meanwhile ends the process: nothing is begun.
    let listeners = match Listeners::new(args, &job)?.aside() {
        Ok(listeners) => listeners,
        Err(error) => {
            let why = cause_text(&error.to_string());
            lines.print(&format!("orbit: stopped: no thread can be had: {why}; nothing was tried"));
            return Ok(status::STOPPED);
        }
    };
    let engine = match args.jobs {
        Some(jobs) => system::engine().jobs(jobs.into()).build()?,
        None => system::engine().build()?,
    };
    let mut interrupts = Interrupts::begin();
    let mut outcomes = Vec::new();
    let before = match args.mirror.deletes_before(&job) {
        Some(deletes) => {
            listeners.tell(News::Deleting(true)).await;
            let run = engine.start(deletes);
            let report = listen(args, run, &listeners, &mut interrupts, &lines, &mut Told::default()).await?;
            outcomes.push(report.outcome());
            listeners.tell(News::Deleting(false)).await;
            Some(report)
        }
        None => None,
    };
    let report = match before {
        Some(report) if report.cancelled || report.stopped.is_some() => report,
        before => {
            let mut told = Told::of(before.as_ref());
            // Whoever looks on wants to know how much there is.
            let run = engine.start(job.count_ahead(args.shows_progress()));
            let mut report = listen(args, run, &listeners, &mut interrupts, &lines, &mut told).await?;
            outcomes.push(report.outcome());
            if let Some(before) = before {
                report.totals.deleted += before.totals.deleted;
                report.totals.failed = told.in_all(before.totals.failed, report.totals.failed);
                report.totals.undeleted += before.totals.undeleted;
                report.failures.retain(|failure| !told.knows(failure));
                report.failures.extend(before.failures);
                let is_new =
                    |warning: &Warning| report.warnings.iter().all(|known| known.kind != warning.kind);
                let warnings: Vec<_> = before.warnings.into_iter().filter(is_new).collect();
                report.warnings.extend(warnings);
            }
            report
        }
    };
    // All is cleaned up: from now on a signal ends the process, unless it is the first one again.
    interrupts.end();
    let report = Arc::new(report);
    tell(args, &report, &lines);
    let status = signals::wished().unwrap_or_else(|| said(status::of_runs(outcomes), &lines));
    let ended = Ended { report: report.clone(), status, summary: account(args, report) };
    let heard = listeners.end(Some(News::Ended(Box::new(ended))), || signals::wished().is_some()).await;
    let Heard { status, complaints } = heard.unwrap_or_else(|| Heard {
        status: status::without_output(status),
        complaints: vec!["what was to be written in the end was given up".to_owned()],
    });
    complaints.iter().for_each(|complaint| lines.print(&format!("orbit: {complaint}")));
    Ok(if signals::wished().is_some() { status } else { said(status, &lines) })
}

/// The exit status where it is to be `status`, if all that was said on standard error could be written.
fn said(status: u8, lines: &Lines) -> u8 {
    if lines.has_failed() { status::without_output(status) } else { status }
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
    listeners: &Aside<News, Heard>,
    interrupts: &mut Interrupts,
    lines: &Lines,
    told: &mut Told,
) -> anyhow::Result<Report> {
    let progress = run.progress();
    let mut display = args.shows_progress().then(|| Display::new(lines));
    let mut ticks = interval_at(Instant::now() + Display::INTERVAL, Display::INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Once it is to stop: until when who does not take what he is told may keep it from that.
    let mut patience: Option<Instant> = None;
    loop {
        let next = async {
            let room = match patience {
                None => listeners.room().await,
                Some(end) => timeout_at(end, listeners.room()).await.ok().flatten(),
            };
            (room, run.next().await)
        };
        tokio::select! {
            (room, event) = next => {
                let Some(event) = event else { break };
                if let Event::Failed(failure) = &event
                    && told.knows(failure)
                {
                    told.again += 1;
                    continue;
                }
                match &event {
                    Event::Failed(failure) => lines.print(&failure_line(failure)),
                    // In time for who would rather stop it.
                    Event::Warned(warning) if warning.kind == WarningKind::Room && !args.quiet => {
                        lines.print(&warning_line(warning));
                    }
                    _ => {}
                }
                match room {
                    Some(room) => {
                        room.send(News::Event(event));
                        patience = patience.map(|_| Instant::now() + PATIENCE);
                    }
                    None => listeners.tell_at_once(News::Event(event)),
                }
            }
            () = interrupts.next() => {
                patience = Some(Instant::now() + PATIENCE);
                run.cancel();
                if !args.quiet {
                    lines.print("orbit: interrupted, removing what is unfinished");
                }
            }
            _ = ticks.tick(), if display.is_some() || args.log.is_some() => {
                if args.log.is_some() {
                    listeners.tell_at_once(News::Flush);
                }
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

/// Say on standard error how it went.
fn tell(args: &CopyArgs, report: &Report, lines: &Lines) {
    if !args.quiet {
        let untold = report.warnings.iter().filter(|warning| warning.kind != WarningKind::Room);
        untold.for_each(|warning| lines.print(&warning_line(warning)));
    }
    if let (Backend::Uring, Some(why), false) = (args.backend, &report.ring_refused, args.quiet) {
        lines.print(&ring_line(why));
    }
    stopped_line(report).into_iter().for_each(|line| lines.print(&line));
    if args.explain {
        lines.print(&explanation(report));
    }
}

/// What standard output has in the end, of the exit status.
fn account(args: &CopyArgs, report: Arc<Report>) -> Box<dyn FnOnce(u8) -> String + Send> {
    let (is_json, is_quiet, has_details) = (args.json, args.quiet, args.verbose > 0);
    let is_dry = if args.mirror.dry_run { "dry run, nothing was done: " } else { "" };
    Box::new(move |status| match (is_json, is_quiet) {
        (true, _) => format!("{}\n", json::report(&report, status)),
        (false, true) => String::new(),
        (false, false) => format!("{is_dry}{}", summary(&report, has_details)),
    })
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
