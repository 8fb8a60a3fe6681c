//! `orbit verify`: a copy against its source, or against a manifest.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
};

use anyhow::{Context, bail};
use futures::StreamExt;
use indicatif::{BinaryBytes, HumanCount};
use orbit::{
    Comparison, ComparisonReport, Difference, DigestKind, Engine, Finding, What, manifest_kind, read_manifest,
};
use os_display::Quotable;
use serde_json::{Value, json};

use super::{args::CompareArgs, json, output::counted};

/// Both are the same.
const EQUAL: u8 = 0;
/// They differ.
const DIFFERENT: u8 = 1;
/// Something could not be compared. (Wrong usage has the same status, as for diff.)
const TROUBLE: u8 = 2;

/// Compare, tell every difference, and say so in the exit status.
pub(crate) async fn show(args: &CompareArgs) -> anyhow::Result<u8> {
    let comparison = comparison(args).inspect_err(|error| eprintln!("orbit: {error:#}"));
    let Ok(comparison) = comparison else { return Ok(TROUBLE) };
    let mut comparing = Engine::new()?.compare(comparison);
    let mut out = io::BufWriter::new(io::stdout().lock());
    loop {
        let finding = tokio::select! {
            finding = comparing.next() => finding,
            _ = tokio::signal::ctrl_c() => {
                comparing.cancel();
                continue;
            }
        };
        let Some(finding) = finding else { break };
        if let Finding::Failed(failure) = &finding
            && !args.json
        {
            eprintln!("orbit: {failure}: {}", failure.cause());
            continue;
        }
        if args.json {
            writeln!(out, "{}", object(&finding))?;
        } else if let (Finding::Differs(difference), false) = (&finding, args.quiet) {
            writeln!(out, "{}", line(difference))?;
        }
    }
    let report = comparing.finish().await?;
    if args.json {
        writeln!(out, "{}", summary_object(&report, args.strict))?;
    } else if !args.quiet {
        writeln!(out, "{}", summary(&report))?;
    }
    out.flush()?;
    Ok(match &report {
        report if report.is_equal(args.strict) => EQUAL,
        report if report.is_complete() => DIFFERENT,
        report if report.cancelled => super::INTERRUPTED,
        _ => TROUBLE,
    })
}

fn comparison(args: &CompareArgs) -> anyhow::Result<Comparison> {
    let comparison = match (&args.manifest, &args.paths[..]) {
        (None, [source, copy]) => {
            Comparison::new(source, copy).metadata(args.metadata).compression(args.compression())
        }
        (None, _) => bail!("a source and its copy are needed"),
        (Some(path), [copy]) => {
            let kind = if args.blake3 { DigestKind::Blake3 } else { manifest_kind(path) };
            let reading = || format!("cannot use the manifest {}", path.quote());
            let lines = if path == Path::new("-") {
                lines(io::stdin().lock())
            } else {
                File::open(path).map_err(Into::into).and_then(|file| lines(BufReader::new(file)))
            };
            Comparison::with_manifest(kind, lines.with_context(reading)?, copy)
        }
        (Some(_), _) => bail!("with --manifest there is one path: that of the copy"),
    };
    let comparison = comparison.rules(args.rules.read()?)?;
    Ok(match args.jobs {
        Some(jobs) => comparison.jobs(jobs),
        None => comparison,
    })
}

/// All lines, of which none may be bad: what it does not say cannot be verified.
fn lines(from: impl BufRead) -> anyhow::Result<Vec<orbit::ManifestLine>> {
    read_manifest(from).map(|line| line?.or_else(|(number, bad)| bail!("line {number}: {bad}"))).collect()
}

fn line(difference: &Difference) -> String {
    let here = if difference.path.as_os_str().is_empty() { Path::new(".") } else { &difference.path };
    format!("{}: {}", here.maybe_quote(), difference.what)
}

fn object(finding: &Finding) -> Value {
    let Difference { path, what, .. } = match finding {
        Finding::Failed(failure) => return json!({ "failure": json::failure(failure) }),
        Finding::Differs(difference) => difference,
        _ => return Value::Null,
    };
    let mut object = json::with_path(path);
    object.insert("difference".into(), what.name().into());
    let mut sides = |source: Value, copy: Value| {
        object.insert("source".into(), source);
        object.insert("copy".into(), copy);
    };
    match what {
        What::Kind { source, copy } => sides(json::kind(*source).into(), json::kind(*copy).into()),
        What::Size { source, copy } => sides((*source).into(), (*copy).into()),
        What::Mode { source, copy } => sides((*source).into(), (*copy).into()),
        What::Owner { source, copy } => sides(json!([source.0, source.1]), json!([copy.0, copy.1])),
        What::Digest { expected, found } => sides(expected.to_string().into(), found.to_string().into()),
        What::Content { offset } => {
            object.insert("offset".into(), (*offset).into());
        }
        What::Xattr(name) => {
            object.insert("name".into(), name.clone().into());
        }
        _ => {}
    }
    object.into()
}

fn summary_object(report: &ComparisonReport, strict: bool) -> Value {
    json!({ "summary": {
        "equal": report.is_equal(strict),
        "entries": report.entries,
        "bytes": report.bytes,
        "differences": report.differences,
        "extra": report.extra,
        "failed": report.failed,
        "cancelled": report.cancelled,
        "seconds": report.elapsed.as_secs_f64(),
    }})
}

fn summary(report: &ComparisonReport) -> String {
    let entries = counted(report.entries, "entry", "entries");
    let mut text = format!("{entries}, {} compared", BinaryBytes(report.bytes));
    if report.differences > 0 {
        text += &format!(", {}", counted(report.differences, "difference", "differences"));
    }
    for (count, what) in [(report.extra, "only in the copy"), (report.failed, "not compared")] {
        if count > 0 {
            text += &format!(", {} {what}", HumanCount(count));
        }
    }
    if report.differences + report.extra + report.failed == 0 && !report.cancelled {
        text += ": equal";
    }
    text
}
