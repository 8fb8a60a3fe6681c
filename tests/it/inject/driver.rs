//! The process whose calls are made to fail: this test program, told to run one copy.

use std::{
    env,
    io::{self, BufRead},
    path::Path,
    process, thread,
    time::Duration,
};

use orbit::{
    Attributes, Backend, Compression, CopyJob, DataOptions, Delete, Engine, Existing, Fsync, Mirror,
    Preserve, Reflink, Report, Retry, Sparse, Verify, ZeroCopy,
};

/// The variable that tells this program to be the driver: lines of `key=value`.
pub(super) const TOLD: &str = "ORBIT_DRIVER";
/// The name under which the test program runs [`runs_the_copy_it_was_told`] alone.
pub(super) const NAME: &str = "inject::driver::runs_the_copy_it_was_told";
/// What the driver says when a tracer may attach.
pub(super) const READY: &str = "ready";

/// A path that is looked up, in vain, when the copy has just been cancelled.
pub(super) const CANCELLED: &str = "/orbit-cancelled";
/// A copy that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does nothing in an ordinary test run; as the driver, copies and never returns.
///
/// All that is not the copy happens before it waits for a line, or after the report: a tracer that
/// attaches meanwhile sees the calls of the copy and hardly any others.
#[test]
fn runs_the_copy_it_was_told() {
    let Ok(told) = env::var(TOLD) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told_patience = told.lines().find_map(|line| line.strip_prefix("patience=")?.parse().ok());
    let engine = match told_patience {
        Some(millis) => {
            Engine::builder().wait_for_descriptors(Duration::from_millis(millis)).build().unwrap()
        }
        None => Engine::new().unwrap(),
    };
    let job = job(&told);
    thread::spawn(|| {
        thread::sleep(PATIENCE);
        eprintln!("the copy does not end");
        process::abort();
    });
    println!("\n{READY}");
    io::stdin().lock().read_line(&mut String::new()).unwrap();
    for _ in 0..told.lines().find_map(|line| line.strip_prefix("before=")?.parse().ok()).unwrap_or(0) {
        runtime.block_on(copy(&engine, job.clone(), false));
    }
    let report = runtime.block_on(copy(&engine, job, told.contains("\ncancel=")));
    print!("{}", summary(&report));
    process::exit(i32::from(!report.is_complete()));
}

/// Run a copy to its end, or cancel it as soon as it has come to anything.
async fn copy(engine: &Engine, job: CopyJob, cancels: bool) -> Report {
    let run = engine.start(job);
    if cancels {
        let mut progress = run.progress();
        progress.wait_for(|progress| progress.totals.bytes_done() > 0).await.unwrap();
        run.cancel();
        assert!(Path::new(CANCELLED).symlink_metadata().is_err());
    }
    run.finish().await.unwrap()
}

fn job(told: &str) -> CopyJob {
    let mut paths = ["", ""];
    let mut data = DataOptions::default();
    let mut preserve = Preserve::default();
    let mut existing = Existing::default();
    let mut verify = Verify::default();
    let mut fsync = Fsync::default();
    let mut mirror = Mirror::default();
    let mut retries = 0;
    let mut jobs = Some(1);
    let mut compression = Compression::None;
    for (key, value) in told.lines().map(|line| line.split_once('=').unwrap()) {
        match (key, value) {
            ("from", path) => paths[0] = path,
            ("to", path) => paths[1] = path,
            ("jobs", "auto") => jobs = None,
            ("jobs", number) => jobs = Some(number.parse().unwrap()),
            ("reflink", "always") => data = data.reflink(Reflink::Always),
            ("reflink", "never") => data = data.reflink(Reflink::Never),
            ("threshold", bytes) => data = data.threshold(bytes.parse().unwrap()),
            ("zero-copy", "force") => data = data.zero_copy(ZeroCopy::Force),
            ("zero-copy", "forbid") => data = data.zero_copy(ZeroCopy::Forbid),
            ("backend", "uring") => data = data.backend(Backend::Uring),
            ("retries", times) => retries = times.parse().unwrap(),
            ("verify", "sha256") => verify = Verify::Sha256,
            ("verify", "blake3") => verify = Verify::Blake3,
            ("verify", "media") => verify = Verify::Media,
            ("verify", "size") => verify = Verify::Size,
            ("fsync", "none") => fsync = Fsync::None,
            ("fsync", "file") => fsync = Fsync::File,
            ("fsync", "end") => fsync = Fsync::End,
            ("sparse", "always") => data = data.sparse(Sparse::Always),
            ("sparse", "never") => data = data.sparse(Sparse::Never),
            ("existing", "replace") => existing = Existing::Replace,
            ("existing", "newer") => existing = Existing::Newer,
            ("existing", "skip") => existing = Existing::Skip,
            ("requiring", name) => preserve = Preserve::all_requiring(Attributes::from_name(name).unwrap()),
            ("lose", name) => preserve = preserve.without(Attributes::from_name(name).unwrap()),
            ("delete", "after") => mirror = mirror.delete(Delete::After),
            ("cancel", "midway") | ("before" | "patience", _) => {}
            ("frames", "zstd") => compression = Compression::Zstd { level: 3 },
            ("frames", "lz4") => compression = Compression::Lz4,
            ("frames", "none") => compression = Compression::Decompress,
            told => panic!("told what nobody understands: {told:?}"),
        }
    }
    let retry = Retry::default().times(retries).wait(Duration::from_millis(1));
    let job = CopyJob::new(Path::new(paths[0]), Path::new(paths[1]));
    let job = job
        .data(data)
        .preserve(preserve)
        .existing(existing)
        .verify(verify)
        .fsync(fsync)
        .retry(retry)
        .mirror(mirror)
        .compression(compression);
    match jobs {
        Some(jobs) => job.jobs(jobs),
        None => job,
    }
}

/// The report in lines, as [`super::traced::Summary`] reads them.
fn summary(report: &Report) -> String {
    let totals = &report.totals;
    let mut lines = vec![
        format!("cancelled {}", u8::from(report.cancelled)),
        format!("stopped {}", u8::from(report.stopped.is_some())),
        format!("total retries {}", report.retries.values().sum::<u64>()),
        format!("total entries_found {}", totals.entries_found),
        format!("total entries_done {}", totals.entries_done()),
        format!("total bytes_copied {}", totals.bytes_copied),
        format!("total bytes_in_holes {}", totals.bytes_in_holes),
        format!("total files_copied {}", totals.files_copied),
        format!("total directories_created {}", totals.directories_created),
        format!("total directories_merged {}", totals.directories_merged),
        format!("total hard_links_created {}", totals.hard_links_created),
        format!("total unchanged {}", totals.unchanged),
        format!("total skipped {}", totals.skipped),
        format!("total failed {}", totals.failed),
        format!("total undeleted {}", totals.undeleted),
        format!("total untried {}", totals.untried),
        format!("total unsynced {}", totals.unsynced),
        format!("total peak_jobs {}", report.jobs.peak),
        format!("total job_steps {}", report.jobs.steps.len()),
        format!("total files_verified {}", totals.files_verified),
        format!("total mismatches {}", totals.mismatches),
        format!("total changed_while_copied {}", totals.changed_while_copied),
    ];
    for pair in &report.pairs {
        lines.push(format!("total threshold_steps {}", pair.threshold_steps.len()));
        lines.push(format!("total threshold {}", pair.threshold.unwrap_or(0)));
    }
    for (method, moved) in report.methods() {
        lines.push(format!("moved {} {}", method.name(), moved.bytes));
    }
    for warning in &report.warnings {
        lines.push(format!("warning {:?} {}", warning.kind, warning.count));
    }
    for failure in &report.failures {
        let (op, errno) = (failure.op(), failure.errno().unwrap_or(0));
        lines.push(format!("failure {op:?} {errno} {}: {}", failure.path().display(), failure.cause()));
    }
    lines.push("end".to_owned());
    lines.join("\n") + "\n"
}
