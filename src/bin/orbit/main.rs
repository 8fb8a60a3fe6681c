//! x
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let engine = orbit::Engine::new().unwrap();
    let mut job = orbit::CopyJob::new(&args[1], &args[2]);
    if let Some(jobs) = args.get(3) {
        job = job.jobs(jobs.parse().unwrap());
    }
    let report = engine.start(job).finish().await.unwrap();
    for f in &report.failures {
        eprintln!("{f}: {}", f.cause());
    }
    eprintln!("{report:#?}");
}
