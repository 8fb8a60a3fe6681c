//! Failures of one kind, counted.

use std::collections::BTreeMap;

use serde_json::Value;

use super::named::{Named, text};

/// Failures, or what was tried again, by operation and cause.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<Cause, Group>,
    /// How many are in no group, since there were too many.
    others: u64,
}

/// As much of a text as anything Orbit says is long.
fn brief(text: &str) -> String {
    text.chars().take(500).collect()
}

/// What could not be done, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cause {
    pub(super) op: String,
    pub(super) errno: Option<i64>,
    pub(super) cause: String,
}

/// All cases of it.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) count: u64,
    /// Where it came first.
    pub(super) path: Named,
}

impl Groups {
    /// How many groups are kept.
    pub(super) const KEPT: usize = 100;

    pub(super) fn add(&mut self, line: &Value) {
        let cause = Cause {
            op: brief(text(line, "op")),
            errno: line.get("errno").and_then(Value::as_i64),
            cause: brief(text(line, "cause")),
        };
        if let Some(group) = self.groups.get_mut(&cause) {
            group.count += 1;
        } else if self.groups.len() < Self::KEPT {
            self.groups.insert(cause, Group { count: 1, path: Named::of(line) });
        } else {
            self.others += 1;
        }
    }

    /// How many are in no group.
    pub(super) fn others(&self) -> u64 {
        self.others
    }

    /// Each group, the largest first.
    pub(super) fn each(&self) -> impl Iterator<Item = (&Cause, &Group)> {
        let mut each: Vec<_> = self.groups.iter().collect();
        each.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
        each.into_iter()
    }

    /// How many there are in all.
    pub(super) fn total(&self) -> u64 {
        self.others + self.groups.values().map(|group| group.count).sum::<u64>()
    }
}
