//! What is done with each entry, a line for each.

use indicatif::BinaryBytes;
use orbit::{Differs, Done, Event, Kind};
use serde_json::Value;

use crate::output::{
    json::{self, Entry},
    text::quoted,
};

/// The line about an entry for people; none for what stays as it is.
pub(crate) fn line(event: &Event, is_dry: bool) -> Option<String> {
    let Event::Entry { path, kind, done, bytes, differs, .. } = event else { return None };
    let verb = match (done, is_dry) {
        (Done::Merged | Done::Unchanged | Done::Skipped, _) => return None,
        (Done::Created, true) => "create",
        (Done::Created, false) => "created",
        (Done::Replaced, true) => "replace",
        (Done::Replaced, false) => "replaced",
        (Done::Linked, true) => "link",
        (Done::Linked, false) => "linked",
        (Done::Corrected, true) => "correct",
        (Done::Corrected, false) => "corrected",
        (Done::Deleted, true) => "delete",
        (Done::Deleted, false) => "deleted",
        (_, true) => "change",
        (_, false) => "changed",
    };
    let mut about = Vec::new();
    if *kind == Kind::File && matches!(done, Done::Created | Done::Replaced) {
        about.push(BinaryBytes(*bytes).to_string());
    }
    about.extend(names(*differs).map(|name| format!("{name} differs")));
    let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
    Some(format!("{verb} {} {}{about}\n", json::kind(*kind), quoted(path)))
}

/// The line about an entry for programs.
pub(crate) fn object(event: &Event) -> Option<Value> {
    let Event::Entry { path, kind, done, bytes, digest, differs, cost, .. } = event else { return None };
    Some(json::entry(Entry {
        path,
        kind: *kind,
        done: *done,
        bytes: *bytes,
        digest: digest.map(|digest| digest.to_string()),
        differs: names(*differs).collect(),
        cost: cost.as_ref(),
    }))
}

fn names(differs: Differs) -> impl Iterator<Item = &'static str> {
    [(Differs::KIND, "type"), (Differs::SIZE, "size"), (Differs::TIME, "time"), (Differs::CONTENT, "content")]
        .into_iter()
        .filter(move |(flag, _)| differs.contains(*flag))
        .map(|(_, name)| name)
}
