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
    Comparison, ComparisonReport, Difference, DigestKind, Finding, What, manifest_kind, read_manifest,
};
use os_display::Quotable;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    args::VerifyArgs,
    output::{
        aside::Aside,
        json,
        progress::Lines,
        text::{cause_text, counted, failure_line, printable},
    },
    signals::{self, Interrupts},
    system,
};

/// Both are the same.
const EQUAL: u8 = 0;
/// They differ.
const DIFFERENT: u8 = 1;
/// Something could not be compared. (Wrong usage has the same status, as for diff.)
const TROUBLE: u8 = 2;

/// Compare, tell every difference, and say so in the exit status.
pub(crate) async fn show(args: &VerifyArgs, lines: &Lines) -> u8 {
    compared(args, lines).await.unwrap_or_else(|error| {
        lines.print(&format!("orbit: {}", cause_text(&format!("{error:#}"))));
        TROUBLE
    })
}

async fn compared(args: &VerifyArgs, lines: &Lines) -> anyhow::Result<u8> {
    let Asked { comparison, names_nothing } = comparison(args)?;
    let output = Aside::start(write).context("no thread can be had for the output")?;
    let mut interrupts = Interrupts::begin();
    let mut comparing = system::engine().build()?.compare(comparison);
    let mut is_stopping = false;
    loop {
        let next = async {
            let room = if is_stopping { None } else { output.room().await };
            (room, comparing.next().await)
        };
        tokio::select! {
            (room, finding) = next => {
                let Some(finding) = finding else { break };
                match &finding {
                    Finding::Failed(failure) if !args.json => lines.print(&failure_line(failure)),
                    _ if args.quiet && !args.json => {}
                    _ => room.into_iter().for_each(|room| room.send(text(&finding, args.json))),
                }
            }
            () = interrupts.next() => {
                is_stopping = true;
                comparing.cancel();
            }
        }
    }
    let report = comparing.finish().await?;
    interrupts.end();
    // Where there are files and none was named, nothing says that they are right.
    let is_equal = report.is_equal(args.strict) && !(names_nothing && report.extra > 0);
    let last = match (args.json, args.quiet) {
        (true, _) => Some(format!("{}\n", summary_object(&report, is_equal))),
        (false, true) => None,
        (false, false) => Some(format!("{}\n", summary(&report))),
    };
    let written = output.end(last, || signals::wished().is_some()).await;
    if report.cancelled {
        lines.print("orbit: interrupted; the rest was not compared");
    }
    if let Some(Err(error)) = written {
        lines.print(&format!("orbit: cannot write to standard output: {}", cause_text(&error.to_string())));
        return Ok(TROUBLE);
    }
    if names_nothing && report.extra > 0 && !report.cancelled {
        lines.print("orbit: the manifest is empty: it names no file, so nothing was compared");
        return Ok(TROUBLE);
    }
    Ok(match &report {
        _ if is_equal => EQUAL,
        report if report.is_complete() => DIFFERENT,
        _ => signals::wished().unwrap_or(TROUBLE),
    })
}

/// Write what is told to standard output; it is no error when its reader has gone.
fn write(mut texts: mpsc::Receiver<String>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout());
    let mut written = Ok(());
    while let Some(text) = texts.blocking_recv() {
        if written.is_ok() {
            written = out.write_all(text.as_bytes());
        }
    }
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn text(finding: &Finding, is_json: bool) -> String {
    match finding {
        Finding::Differs(difference) if !is_json => format!("{}\n", line(difference)),
        _ => format!("{}\n", printable(&object(finding).to_string())),
    }
}

/// What the arguments ask for.
struct Asked {
    comparison: Comparison,
    /// It is a manifest that names no file.
    names_nothing: bool,
}

fn comparison(args: &VerifyArgs) -> anyhow::Result<Asked> {
    let mut names_nothing = false;
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
            let lines = lines.with_context(reading)?;
            names_nothing = lines.is_empty();
            Comparison::with_manifest(kind, lines, copy)
        }
        (Some(_), _) => bail!("with --manifest there is one path: that of the copy"),
    };
    let comparison = comparison.rules(args.rules.read()?)?;
    let comparison = match args.jobs {
        Some(jobs) => comparison.jobs(jobs),
        None => comparison,
    };
    Ok(Asked { comparison, names_nothing })
}

/// All lines, of which none may be bad: what it does not say cannot be verified.
fn lines(from: impl BufRead) -> anyhow::Result<Vec<orbit::ManifestLine>> {
    read_manifest(from).map(|line| line?.or_else(|(number, bad)| bail!("line {number}: {bad}"))).collect()
}

fn line(difference: &Difference) -> String {
    let here = if difference.path.as_os_str().is_empty() { Path::new(".") } else { &difference.path };
    // A name may be in what is different, too.
    let what = printable(&difference.what.to_string()).replace('\n', r"\u000a");
    format!("{}: {what}", here.maybe_quote())
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

fn summary_object(report: &ComparisonReport, is_equal: bool) -> Value {
    json!({ "summary": {
        "equal": is_equal,
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
