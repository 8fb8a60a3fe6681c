//! Where a process has no descriptor left: others in it may give some back, or do not.

use std::{
    fs::{self, File},
    num::NonZeroU64,
    process::{Command, Stdio},
    sync::{Mutex, mpsc},
    time::Duration,
};

use nix::sys::resource::{Resource, setrlimit};
use orbit::{Comparison, CopyJob, Engine, Limits};
use tokio::runtime::Builder;
use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{Layer, Registry, layer::Context, layer::SubscriberExt};

use crate::support::{
    Sandbox, assert_complete, causes, has_program, orbit, skip, stderr,
    tree::{Aspect, Tree},
};

/// Tells a process that it is the service.
const SERVICE: &str = "ORBIT_TEST_SERVICE";
/// What it may have open.
const LIMIT: u64 = 200;
/// Nothing that is waited for takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Nothing waits for this long.
const FOR_EVER: Duration = Duration::from_secs(100_000);

/// Run a test again, alone, in a process that may have few files open.
fn in_a_service(name: &str, work: impl FnOnce(&mut Service)) {
    if std::env::var_os(SERVICE).is_some() {
        setrlimit(Resource::RLIMIT_NOFILE, LIMIT, LIMIT).unwrap();
        return work(&mut Service::begin());
    }
    let mut service = Command::new(std::env::current_exe().unwrap());
    service.args(["--exact", &format!("shortage::{name}"), "--nocapture", "--test-threads=1"]);
    let output = service.env(SERVICE, "").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", stderr(&output));
}

/// The service: it opens files itself, and hears when somebody waits for a descriptor.
struct Service {
    files: Vec<File>,
    shortages: mpsc::Receiver<()>,
}

/// Hears the library say that there is no descriptor left.
struct Hears(Mutex<mpsc::Sender<()>>);

impl<S: Subscriber> Layer<S> for Hears {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Said(String);
        impl Visit for Said {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut said = Said(String::new());
        event.record(&mut said);
        if said.0.starts_with("no descriptor is left") {
            let _ = self.0.lock().unwrap().send(());
        }
    }
}

impl Service {
    fn begin() -> Service {
        let (heard, shortages) = mpsc::channel();
        let subscriber = Registry::default().with(Hears(Mutex::new(heard)));
        tracing::subscriber::set_global_default(subscriber).unwrap();
        Service { files: Vec::new(), shortages }
    }

    /// Open files until there is no descriptor left.
    fn take_all(&mut self) {
        loop {
            match File::open("/dev/null") {
                Ok(file) => self.files.push(file),
                Err(error) if error.raw_os_error() == Some(nix::libc::EMFILE) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn give_back(&mut self) {
        self.files.clear();
    }

    /// Wait until somebody finds no descriptor; whatever is given back meanwhile is taken.
    fn hear_of_a_shortage(&mut self) {
        for _ in 0..PATIENCE.as_millis() {
            self.take_all();
            if self.shortages.recv_timeout(Duration::from_millis(1)).is_ok() {
                return;
            }
        }
        panic!("nobody waits for a descriptor");
    }
}

/// A runtime on whose thread the test may sleep.
fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("it hangs") })
}

fn patient() -> Engine {
    Engine::builder().wait_for_descriptors(FOR_EVER).build().unwrap()
}

/// Directories that lie in each other and beside each other, with files and links.
fn tree() -> Sandbox {
    let mut sandbox = Sandbox::new();
    let mut deep = String::from("src");
    for number in 0..60 {
        deep += &format!("/{number}");
        sandbox = sandbox.file(format!("{deep}/file"), b"content");
        sandbox = sandbox.file(format!("src/wide/{number}/file"), b"content");
        sandbox = sandbox.symlink("file", format!("src/wide/{number}/link"));
    }
    sandbox
}

fn copy_of(sandbox: &Sandbox) -> CopyJob {
    CopyJob::new(sandbox.path("src"), sandbox.path("dst"))
}

fn assert_same(sandbox: &Sandbox) {
    let (source, copy) = (Tree::of(&sandbox.path("src")), Tree::of(&sandbox.path("dst")));
    assert!(source.differences(&copy, &[Aspect::Atime]).is_empty());
}

#[test]
fn a_run_waits_until_the_service_gives_descriptors_back() {
    in_a_service("a_run_waits_until_the_service_gives_descriptors_back", |service| {
        let sandbox = tree();
        on_a_runtime(async {
            // When it begins.
            service.take_all();
            let engine = patient();
            let run = engine.start(copy_of(&sandbox));
            service.hear_of_a_shortage();
            service.give_back();
            let report = run.finish().await.unwrap();
            assert_complete(&report);
            assert!(report.warnings.is_empty() && report.retries.is_empty(), "{report:?}");
        });
        assert_same(&sandbox);
        fs::remove_dir_all(sandbox.path("dst")).unwrap();
        on_a_runtime(async {
            // While it goes on; again and again.
            let limits = Limits::default().operations(NonZeroU64::new(100).unwrap());
            let run = Engine::builder().jobs(3).wait_for_descriptors(FOR_EVER).build().unwrap();
            let run = run.start(copy_of(&sandbox).limits(limits));
            let mut progress = run.progress();
            progress.wait_for(|progress| progress.totals.entries_done() > 10).await.unwrap();
            service.hear_of_a_shortage();
            service.give_back();
            let done = progress.borrow().totals.entries_done();
            progress.wait_for(|progress| progress.totals.entries_done() > done + 10).await.unwrap();
            run.limits().set_operations(None);
            let report = run.finish().await.unwrap();
            assert_complete(&report);
            assert!(report.warnings.is_empty(), "{report:?}");
        });
        assert_same(&sandbox);
    });
}

#[test]
fn a_comparison_waits_too() {
    in_a_service("a_comparison_waits_too", |service| {
        let sandbox = tree();
        on_a_runtime(async {
            let engine = patient();
            assert_complete(&engine.start(copy_of(&sandbox)).finish().await.unwrap());
            service.take_all();
            let comparing = engine.compare(Comparison::new(sandbox.path("src"), sandbox.path("dst")));
            service.hear_of_a_shortage();
            service.give_back();
            let report = comparing.finish().await.unwrap();
            assert!(report.is_equal(true), "{report:?}");
        });
    });
}

#[test]
fn cancelling_ends_the_wait_for_a_descriptor() {
    in_a_service("cancelling_ends_the_wait_for_a_descriptor", |service| {
        let sandbox = tree();
        on_a_runtime(async {
            let engine = patient();
            service.take_all();
            let run = engine.start(copy_of(&sandbox));
            service.hear_of_a_shortage();
            run.cancel();
            let report = run.finish().await.unwrap();
            assert!(report.cancelled && report.failures.is_empty(), "{:?}", causes(&report));
            let comparing = engine.compare(Comparison::new(sandbox.path("src"), sandbox.path("src")));
            comparing.cancel();
            assert!(comparing.finish().await.unwrap().cancelled);
            engine.quiesce().await;
        });
    });
}

#[test]
fn a_service_that_gives_nothing_back_fails_its_runs_and_later_ones_go_on() {
    in_a_service("a_service_that_gives_nothing_back_fails_its_runs_and_later_ones_go_on", |service| {
        let sandbox = tree();
        on_a_runtime(async {
            let engine = Engine::builder().wait_for_descriptors(Duration::from_millis(50)).build().unwrap();
            service.take_all();
            let report = engine.start(copy_of(&sandbox)).finish().await.unwrap();
            assert_eq!((report.totals.failed, report.failures.len()), (1, 1), "{:?}", causes(&report));
            assert_eq!(report.failures[0].errno(), Some(nix::libc::EMFILE));
            assert!(report.failures[0].advice().is_some_and(|advice| advice.contains("ulimit -n")));
            service.give_back();
            assert_complete(&engine.start(copy_of(&sandbox)).finish().await.unwrap());
        });
        assert_same(&sandbox);
    });
}

#[test]
fn a_run_lets_go_of_what_it_keeps_open_itself() {
    in_a_service("a_run_lets_go_of_what_it_keeps_open_itself", |service| {
        let mut sandbox = Sandbox::new();
        for number in 0..100 {
            sandbox = sandbox.file(format!("src/{number}"), b"new one").file(format!("dst/{number}"), b"old");
        }
        let engine =
            Engine::builder().jobs(1).wait_for_descriptors(Duration::from_millis(50)).build().unwrap();
        // Finished files wait, open, to replace others: that would be more than the process may have now.
        let used = fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        setrlimit(Resource::RLIMIT_NOFILE, used + 20, LIMIT).unwrap();
        on_a_runtime(async {
            let report = engine.start(copy_of(&sandbox)).finish().await.unwrap();
            assert_complete(&report);
            assert_eq!(report.totals.files_copied, 100);
        });
        assert!(service.shortages.try_recv().is_ok(), "there was no descriptor left");
        assert_same(&sandbox);
    });
}

#[test]
fn the_command_fails_with_advice_where_no_descriptor_is_given_back() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    const FILES: usize = 50;
    let sandbox =
        (0..FILES).fold(Sandbox::new(), |sandbox, number| sandbox.file(format!("src/{number}"), b"content"));
    let log = sandbox.path("log");
    let orbit = orbit().get_program().to_owned();
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-qq", "-e", "trace=openat", "-e", "inject=openat:error=EMFILE:when=1+", "-o"])
        .arg(&log);
    // What the source holds, and not the rest of the process.
    traced.arg("-P").arg(sandbox.path("src")).arg(orbit).args(["-T", "-j1"]);
    let output = traced.arg(sandbox.path("src")).arg(sandbox.path("dst")).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let lines = said
        .lines()
        .filter(|line| line.contains("Too many open files; raise the limit of open files"))
        .count();
    let tried = fs::read_to_string(&log).unwrap().matches("(INJECTED)").count();
    assert!(lines > 0 && tried > 10, "{lines} {tried}: {said}");
    assert!(tried < FILES * 3, "nobody waits for each file anew: {tried}");
}
