//! How fast each method copies one file, by size, with source and destination in the page cache.
//!
//! ```text
//! ORBIT_BENCH_DIR=/mnt/xfs cargo bench --bench copy_methods
//! ```
//!
//! Without `ORBIT_BENCH_DIR` the files lie in a temporary directory. Choose one on a journaled
//! filesystem: ext4 without a journal takes ten times as long to create a file after others were
//! deleted, which is all this does. criterion's report is target/criterion/report/index.html.
//!
//! A method that moves nothing here, because the filesystem lacks it or shares blocks instead, is
//! left out and named; so is a size for which there is no space or memory.

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, measurement::WallTime};
use orbit::{CopyJob, DataOptions, Engine, Method, Reflink, ZeroCopy};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const SIZES: [u64; 6] = [4 * KIB, 64 * KIB, MIB, 16 * MIB, 256 * MIB, 1024 * MIB];
/// The largest size when the benches are only tried, with `--test`.
const TRIED_MAX: u64 = MIB;

/// A column of the comparison: options that lead to one method.
struct Column {
    name: &'static str,
    /// The methods of which one has to do it; any, where there are none.
    methods: &'static [Method],
    data: DataOptions,
    /// Workers; as many as Orbit likes by default.
    jobs: Option<usize>,
}

fn columns() -> [Column; 6] {
    let data = DataOptions::default();
    let unshared = data.reflink(Reflink::Never);
    let forced = unshared.zero_copy(ZeroCopy::Force);
    let forbidden = unshared.zero_copy(ZeroCopy::Forbid);
    let column = |name, methods, data, jobs| Column { name, methods, data, jobs };
    [
        column("default", &[], data, None),
        column("reflink", &[Method::Reflink], data.reflink(Reflink::Always), Some(1)),
        column("copy_file_range", &[Method::CopyFileRange], data.zero_copy(ZeroCopy::Force), Some(1)),
        // sendfile moves one position in the destination, so ranges of large files are spliced.
        column("sendfile or splice", &[Method::Sendfile, Method::Splice], forced, Some(1)),
        column("buffered", &[Method::Buffered], forbidden, Some(1)),
        // Large files are read and written by several workers at once.
        column("buffered, all jobs", &[Method::Buffered], forbidden, None),
    ]
}

/// The files of one size, and what copies them.
struct Bench<'a> {
    runtime: &'a Runtime,
    engine: &'a Engine,
    source: PathBuf,
    destination: PathBuf,
    size: u64,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

impl Bench<'_> {
    /// Copy the file once; the time it took, and the methods that moved anything.
    fn copy(&self, column: &Column) -> Outcome<(Duration, Vec<Method>)> {
        match fs::remove_file(&self.destination) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        // An idle page cache may be taken away at any moment, so the source is read before each run.
        read_through(&self.source)?;
        let mut job = CopyJob::new(&self.source, &self.destination).data(column.data);
        if let Some(jobs) = column.jobs {
            job = job.jobs(jobs);
        }
        let started = Instant::now();
        let report = self.runtime.block_on(async { self.engine.start(job).finish().await })?;
        let took = started.elapsed();
        if let Some(failure) = report.failures.first() {
            return Err(format!("{failure}: {}", failure.cause()).into());
        }
        if report.totals.bytes_copied != self.size {
            return Err(format!("{} of {} bytes copied", report.totals.bytes_copied, self.size).into());
        }
        Ok((took, report.methods().map(|(method, _)| method).collect()))
    }

    /// Measure a column, unless a first copy shows that it cannot be had here.
    fn measure(&self, group: &mut BenchmarkGroup<'_, WallTime>, column: &Column) {
        let size = readable(self.size);
        let methods = match self.copy(column) {
            Ok((_, methods)) => methods,
            Err(why) => return println!("{} of {size} left out: {why}", column.name),
        };
        if !column.methods.is_empty() && !methods.iter().all(|method| column.methods.contains(method)) {
            let instead: Vec<_> = methods.iter().map(|method| method.name()).collect();
            return println!("{} of {size} left out: {} did it", column.name, instead.join(" and "));
        }
        group.bench_function(BenchmarkId::new(column.name, &size), |bencher| {
            bencher.iter_custom(|copies| {
                let once = |_| self.copy(column).expect("it worked before").0;
                (0..copies).map(once).sum()
            });
        });
    }
}

/// Read a file to its end, for nothing but to have it in the page cache.
fn read_through(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; MIB as usize];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// Write a file of bytes that no filesystem can leave out or compress.
fn write_noise(path: &Path, size: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut state = size | 1;
    let mut block = vec![0; size.min(MIB) as usize];
    for _ in 0..size / block.len() as u64 {
        for word in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block)?;
    }
    file.sync_all()
}

/// Memory that can be had without swapping, where the system says so.
fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok().map(|kib: u64| kib * KIB)
}

fn readable(bytes: u64) -> String {
    if bytes >= 1024 * MIB {
        format!("{} GiB", bytes / MIB / 1024)
    } else if bytes >= MIB {
        format!("{} MiB", bytes / MIB)
    } else {
        format!("{} KiB", bytes / KIB)
    }
}

fn bench_size(criterion: &mut Criterion, bench: &Bench<'_>) {
    // Source and copy in the cache, and both again in memory if the filesystem lies there.
    if let Some(available) = available_memory().filter(|available| *available < 4 * bench.size) {
        return println!("{} left out: {} available", readable(bench.size), readable(available));
    }
    // Room for the copy is found out in the same way: by making one first.
    let made =
        write_noise(&bench.source, bench.size).and_then(|()| write_noise(&bench.destination, bench.size));
    if let Err(why) = made {
        return println!("{} left out: {why}", readable(bench.size));
    }
    let mut group = criterion.benchmark_group("copy one file, warm");
    group
        .sample_size(10)
        .nresamples(10_000)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .throughput(Throughput::Bytes(bench.size));
    columns().iter().for_each(|column| bench.measure(&mut group, column));
    group.finish();
}

fn main() -> Outcome<()> {
    // cargo bench says --bench; without it, or with --test, every bench is only tried once.
    let arguments: Vec<String> = env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let size_max = if has("--bench") && !has("--test") { u64::MAX } else { TRIED_MAX };

    let root = match env::var_os("ORBIT_BENCH_DIR") {
        Some(chosen) => TempDir::new_in(chosen)?,
        None => TempDir::new()?,
    };
    println!("copying within {}", root.path().display());
    let runtime = Runtime::new()?;
    let engine = Engine::new()?;
    let mut criterion = Criterion::default().configure_from_args();
    for size in SIZES.into_iter().filter(|size| *size <= size_max) {
        let (source, destination) = (root.path().join("source"), root.path().join("copy"));
        bench_size(&mut criterion, &Bench { runtime: &runtime, engine: &engine, source, destination, size });
        let _ = fs::remove_file(root.path().join("copy"));
        let _ = fs::remove_file(root.path().join("source"));
    }
    criterion.final_summary();
    Ok(())
}
