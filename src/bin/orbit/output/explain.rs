//! `--explain`: which methods moved the bytes, by how many workers, and why.

use std::{collections::BTreeSet, fmt::Write};

use indicatif::{BinaryBytes, HumanCount};
use orbit::{
    Jobs, JobsStep, Method, Moved, PairReport, RefusedMethod, Report, RouteRate, RouteStep, ThresholdStep,
};
use os_display::Quotable;

use crate::output::text::{cause_text, counted, whole};

/// How a copy went about its work, and why, in a few lines.
pub(crate) fn explanation(report: &Report) -> String {
    let sections = [
        ("methods", methods(report)),
        ("workers", workers(&report.jobs)),
        ("threshold", threshold(report)),
        ("large", large(report, false)),
        ("written", large(report, true)),
    ];
    let mut text = String::new();
    for (name, rows) in sections {
        let labels = [name].into_iter().chain(std::iter::repeat(""));
        for (label, row) in labels.zip(rows) {
            writeln!(text, "{label:<9}  {row}").expect("a string takes all that is written to it");
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn methods(report: &Report) -> Vec<String> {
    let row = |method: Method, what: String| format!("{:<15}  {what}", method.name());
    let mut rows: Vec<_> = report
        .methods()
        .map(|(method, moved)| match method {
            Method::Buffered => row(method, amount(moved) + &reasons(report, moved)),
            _ => row(method, amount(moved)),
        })
        .collect();
    if rows.is_empty() {
        rows.push("no content was moved".to_owned());
    }
    for between in &report.pairs {
        rows.extend(between.refused.iter().map(|refusal| row(refusal.method, refused(between, refusal))));
    }
    if let Some(why) = &report.ring_refused {
        rows.push(row(Method::IoUring, format!("not to be had: {}", cause_text(why))));
    }
    without_repeats(rows)
}

fn amount(moved: Moved) -> String {
    let files = match moved.files {
        0 => "parts of files".to_owned(),
        files => counted(files, "file", "files"),
    };
    format!("{} of {files}", BinaryBytes(moved.bytes))
}

/// Why files went through a buffer.
fn reasons(report: &Report, buffered: Moved) -> String {
    let mut reasons: Vec<_> = report.zero_copy_declined().collect();
    reasons.sort_by_key(|(_, files)| std::cmp::Reverse(*files));
    let known: u64 = reasons.iter().map(|(_, files)| files).sum();
    let others = Some(("refused for the file", buffered.files.saturating_sub(known)));
    let reasons = reasons.into_iter().map(|(reason, files)| (reason.reason(), files)).chain(others);
    let told = reasons.filter(|(_, files)| *files > 0);
    let told: Vec<_> = told.map(|(reason, files)| format!("{reason} ({})", HumanCount(files))).collect();
    if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) }
}

/// Which ways large files went, and what was seen of each: of those that were written to their device meanwhile, or
/// of the others.
fn large(report: &Report, is_written: bool) -> Vec<String> {
    without_repeats(report.pairs.iter().flat_map(|between| large_between(between, is_written)).collect())
}

fn large_between(between: &PairReport, is_written: bool) -> Vec<String> {
    let steps = || between.route_steps.iter().filter(|step| step.is_written == is_written);
    let mut rows: Vec<_> = steps().take(1).map(|first| first.from.describe().to_owned()).collect();
    for RouteStep { at, gave, to, reason, .. } in steps() {
        let gave = gave.as_ref().map(|gave| format!(" (until then {})", rate(gave))).unwrap_or_default();
        rows.push(format!("{} from {:.2} s on: {reason}{gave}", to.describe(), at.as_secs_f64()));
    }
    for known in between.routes.iter().filter(|known| known.is_written == is_written) {
        rows.push(format!("{}: {}", known.route.describe(), rate(known)));
    }
    rows
}

fn rate(known: &RouteRate) -> String {
    format!("{}/s by {:.1} cores", BinaryBytes(known.bytes_per_second as u64), known.cores)
}

fn refused(between: &PairReport, RefusedMethod { cause, .. }: &RefusedMethod) -> String {
    let by = match (&between.source, &between.destination) {
        (Some(source), Some(destination)) if source == destination => {
            format!(" by {}", source.maybe_quote())
        }
        (Some(source), Some(destination)) => {
            format!(" from {} to {}", source.maybe_quote(), destination.maybe_quote())
        }
        _ => String::new(),
    };
    format!("refused{by}: {}", cause_text(cause))
}

fn workers(jobs: &Jobs) -> Vec<String> {
    let mut rows = match jobs.steps.first() {
        Some(first) => vec![format!("{} at first: {}", first.from, jobs.reason)],
        None => vec![format!("{}: {}", jobs.limit, jobs.reason)],
    };
    for JobsStep { at, to, reason, .. } in &jobs.steps {
        rows.push(format!("{to} from {:.1} s on: {reason}", at.as_secs_f64()));
    }
    if jobs.peak < jobs.steps.iter().map(|step| step.to).chain([jobs.limit]).max().unwrap_or_default() {
        rows.push(format!("{} at most had work at one time", jobs.peak));
    }
    rows
}

fn threshold(report: &Report) -> Vec<String> {
    without_repeats(report.pairs.iter().flat_map(threshold_between).collect())
}

fn threshold_between(between: &PairReport) -> Vec<String> {
    let reason = &between.threshold_reason;
    let mut rows = match (between.threshold_steps.first(), between.threshold) {
        (Some(first), _) => vec![format!("{} at first: {reason}", whole(first.from))],
        (None, Some(bytes)) => vec![format!("{}: {reason}", whole(bytes))],
        (None, None) => vec![format!("none: {reason}")],
    };
    for ThresholdStep { at, to, reason, .. } in &between.threshold_steps {
        rows.push(format!("{} from {:.1} s on: {reason}", whole(*to), at.as_secs_f64()));
    }
    rows
}

/// Several filesystems of one kind have the same to tell.
fn without_repeats(rows: Vec<String>) -> Vec<String> {
    let mut told = BTreeSet::new();
    rows.into_iter().filter(|row| told.insert(row.clone())).collect()
}
