//! The lines of a log. docs/json.md lists their keys.

use std::{
    env, process,
    time::{SystemTime, UNIX_EPOCH},
};

use orbit::{CopyJob, Event, Report};
use serde_json::{Map, Value, json};

use crate::output::{itemize, json, text::printable};

/// The version of the lines; it grows when a key changes its meaning.
pub(crate) const VERSION: u64 = 1;

/// What every log begins with.
pub(crate) const MAGIC: &str = "{\"orbit_log\":";

/// The most sources that the first line of a run names, so that it stays one that readers take.
const SOURCES: usize = 100;
/// The most bytes of arguments that it has, for the same.
const ARGUMENTS: usize = 64 * 1024;

/// A name for this run that no other run of this machine has.
pub(super) fn run_id() -> String {
    let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
    format!("{now:x}-{:x}", process::id())
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// The first line of a run.
pub(super) fn begin(run: &str, job: &CopyJob, is_dry: bool) -> String {
    let sources = job.sources().iter().take(SOURCES).map(|source| Value::from(json::with_path(source)));
    let mut left = ARGUMENTS;
    let arguments = env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let arguments = arguments.take_while(|argument| {
        let fits = argument.len() < left;
        left = left.saturating_sub(argument.len() + 1);
        fits
    });
    let line = json!({
        "type": "begin",
        "run": run,
        "time": now(),
        "orbit": env!("CARGO_PKG_VERSION"),
        "sources": sources.collect::<Value>(),
        "source_count": job.sources().len(),
        "destination": json::with_path(job.target().path()),
        "arguments": arguments.collect::<Vec<_>>(),
        "argument_count": env::args_os().len() - 1,
        "dry_run": is_dry,
    });
    // By its beginning a file is known as a log.
    format!("{MAGIC}{VERSION},{}", &printable(&line.to_string())[1..])
}

/// The line about an event, if it has one.
pub(super) fn of(event: &Event) -> Option<String> {
    let (kind, line) = match event {
        Event::Entry { .. } => ("entry", itemize::object(event)?),
        Event::Failed(failure) => {
            let mut line = json::failure(failure);
            line["mismatch"] = failure.is_mismatch().into();
            ("failure", line)
        }
        Event::Retrying(again) => {
            let mut line = json::failure(&again.failure);
            line["tried"] = again.tried.into();
            line["wait_seconds"] = again.wait.as_secs_f64().into();
            ("retry", line)
        }
        Event::Warned(warning) => {
            let mut line = json::warning(warning);
            line.as_object_mut()?.remove("count"); // which is not the last word
            ("warning", line)
        }
        Event::Missed { entries } => ("missed", json!({ "entries": entries })),
        _ => return None,
    };
    Some(typed(line, kind))
}

/// The last line of a run.
pub(super) fn end(run: &str, report: &Report, exit_status: u8) -> String {
    let mut summary = json::report(report, exit_status);
    // Failures have lines of their own, and so has each kind of warning; paths may be of any length.
    if let Some(summary) = summary.as_object_mut() {
        summary.remove("failures");
    }
    let warnings = summary["warnings"].as_array_mut().into_iter().flatten();
    for warning in warnings.filter_map(Value::as_object_mut) {
        warning.remove("path");
        warning.remove("path_bytes");
    }
    let line = json!({ "run": run, "time": now(), "exit_status": exit_status, "report": summary });
    typed(line, "end")
}

fn typed(mut line: Value, kind: &str) -> String {
    let object: Option<&mut Map<_, _>> = line.as_object_mut();
    object.into_iter().for_each(|object| drop(object.insert("type".to_owned(), kind.into())));
    printable(&line.to_string()).into_owned()
}
