//! `orbit report`: what the lines of a log come to.

mod groups;
mod lines;
mod named;
mod object;
mod slowest;
mod tally;
mod text;

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::{
    args::ReportArgs,
    output::{listeners::print, text::quoted},
    status::{COMPLETE, FAILED},
};
use lines::{Line, Lines};
use tally::Tally;

/// Read a log, and print what its last run, or each of them, did.
pub(crate) fn show(args: &ReportArgs) -> anyhow::Result<u8> {
    let is_stdin = args.file == Path::new("-");
    let input: Box<dyn BufRead> = if is_stdin {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(&args.file).with_context(|| format!("cannot open {}", quoted(&args.file)))?;
        Box::new(BufReader::with_capacity(256 * 1024, file))
    };
    let mut is_whole = true;
    let mut told = Ok(());
    let mut tell = |tally: &Tally, is_last: bool| {
        // One output that cannot be written is enough.
        if (is_last || args.all) && told.is_ok() {
            is_whole &= tally.is_whole();
            told = print(&match args.json {
                true => format!("{}\n", object::of(tally)),
                false => text::of(tally, !args.all),
            });
        }
    };
    let last = runs(input, |tally| tell(tally, false));
    match last.with_context(|| format!("cannot read {}", quoted(&args.file)))? {
        Some(last) => tell(&last, true),
        None => bail!("{} is empty: no run is told of there", quoted(&args.file)),
    }
    told?;
    Ok(if is_whole { COMPLETE } else { FAILED })
}

/// Sum up each run of a log; `past` is told of all but the last, which is what comes back.
///
/// One run is kept at a time, whatever the length of the log.
fn runs(input: impl BufRead, mut past: impl FnMut(&Tally)) -> io::Result<Option<Tally>> {
    let mut lines = Lines::new(input);
    let mut current: Option<Tally> = None;
    while let Some(line) = lines.next()? {
        let begins = match (&line, &current) {
            (_, None) => true,
            (Line::Object(line), Some(before)) => {
                line.get("type").and_then(Value::as_str) == Some("begin")
                    || before.has_ended() && !is_end(line)
            }
            (_, Some(_)) => false,
        };
        if begins {
            let number = current.as_ref().map_or(1, |before| before.number + 1);
            if let Some(before) = current.replace(Tally::new(number)) {
                past(&before);
            }
        }
        let tally = current.as_mut().expect("the first line of all begins a run");
        tally.add(&line);
    }
    Ok(current)
}

fn is_end(line: &Value) -> bool {
    line.get("type").and_then(Value::as_str) == Some("end")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn last_of(log: &[u8]) -> Tally {
        runs(log, |_| ()).unwrap().expect("a run")
    }

    const BEGIN: &str = r#"{"orbit_log":1,"type":"begin","run":"r","time":"t","destination":{"path":"d"}}"#;
    const END: &str = r#"{"type":"end","run":"r","exit_status":0,"report":{"elapsed_seconds":2.0}}"#;

    #[test]
    fn runs_are_told_apart_and_counted() {
        let log = format!("{BEGIN}\n{END}\n{BEGIN}\n{BEGIN}\n{END}\n");
        let mut whole = Vec::new();
        let last = runs(log.as_bytes(), |tally| {
            whole.push(tally.is_whole());
        });
        assert_eq!(whole, [true, false]);
        let last = last.unwrap().unwrap();
        assert!(last.is_whole());
        assert_eq!(last.number, 3);
        assert!(runs(&b""[..], |_| ()).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_told() {
        let long = format!(r#"{{"type":"entry","path":"{}"}}"#, "x".repeat(Lines::<&[u8]>::LONGEST));
        let deep = "[".repeat(100_000);
        let odd = r#"{"type":"entry","bytes":-1,"seconds":"x","methods":7,"action":[],"path":null}"#;
        let new = r#"{"type":"news of tomorrow","bytes":7}"#;
        let log = format!(
            "{BEGIN}\n{long}\nnot JSON\n\0\0\n{deep}\n7\n{odd}\n{new}\n{END}\n{{\"type\":\"entry\",\"pa"
        );
        let tally = last_of(log.as_bytes());
        assert_eq!((tally.unreadable.too_long, tally.unreadable.not_json), (1, 4));
        assert_eq!((tally.unreadable.torn, tally.unreadable.unknown), (1, 1));
        assert_eq!(tally.entries(), 1, "what is odd is an entry all the same");
        assert!(tally.has_ended() && !tally.is_whole());
        text::of(&tally, true);
        object::of(&tally);
    }

    #[test]
    fn a_log_of_a_newer_version_is_not_taken_for_whole() {
        let log = format!("{}\n{END}\n", BEGIN.replace("\"orbit_log\":1", "\"orbit_log\":2"));
        let tally = last_of(log.as_bytes());
        assert!(tally.has_ended() && !tally.is_whole());
        assert!(text::of(&tally, true).contains("version 2"));
    }

    #[test]
    fn an_end_of_another_run_ends_nothing() {
        let log = format!("{BEGIN}\n{}\n", END.replace("\"r\"", "\"other\""));
        assert!(!last_of(log.as_bytes()).has_ended());
    }

    #[test]
    fn what_is_kept_is_bounded_whatever_the_log_says() {
        let mut log = format!("{BEGIN}\n");
        for index in 0..20_000 {
            writeln!(
                log,
                r#"{{"type":"failure","op":"open {index}","cause":"c","path":"p","errno":{index}}}"#
            )
            .unwrap();
            writeln!(log, r#"{{"type":"entry","action":"a{index}","kind":"file","path":"f","bytes":18446744073709551615,"seconds":{index},"methods":[{{"method":"m{index}","bytes":9}}]}}"#).unwrap();
        }
        let tally = last_of(log.as_bytes());
        assert_eq!(tally.failures.total(), 20_000);
        assert!(tally.failures.each().count() <= groups::Groups::KEPT);
        assert_eq!(tally.entries(), 20_000);
        assert_eq!(tally.bytes(), u64::MAX, "sums stop at the largest number");
        let slowest: Vec<_> = tally.slowest.each().iter().map(|slow| slow.seconds).collect();
        assert_eq!(slowest.len(), slowest::Slowest::KEPT);
        assert_eq!(slowest[0], 19_999.0);
        assert!(slowest.is_sorted_by(|one, next| one >= next));
    }
}
