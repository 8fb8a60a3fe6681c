//! What programs read: reports and capabilities as JSON. docs/json.md lists the keys.

use std::{path::Path, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use orbit::{
    Ability, Capabilities, Cost, Done, Failure, Filesystem, JobsStep, KernelCopies, Kind, Method, NotTried,
    PairReport, Report, RouteRate, Side, Warning,
};
use serde_json::{Map, Value, json};

use crate::output::text::cause_text;

/// A report as one object.
pub(crate) fn report(report: &Report, exit_status: u8) -> Value {
    let methods = report.methods().map(
        |(method, moved)| json!({ "method": method.name(), "files": moved.files, "bytes": moved.bytes }),
    );
    let declined = report
        .zero_copy_declined()
        .map(|(reason, files)| json!({ "reason": reason.reason(), "files": files }));
    let counts = report
        .failure_counts
        .iter()
        .map(|((op, errno), count)| json!({ "op": op.verb(), "errno": errno, "count": count }));
    let retries = report
        .retries
        .iter()
        .map(|((op, errno), count)| json!({ "op": op.verb(), "errno": errno, "count": count }));
    json!({
        "complete": report.is_complete(),
        "cancelled": report.cancelled,
        "exit_status": exit_status,
        "not_tried": report.not_tried.map(not_tried),
        "elapsed_seconds": report.elapsed.as_secs_f64(),
        "totals": totals(report),
        "methods": methods.collect::<Value>(),
        "zero_copy_declined": declined.collect::<Value>(),
        "jobs": {
            "limit": report.jobs.limit,
            "peak": report.jobs.peak,
            "reason": report.jobs.reason,
            "steps": report.jobs.steps.iter().map(step).collect::<Vec<_>>(),
        },
        "between": report.pairs.iter().map(between).collect::<Value>(),
        "ring_refused": report.ring_refused.as_deref().map(cause_text),
        "warnings": report.warnings.iter().map(warning).collect::<Value>(),
        "failures": report.failures.iter().map(failure).collect::<Value>(),
        "failure_counts": counts.collect::<Value>(),
        "retries": retries.collect::<Value>(),
        "stopped": report.stopped,
    })
}

fn not_tried(not_tried: NotTried) -> Value {
    json!({ "entries": not_tried.entries, "at_least": not_tried.at_least })
}

fn totals(report: &Report) -> Value {
    let totals = &report.totals;
    json!({
        "entries_found": totals.entries_found,
        "entries_done": totals.entries_done(),
        "files_copied": totals.files_copied,
        "directories_created": totals.directories_created,
        "directories_merged": totals.directories_merged,
        "symlinks_created": totals.symlinks_created,
        "hard_links_created": totals.hard_links_created,
        "specials_created": totals.specials_created,
        "unchanged": totals.unchanged,
        "metadata_corrected": totals.metadata_corrected,
        "skipped": totals.skipped,
        "excluded": totals.excluded,
        "deleted": totals.deleted,
        "undeleted": totals.undeleted,
        "unsynced": totals.unsynced,
        "changed_while_copied": totals.changed_while_copied,
        "failed": totals.failed,
        "untried": totals.untried,
        "files_verified": totals.files_verified,
        "bytes_verified": totals.bytes_verified,
        "mismatches": totals.mismatches,
        "bytes_copied": totals.bytes_copied,
        "bytes_resumed": totals.bytes_resumed,
        "bytes_in_frames": totals.bytes_in_frames,
        "bytes_left_alone": totals.bytes_left_alone,
        "bytes_in_holes": totals.bytes_in_holes,
        "bytes_found": totals.bytes_found,
    })
}

fn step(step: &JobsStep) -> Value {
    json!({ "at_seconds": step.at.as_secs_f64(), "from": step.from, "to": step.to, "reason": step.reason })
}

fn between(between: &PairReport) -> Value {
    let refused = between.refused.iter().map(|refusal| {
        let cause = cause_text(&refusal.cause);
        json!({ "method": refusal.method.name(), "errno": refusal.errno, "cause": cause })
    });
    let steps = between.threshold_steps.iter().map(|step| {
        let at = step.at.as_secs_f64();
        json!({ "at_seconds": at, "from": step.from, "to": step.to, "reason": step.reason })
    });
    let route_steps = between.route_steps.iter().map(|step| {
        json!({
            "at_seconds": step.at.as_secs_f64(),
            "from": step.from.name(),
            "written": step.is_written,
            "gave": step.gave.as_ref().map(route_rate),
            "to": step.to.name(),
            "reason": step.reason,
        })
    });
    json!({
        "source": between.source,
        "destination": between.destination,
        "refused": refused.collect::<Value>(),
        "threshold": between.threshold,
        "threshold_reason": between.threshold_reason,
        "threshold_steps": steps.collect::<Value>(),
        "routes": between.routes.iter().map(route_rate).collect::<Value>(),
        "route_steps": route_steps.collect::<Value>(),
    })
}

fn route_rate(known: &RouteRate) -> Value {
    json!({
        "route": known.route.name(),
        "written": known.is_written,
        "bytes_per_second": known.bytes_per_second,
        "cores": known.cores,
    })
}

/// What is told of an entry.
pub(crate) struct Entry<'a> {
    pub(crate) path: &'a Path,
    pub(crate) kind: Kind,
    pub(crate) done: Done,
    pub(crate) bytes: u64,
    pub(crate) digest: Option<String>,
    pub(crate) differs: Vec<&'static str>,
    pub(crate) cost: Option<&'a Cost>,
}

/// An entry, as one object.
pub(crate) fn entry(entry: Entry<'_>) -> Value {
    let mut object = with_path(entry.path);
    object.insert("action".into(), action(entry.done).into());
    object.insert("kind".into(), kind(entry.kind).into());
    object.insert("bytes".into(), entry.bytes.into());
    if let Some(digest) = entry.digest {
        object.insert("digest".into(), digest.into());
    }
    if !entry.differs.is_empty() {
        object.insert("differs".into(), entry.differs.into());
    }
    if let Some(cost) = entry.cost {
        let method = |(method, bytes): &(Method, u64)| json!({ "method": method.name(), "bytes": bytes });
        object.insert("seconds".into(), cost.elapsed.as_secs_f64().into());
        object.insert("methods".into(), cost.methods.iter().map(method).collect());
    }
    object.into()
}

/// The name of what was done.
pub(crate) fn action(done: Done) -> &'static str {
    match done {
        Done::Created => "created",
        Done::Replaced => "replaced",
        Done::Linked => "linked",
        Done::Merged => "merged",
        Done::Unchanged => "unchanged",
        Done::Corrected => "corrected",
        Done::Skipped => "skipped",
        Done::Deleted => "deleted",
        _ => "other",
    }
}

/// The name of a type of entry.
pub(crate) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice => "character device",
        Kind::BlockDevice => "block device",
        _ => "other",
    }
}

/// A failure, as one object.
pub(crate) fn failure(failure: &Failure) -> Value {
    let mut object = with_path(failure.path());
    object.insert("op".into(), failure.op().verb().into());
    object.insert("cause".into(), cause_text(&failure.cause().to_string()).into());
    object.insert("errno".into(), failure.errno().into());
    object.insert("side".into(), side(failure.side()).into());
    object.insert("source_changed".into(), (failure.has_vanished() || failure.has_changed()).into());
    object.into()
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        _ => "copy",
    }
}

/// One kind of loss, as one object.
pub(crate) fn warning(warning: &Warning) -> Value {
    let mut object = with_path(&warning.path);
    object.insert("loss".into(), warning.kind.name().into());
    object.insert("cause".into(), cause_text(&warning.cause).into());
    object.insert("count".into(), warning.count.into());
    object.into()
}

/// An object with a path: as text, and with its very bytes where text cannot hold it.
pub(crate) fn with_path(path: &Path) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("path".into(), path.to_string_lossy().into());
    if path.to_str().is_none() {
        let bytes = BASE64_STANDARD.encode(path.as_os_str().as_encoded_bytes());
        object.insert("path_bytes".into(), bytes.into());
    }
    object
}

/// Capabilities as one object.
pub(crate) fn capabilities(able: &Capabilities) -> Value {
    let ladders = able.ladders.iter().map(|ladder| {
        json!({
            "size": ladder.size,
            "methods": ladder.methods.iter().map(|method| method.name()).collect::<Value>(),
            "zero_copy_declined": ladder.declined.map(orbit::Declined::reason),
        })
    });
    let direct = able.conveniences.direct_io_alignment.map(
        |alignment| json!({ "memory": alignment.memory_alignment, "offset": alignment.offset_alignment }),
    );
    json!({
        "zero_copy": {
            "available": works(&able.zero_copy()),
            "system_methods": able.system.methods.iter().map(|method| method.name()).collect::<Value>(),
            "crosses_filesystems": able.system.cross_filesystem,
        },
        "source": filesystem(&able.source),
        "destination": filesystem(&able.destination),
        "same_filesystem": able.same_filesystem,
        "between": copies(&able.between),
        "within_destination": copies(&able.within),
        "keeps": {
            "holes": ability(&able.keeps.holes),
            "xattrs": ability(&able.keeps.xattrs),
            "acls": ability(&able.keeps.acls),
            "time_step_ns": able.keeps.time_step.map(|step: Duration| step.as_nanos() as u64),
        },
        "conveniences": {
            "unnamed_files": ability(&able.conveniences.unnamed_files),
            "openat2": ability(&able.conveniences.openat2),
            "direct_io": ability(&able.conveniences.direct_io),
            "direct_io_alignment": direct,
            "io_uring": ability(&able.conveniences.io_uring),
        },
        "jobs": { "default": able.jobs, "reason": able.jobs_reason },
        "ladders": ladders.collect::<Value>(),
    })
}

fn filesystem(filesystem: &Filesystem) -> Value {
    let mut object = with_path(&filesystem.path);
    object.insert("filesystem".into(), filesystem.name.clone().into());
    object.insert("storage".into(), filesystem.storage.name().into());
    object.into()
}

fn copies(copies: &KernelCopies) -> Value {
    let each = copies.each().map(|(method, able)| (method.name().to_owned(), ability(able)));
    Map::from_iter(each).into()
}

fn ability(ability: &Ability) -> Value {
    json!({ "works": works(ability), "reason": ability.reason().map(cause_text) })
}

fn works(ability: &Ability) -> Option<bool> {
    match ability {
        Ability::Yes => Some(true),
        Ability::No(_) => Some(false),
        Ability::Unknown(_) => None,
    }
}
