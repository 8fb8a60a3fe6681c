//! What people read: failures, warnings, the summary.

use std::{
    borrow::Cow,
    fmt::{Display, Write},
    path::Path,
    time::Duration,
};

use indicatif::{BinaryBytes, FormattedDuration, HumanCount};
use orbit::{Failure, JobsStep, NotTried, Report, ThresholdStep, Warning};
use os_display::Quotable;

/// A path as a shell would take it: quoted where it has to be, control bytes escaped.
pub(crate) fn quoted(path: &Path) -> impl Display + '_ {
    path.maybe_quote()
}

/// The line about one entry that failed.
pub(crate) fn failure_line(failure: &Failure) -> String {
    let cause = failure.cause().to_string();
    let advice = failure.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
    format!("orbit: cannot {} {}: {}{advice}", failure.op(), quoted(failure.path()), cause_text(&cause))
}

/// The line about one kind of warning.
pub(crate) fn warning_line(warning: &Warning) -> String {
    let Warning { kind, path, cause, count, .. } = warning;
    let others = match count {
        0 | 1 => String::new(),
        _ => format!(" and {} more", HumanCount(count - 1)),
    };
    format!("orbit: warning: {}: {}{others}: {}", kind.described(), quoted(path), cause_text(cause))
}

/// The line about a ring that was asked for and cannot be had.
pub(crate) fn ring_line(why: &str) -> String {
    format!("orbit: warning: no ring of io_uring could be had: {}", cause_text(why))
}

/// A cause as other commands say it: on one line, and without the number that Rust adds.
pub(crate) fn cause_text(cause: &str) -> String {
    const NUMBER: &str = " (os error ";
    let mut parts = cause.split(NUMBER);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => text += rest,
            _ => text = text + NUMBER + part,
        }
    }
    text.replace(char::is_control, " ")
}

/// Text in which nothing controls a terminal: whatever character does, but the ends of lines, is escaped.
///
/// It is escaped as JSON has it, so that JSON stays what it is. Names are [`quoted`] where they are put into a
/// text for people; this is for what they are not known to be in.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(controls_terminals) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '\t' => escaped.push(' '),
            letter if controls_terminals(letter) => escaped += &format!("\\u{:04x}", u32::from(letter)),
            letter => escaped.push(letter),
        }
    }
    Cow::Owned(escaped)
}

/// Whether a character, none of which is beyond U+FFFF, controls a terminal, or turns about what follows it.
fn controls_terminals(letter: char) -> bool {
    let turns = matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || letter.is_control() && letter != '\n'
}

/// The line about a run that ended early, which is said whatever else is not.
pub(crate) fn stopped_line(report: &Report) -> Option<String> {
    let why = match &report.stopped {
        Some(why) => format!("stopped: {}", cause_text(why)),
        None if report.cancelled => "interrupted".to_owned(),
        None => return None,
    };
    let NotTried { entries, at_least, .. } = report.not_tried.unwrap_or_default();
    let rest = match (entries, at_least) {
        (0, false) => "nothing was left to be tried".to_owned(),
        (0, true) => "how much was not tried is not known".to_owned(),
        (1, _) => format!("{}1 entry was not tried", if at_least { "at least " } else { "" }),
        (_, true) => format!("at least {} entries were not tried", HumanCount(entries)),
        (_, false) => format!("{} entries were not tried", HumanCount(entries)),
    };
    Some(format!("orbit: {why}; {rest}"))
}

/// What was done, in a line; in several with `details`.
pub(crate) fn summary(report: &Report, details: bool) -> String {
    let totals = &report.totals;
    let mut text = if report.cancelled { "interrupted; until then, " } else { "" }.to_owned();
    text += &format!(
        "{} copied, {} in {}",
        counted(totals.files_copied, "file", "files"),
        BinaryBytes(totals.bytes_copied),
        took(report.elapsed),
    );
    let rate = totals.bytes_copied as f64 / report.elapsed.as_secs_f64();
    if totals.bytes_copied > 0 && rate.is_finite() {
        text += &format!(" ({}/s)", BinaryBytes(rate as u64));
    }
    if totals.bytes_in_frames > 0 {
        text += &format!(", {} compressed", BinaryBytes(totals.bytes_in_frames));
    }
    for (count, what) in [
        (totals.files_verified, "verified"),
        (totals.unchanged, "unchanged"),
        (totals.metadata_corrected, "with metadata corrected"),
        (report.retries.values().sum(), "tried again"),
        (totals.skipped, "skipped"),
        (totals.excluded, "excluded"),
        (totals.deleted, "deleted"),
        (totals.undeleted, "not deleted"),
        (totals.unsynced, "not made durable"),
        (totals.failed, "failed"),
        (totals.untried, "not tried"),
    ] {
        if count > 0 {
            text += &format!(", {} {what}", HumanCount(count));
        }
    }
    text.push('\n');
    if details {
        add_details(&mut text, report);
    }
    text
}

fn add_details(text: &mut String, report: &Report) {
    let totals = &report.totals;
    let mut line = |args: std::fmt::Arguments<'_>| {
        writeln!(text, "  {args}").expect("a string takes all that is written to it");
    };
    let others = [
        counted(totals.directories_created, "directory", "directories"),
        counted(totals.symlinks_created, "symlink", "symlinks"),
        counted(totals.hard_links_created, "hard link", "hard links"),
        counted(totals.specials_created, "special file", "special files"),
    ];
    line(format_args!("created besides: {}", others.join(", ")));
    for (method, moved) in report.methods() {
        let files = counted(moved.files, "file", "files");
        line(format_args!("by {}: {files}, {}", method.name(), BinaryBytes(moved.bytes)));
    }
    for (reason, files) in report.zero_copy_declined() {
        line(format_args!("zero-copy not used for {}: {}", counted(files, "file", "files"), reason.reason()));
    }
    let jobs = &report.jobs;
    line(format_args!("jobs: {} of at most {} ({})", jobs.peak, jobs.limit, jobs.reason));
    for step in &jobs.steps {
        let JobsStep { at, from, to, reason, .. } = step;
        line(format_args!("jobs after {:.1} s: {to} instead of {from}, as {reason}", at.as_secs_f64()));
    }
    for step in report.pairs.iter().flat_map(|between| &between.threshold_steps) {
        let ThresholdStep { at, from, to, reason, .. } = step;
        let [from, to] = [*from, *to].map(whole);
        line(format_args!("threshold after {:.1} s: {to} instead of {from}, as {reason}", at.as_secs_f64()));
    }
}

/// A size that somebody chose, without the fraction that it has not: `64 KiB`.
pub(crate) fn whole(bytes: u64) -> String {
    BinaryBytes(bytes).to_string().replace(".00 ", " ")
}

pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", HumanCount(count), if count == 1 { one } else { many })
}

fn took(elapsed: Duration) -> String {
    if elapsed.as_secs() < 60 {
        format!("{:.2} s", elapsed.as_secs_f64())
    } else {
        FormattedDuration(elapsed).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_loses_its_number_and_its_line_breaks() {
        for (cause, expected) in [
            ("Permission denied (os error 13)", "Permission denied"),
            (
                "No space (os error 28); and it could not be removed: I/O (os error 5)",
                "No space; and it could not be removed: I/O",
            ),
            ("odd (os error x)", "odd (os error x)"),
            ("internal error:\nboom", "internal error: boom"),
            ("", ""),
        ] {
            assert_eq!(cause_text(cause), expected);
        }
    }

    #[test]
    fn text_controls_no_terminal() {
        assert_eq!(printable("a b\nc"), "a b\nc");
        assert_eq!(printable("\x1b[31m\u{9b}\t\r"), r"\u001b[31m\u009b \u000d");
        assert_eq!(printable("\u{202e}txt.\u{7f}\u{2028}é"), r"\u202etxt.\u007f\u2028é");
    }

    #[test]
    fn who_stops_says_how_much_was_not_tried() {
        let mut report = Report::default();
        assert_eq!(stopped_line(&report), None);
        report.stopped = Some("full".to_owned());
        for (entries, at_least, expected) in [
            (0, false, "nothing was left to be tried"),
            (0, true, "how much was not tried is not known"),
            (1, false, "1 entry was not tried"),
            (1, true, "at least 1 entry was not tried"),
            (7, false, "7 entries were not tried"),
            (1_234, true, "at least 1,234 entries were not tried"),
        ] {
            let mut not_tried = NotTried::default();
            (not_tried.entries, not_tried.at_least) = (entries, at_least);
            report.not_tried = Some(not_tried);
            assert_eq!(stopped_line(&report).unwrap(), format!("orbit: stopped: full; {expected}"));
        }
        (report.stopped, report.cancelled) = (None, true);
        assert!(stopped_line(&report).unwrap().starts_with("orbit: interrupted; at least "));
    }

    #[cfg(unix)]
    #[test]
    fn names_are_quoted_only_where_a_shell_needs_it() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        for (name, expected) in [
            (&b"a/b.c"[..], "a/b.c"),
            (b"a b", "'a b'"),
            (b"a\nb", r"$'a\nb'"),
            (b"\x1b[31m", r"$'\x1B[31m'"),
            (b"odd\xff", r"$'odd\xFF'"),
        ] {
            assert_eq!(quoted(Path::new(OsStr::from_bytes(name))).to_string(), expected);
        }
    }

    #[test]
    fn the_summary_leaves_out_what_did_not_happen() {
        let mut report = Report::default();
        report.elapsed = Duration::from_millis(500);
        assert_eq!(summary(&report, false), "0 files copied, 0 B in 0.50 s\n");
        report.totals.files_copied = 1;
        report.totals.bytes_copied = 1 << 20;
        report.totals.failed = 1_234;
        assert_eq!(summary(&report, false), "1 file copied, 1.00 MiB in 0.50 s (2.00 MiB/s), 1,234 failed\n");
        report.cancelled = true;
        assert!(summary(&report, false).starts_with("interrupted; until then, 1 file"));
    }
}
