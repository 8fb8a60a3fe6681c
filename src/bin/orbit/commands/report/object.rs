//! What a run did, for programs. docs/json.md lists the keys.

use serde_json::{Map, Value, json};

use super::{
    groups::Groups,
    named::Named,
    slowest::{Slow, rate},
    tally::{Amount, Tally, Unreadable},
};

/// A run as one object.
pub(super) fn of(tally: &Tally) -> Value {
    let begin = |key: &str| tally.begin.as_ref().and_then(|begin| begin.get(key)).cloned();
    let actions = tally.actions().map(
        |(action, Amount { count, bytes })| json!({ "action": action, "entries": count, "bytes": bytes }),
    );
    let methods = tally.methods().map(|(method, zero_copy, Amount { count, bytes })| {
        json!({ "method": method, "zero_copy": zero_copy, "files": count, "bytes": bytes })
    });
    let (zero_copy, moved) = tally.zero_copy();
    let elapsed = tally.end.as_ref().and_then(|end| end.elapsed_seconds);
    let Unreadable { not_json, too_long, torn, unknown } = tally.unreadable;
    json!({
        "number": tally.number,
        "run": begin("run"),
        "time": begin("time"),
        "sources": begin("sources"),
        "source_count": begin("source_count"),
        "destination": begin("destination"),
        "dry_run": begin("dry_run"),
        "whole": tally.is_whole(),
        "ended": tally.has_ended(),
        "exit_status": tally.end.as_ref().and_then(|end| end.exit_status),
        "cancelled": tally.end.as_ref().map(|end| end.is_cancelled),
        "stopped": tally.end.as_ref().and_then(|end| end.stopped.clone()),
        "elapsed_seconds": elapsed,
        "entries": tally.entries(),
        "bytes": tally.bytes(),
        "bytes_per_second": elapsed.and_then(|elapsed| rate(moved.bytes, elapsed)),
        "actions": actions.collect::<Value>(),
        "methods": methods.collect::<Value>(),
        "zero_copy": { "files": zero_copy.count, "bytes": zero_copy.bytes },
        "moved": { "files": moved.count, "bytes": moved.bytes },
        "slowest": tally.slowest.each().into_iter().map(slow).collect::<Value>(),
        "failed": tally.failures.total(),
        "failures": groups(&tally.failures),
        "retried": tally.retries.total(),
        "retries": groups(&tally.retries),
        "mismatches": tally.mismatches,
        "warnings": tally.warnings,
        "missed": tally.missed,
        "unreadable": { "not_json": not_json, "too_long": too_long, "torn": torn },
        "unknown_lines": unknown,
    })
}

fn slow(slow: &Slow) -> Value {
    let mut object = named(&slow.path);
    object.insert("seconds".into(), slow.seconds.into());
    object.insert("bytes".into(), slow.bytes.into());
    object.insert("bytes_per_second".into(), slow.rate().into());
    object.into()
}

fn groups(groups: &Groups) -> Value {
    let each = groups.each().map(|(cause, group)| {
        let mut object = named(&group.path);
        object.insert("op".into(), cause.op.clone().into());
        object.insert("errno".into(), cause.errno.into());
        object.insert("cause".into(), cause.cause.clone().into());
        object.insert("count".into(), group.count.into());
        Value::from(object)
    });
    each.collect()
}

fn named(path: &Named) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("path".into(), path.path.clone().into());
    if let Some(bytes) = &path.bytes {
        object.insert("path_bytes".into(), bytes.clone().into());
    }
    object
}
