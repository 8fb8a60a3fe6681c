//! What the lines of one run come to.

use serde_json::Value;

use super::{
    groups::Groups,
    lines::Line,
    named::{Named, text},
    slowest::Slowest,
};
use crate::output::log;

/// What the lines of one run come to; of a bounded size, whatever they say.
#[derive(Debug)]
pub(super) struct Tally {
    /// Which run of the file it is, from 1.
    pub(super) number: u64,
    /// Its first line.
    pub(super) begin: Option<Value>,
    pub(super) end: Option<End>,
    /// Entries and their bytes, by what was done, in the order of [`ACTIONS`].
    done: [Amount; ACTIONS.len()],
    /// Files by the method that moved most of them, and bytes, in the order of [`METHODS`].
    moved: [Amount; METHODS.len()],
    pub(super) slowest: Slowest,
    pub(super) failures: Groups,
    pub(super) retries: Groups,
    pub(super) mismatches: u64,
    /// Kinds of loss that were told of.
    pub(super) warnings: u64,
    /// Entries of which it was not told what became of them.
    pub(super) missed: u64,
    pub(super) unreadable: Unreadable,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) exit_status: Option<i64>,
    pub(super) elapsed_seconds: Option<f64>,
    pub(super) stopped: Option<String>,
    pub(super) is_cancelled: bool,
}

/// A number of entries, or files, and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) count: u64,
    pub(super) bytes: u64,
}

/// Lines that say nothing to this reader.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unreadable {
    pub(super) not_json: u64,
    pub(super) too_long: u64,
    pub(super) torn: u64,
    /// Lines of a type that a newer Orbit may have, which are no fault.
    pub(super) unknown: u64,
}

/// What may be done with an entry; the last is for what this reader does not know.
pub(super) const ACTIONS: [&str; 9] =
    ["created", "replaced", "linked", "merged", "unchanged", "corrected", "skipped", "deleted", "other"];

/// How bytes may be moved, and whether no buffer of the process is in the way; the last is for what this
/// reader does not know.
pub(super) const METHODS: [(&str, bool); 8] = [
    ("reflink", true),
    ("copy_file_range", true),
    ("system", true),
    ("sendfile", true),
    ("splice", true),
    ("io_uring", false),
    ("buffered", false),
    ("other", false),
];

impl Tally {
    pub(super) fn new(number: u64) -> Tally {
        Tally {
            number,
            begin: None,
            end: None,
            done: Default::default(),
            moved: Default::default(),
            slowest: Slowest::default(),
            failures: Groups::default(),
            retries: Groups::default(),
            mismatches: 0,
            warnings: 0,
            missed: 0,
            unreadable: Unreadable::default(),
        }
    }

    /// Take in a line.
    pub(super) fn add(&mut self, line: &Line) {
        let unreadable = &mut self.unreadable;
        let line = match line {
            Line::Object(line) => line,
            Line::TooLong => return unreadable.too_long += 1,
            Line::NotJson => return unreadable.not_json += 1,
            Line::Torn => return unreadable.torn += 1,
        };
        match text(line, "type") {
            "begin" => self.begin = Some(line.clone()),
            "entry" => self.add_entry(line),
            "failure" => {
                self.failures.add(line);
                self.mismatches += u64::from(line.get("mismatch") == Some(&Value::Bool(true)));
            }
            "retry" => self.retries.add(line),
            "warning" => self.warnings += 1,
            "missed" => self.missed = self.missed.saturating_add(number(line.get("entries"))),
            "end" if self.is_its_end(line) => self.end = Some(End::of(line)),
            _ => self.unreadable.unknown += 1,
        }
    }

    fn add_entry(&mut self, line: &Value) {
        let bytes = number(line.get("bytes"));
        let action = text(line, "action");
        let known = ACTIONS.iter().position(|known| *known == action);
        self.done[known.unwrap_or(ACTIONS.len() - 1)].add(1, bytes);
        let methods = line.get("methods").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut most = None;
        for used in methods {
            let method = text(used, "method");
            let known = METHODS.iter().position(|(known, _)| *known == method);
            let (index, moved) = (known.unwrap_or(METHODS.len() - 1), number(used.get("bytes")));
            self.moved[index].add(0, moved);
            if most.is_none_or(|(_, bytes)| moved >= bytes) {
                most = Some((index, moved));
            }
        }
        if let Some((index, _)) = most {
            self.moved[index].add(1, 0);
        }
        let seconds = line.get("seconds").and_then(Value::as_f64).filter(|seconds| *seconds >= 0.0);
        if let (Some(seconds), "file") = (seconds, text(line, "kind")) {
            self.slowest.add(seconds, bytes, || Named::of(line));
        }
    }

    fn is_its_end(&self, line: &Value) -> bool {
        let began = self.begin.as_ref().and_then(|begin| begin.get("run"));
        self.end.is_none() && (began.is_none() || began == line.get("run"))
    }

    /// Whether there is a summary, which is the last that a run writes.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether nothing of it is missing.
    pub(super) fn is_whole(&self) -> bool {
        let Unreadable { not_json, too_long, torn, .. } = self.unreadable;
        let is_readable = not_json + too_long + torn == 0;
        self.begin.is_some() && self.has_ended() && is_readable && self.missed == 0 && self.newer().is_none()
    }

    /// The version of its lines, where that is one that this reader does not know.
    pub(super) fn newer(&self) -> Option<u64> {
        let version = self.begin.as_ref().map(|begin| number(begin.get("orbit_log")));
        version.filter(|version| *version != log::VERSION)
    }

    /// What was done, how often, for what was done at all.
    pub(super) fn actions(&self) -> impl Iterator<Item = (&'static str, Amount)> {
        ACTIONS.into_iter().zip(self.done).filter(|(_, amount)| amount.count > 0)
    }

    /// What each method moved, for those that moved anything, and whether it is zero-copy.
    pub(super) fn methods(&self) -> impl Iterator<Item = (&'static str, bool, Amount)> {
        let used = |(_, moved): &(_, Amount)| *moved != Amount::default();
        METHODS.into_iter().zip(self.moved).filter(used).map(|((name, zero), moved)| (name, zero, moved))
    }

    /// What went without a buffer, and all that was moved.
    pub(super) fn zero_copy(&self) -> (Amount, Amount) {
        let mut sums = (Amount::default(), Amount::default());
        for (_, is_zero_copy, moved) in self.methods() {
            sums.1.add(moved.count, moved.bytes);
            if is_zero_copy {
                sums.0.add(moved.count, moved.bytes);
            }
        }
        sums
    }

    /// Entries with which something was done, or nothing had to be.
    pub(super) fn entries(&self) -> u64 {
        self.done.iter().map(|amount| amount.count).sum()
    }

    /// Bytes of content put in place.
    pub(super) fn bytes(&self) -> u64 {
        self.done.iter().fold(0, |sum, amount| sum.saturating_add(amount.bytes))
    }
}

impl Amount {
    fn add(&mut self, count: u64, bytes: u64) {
        self.count += count;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl End {
    fn of(line: &Value) -> End {
        let report = line.get("report").unwrap_or(&Value::Null);
        End {
            exit_status: line.get("exit_status").and_then(Value::as_i64),
            elapsed_seconds: report.get("elapsed_seconds").and_then(Value::as_f64),
            stopped: report.get("stopped").and_then(Value::as_str).map(str::to_owned),
            is_cancelled: report.get("cancelled") == Some(&Value::Bool(true)),
        }
    }
}

/// A count, or 0 where that is none.
pub(super) fn number(value: Option<&Value>) -> u64 {
    value.and_then(Value::as_u64).unwrap_or(0)
}
