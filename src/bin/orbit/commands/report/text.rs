//! What a run did, for people.

use std::{fmt::Write, path::Path};

use indicatif::{BinaryBytes, HumanCount};
use serde_json::Value;

use super::{
    groups::Groups,
    named::{Named, text},
    slowest::rate,
    tally::{End, Tally, Unreadable, number},
};
use crate::output::text::{cause_text, counted, quoted};

/// A run in a few lines; `is_last` where no others are told of.
pub(super) fn of(tally: &Tally, is_last: bool) -> String {
    let mut out = Text { lines: head(tally, is_last), section: None };
    out.line(&ending(tally));
    if let Some(version) = tally.newer() {
        out.line(&format!(
            "its lines are of version {version}, which this orbit does not know: a newer one does"
        ));
    }
    out.section("entries");
    for (action, amount) in tally.actions() {
        let bytes = match amount.bytes {
            0 => String::new(),
            bytes => format!("  {}", BinaryBytes(bytes)),
        };
        out.row(&format!("{action:<10} {:>11}{bytes}", HumanCount(amount.count).to_string()));
    }
    if tally.failures.total() > 0 {
        out.row(&format!("{:<10} {:>11}", "failed", HumanCount(tally.failures.total()).to_string()));
    }
    add_methods(&mut out, tally);
    out.section("slowest files");
    for slow in tally.slowest.each() {
        let rate = slow.rate().filter(|_| slow.bytes > 0);
        let rate = rate.map_or(String::new(), |rate| format!(", {}/s", BinaryBytes(rate)));
        let bytes = BinaryBytes(slow.bytes);
        out.row(&format!("{:>9.3} s  {}  ({bytes}{rate})", slow.seconds, shown(&slow.path)));
    }
    add_groups(&mut out, "failures", &tally.failures);
    add_groups(&mut out, "tried again", &tally.retries);
    out.section("beside that");
    for (count, what) in [
        (tally.mismatches, "copies that were not what was copied (each is a failure too)"),
        (tally.warnings, "kinds of loss; see the lines of type warning"),
        (tally.missed, "entries that are not in the log"),
    ] {
        out.count(count, what);
    }
    let Unreadable { not_json, too_long, torn, unknown } = tally.unreadable;
    for (count, what) in [
        (not_json, "lines that are no JSON object, such as one that was cut off before another run began"),
        (too_long, "lines longer than 1 MiB, which were not read"),
        (torn, "line that was cut off while it was written, at the end"),
        (unknown, "lines of a type that this orbit does not know"),
    ] {
        out.count(count, what);
    }
    out.lines
}

fn head(tally: &Tally, is_last: bool) -> String {
    let number = match is_last {
        true => format!("run {0} of {0}", tally.number),
        false => format!("run {}", tally.number),
    };
    let Some(begin) = &tally.begin else {
        return format!("{number}: the line that begins it is missing\n");
    };
    let sources = begin.get("sources").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut from: Vec<_> = sources.iter().take(3).map(|source| shown(&Named::of(source))).collect();
    let more = number_of_sources(begin).saturating_sub(from.len() as u64);
    if more > 0 {
        from.push(format!("{} more", HumanCount(more)));
    }
    let to = Named::of(begin.get("destination").unwrap_or(&Value::Null));
    let dry = if begin.get("dry_run") == Some(&Value::Bool(true)) { ", dry: nothing was done" } else { "" };
    let time = cause_text(text(begin, "time"));
    format!("{number}, begun {time}: {} to {}{dry}\n", from.join(", "), shown(&to))
}

fn number_of_sources(begin: &Value) -> u64 {
    number(begin.get("source_count"))
}

fn ending(tally: &Tally) -> String {
    let Some(End { exit_status, elapsed_seconds, stopped, is_cancelled }) = &tally.end else {
        return "it was cut off: there is no summary, and what follows is what it had told until then"
            .to_owned();
    };
    let mut line = if *is_cancelled { "interrupted" } else { "ended" }.to_owned();
    if let Some(status) = exit_status {
        line += &format!(" with exit status {status}");
    }
    if let Some(elapsed) = elapsed_seconds {
        line += &format!(" after {elapsed:.2} s");
        if let Some(rate) = rate(tally.bytes(), *elapsed).filter(|rate| *rate > 0) {
            line += &format!(" ({}/s)", BinaryBytes(rate));
        }
    }
    if let Some(why) = stopped {
        line += &format!("; it was stopped: {}", cause_text(why));
    }
    line
}

fn add_methods(out: &mut Text, tally: &Tally) {
    out.section("content");
    for (method, _, moved) in tally.methods() {
        let files = counted(moved.count, "file", "files");
        out.row(&format!("{method:<15}  {} of {files}", BinaryBytes(moved.bytes)));
    }
    let (zero_copy, moved) = tally.zero_copy();
    if moved.bytes > 0 {
        out.row(&format!(
            "zero-copy for {:.1} % of the bytes, {} of {}",
            100.0 * zero_copy.bytes as f64 / moved.bytes as f64,
            HumanCount(zero_copy.count),
            counted(moved.count, "file", "files"),
        ));
    }
}

fn add_groups(out: &mut Text, name: &'static str, groups: &Groups) {
    out.section(name);
    for (cause, group) in groups.each() {
        let (op, why) = (cause_text(&cause.op), cause_text(&cause.cause));
        let times = HumanCount(group.count).to_string();
        out.row(&format!("{times:>7} × cannot {op}: {why}; first {}", shown(&group.path)));
    }
    out.count(groups.others(), "for other reasons");
}

/// A path as a shell would take it, as far as text can hold it.
fn shown(named: &Named) -> String {
    quoted(Path::new(&named.path)).to_string()
}

/// Lines, and the names of those sections that have any.
struct Text {
    lines: String,
    /// The section that begins with the next row.
    section: Option<&'static str>,
}

impl Text {
    fn line(&mut self, line: &str) {
        writeln!(self.lines, "{line}").expect("a string takes all that is written to it");
    }

    fn section(&mut self, name: &'static str) {
        self.section = Some(name);
    }

    fn row(&mut self, row: &str) {
        if let Some(name) = self.section.take() {
            self.line(&format!("{name}:"));
        }
        self.line(&format!("  {row}"));
    }

    fn count(&mut self, count: u64, what: &str) {
        if count > 0 {
            self.row(&format!("{:>7} {what}", HumanCount(count).to_string()));
        }
    }
}
