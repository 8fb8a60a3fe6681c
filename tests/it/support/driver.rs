//! Copies in a process of their own: as another user, under other limits, or to see what it needs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use nix::{
    sys::{
        resource::{Resource, setrlimit},
        stat::{Mode, umask},
    },
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};
use orbit::{Attributes, CopyJob, Preserve, Report};

/// A user without any rights.
pub const NOBODY: u32 = 65534;

/// A copy to be run by another process.
#[derive(Clone)]
pub struct Drive {
    settings: BTreeMap<&'static str, String>,
    prefix: Vec<String>,
}

/// What the other process said of its copy.
pub struct Driven {
    values: BTreeMap<String, String>,
    pub failures: Vec<String>,
    pub warnings: Vec<String>,
}

const SETTINGS: [&str; 9] = [
    "ORBIT_SRC",
    "ORBIT_DST",
    "ORBIT_JOBS",
    "ORBIT_UID",
    "ORBIT_UMASK",
    "ORBIT_NOFILE",
    "ORBIT_WITHOUT",
    "ORBIT_REQUIRE",
    "ORBIT_DRY",
];

impl Drive {
    pub fn new(source: &Path, destination: &Path) -> Drive {
        let path = |path: &Path| path.to_str().expect("drivers take UTF-8 paths").to_owned();
        let settings = BTreeMap::from([("ORBIT_SRC", path(source)), ("ORBIT_DST", path(destination))]);
        Drive { settings, prefix: Vec::new() }
    }

    fn set(mut self, name: &'static str, value: impl ToString) -> Drive {
        self.settings.insert(name, value.to_string());
        self
    }

    pub fn jobs(self, jobs: usize) -> Drive {
        self.set("ORBIT_JOBS", jobs)
    }

    /// As this user and group, without any other groups.
    pub fn user(self, uid: u32) -> Drive {
        self.set("ORBIT_UID", uid)
    }

    pub fn umask(self, mask: u32) -> Drive {
        self.set("ORBIT_UMASK", mask)
    }

    /// With at most this many open files.
    pub fn open_files(self, limit: u64) -> Drive {
        self.set("ORBIT_NOFILE", limit)
    }

    /// Without keeping these.
    pub fn without(self, attributes: Attributes) -> Drive {
        self.set("ORBIT_WITHOUT", attributes.bits())
    }

    /// Failing what cannot be kept of these.
    pub fn requiring(self, attributes: Attributes) -> Drive {
        self.set("ORBIT_REQUIRE", attributes.bits())
    }

    /// Only telling what it would do.
    pub fn dry(self) -> Drive {
        self.set("ORBIT_DRY", 1)
    }

    /// Started by another program, such as strace.
    pub fn under(mut self, program: &[&str]) -> Drive {
        self.prefix = program.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Run the copy and wait for its end.
    pub fn run(self) -> Driven {
        let output = self.output();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let mut driven = Driven { values: BTreeMap::new(), failures: Vec::new(), warnings: Vec::new() };
        // The harness does not end its own line before the first.
        for (_, line) in said.lines().filter_map(|line| line.split_once("driver: ")) {
            let (name, value) = line.split_once('=').unwrap();
            match name {
                "failure" => driven.failures.push(value.to_owned()),
                "warning" => driven.warnings.push(value.to_owned()),
                _ => drop(driven.values.insert(name.to_owned(), value.to_owned())),
            }
        }
        assert_eq!(driven.number("found"), driven.number("done"), "each entry is dealt with once");
        driven
    }

    fn output(self) -> Output {
        let this = std::env::current_exe().unwrap();
        let mut command = match self.prefix.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(this);
                command
            }
            None => Command::new(this),
        };
        command.args(["--exact", "support::driver::drive", "--ignored", "--nocapture", "--test-threads=1"]);
        for name in SETTINGS {
            command.env_remove(name);
        }
        command.envs(self.settings).stdin(Stdio::null()).output().unwrap()
    }
}

impl Driven {
    pub fn is_complete(&self) -> bool {
        self.values["complete"] == "true"
    }

    pub fn number(&self, name: &str) -> u64 {
        self.values[name].parse().unwrap()
    }

    /// The most memory that the process held, in MiB.
    pub fn peak_mebibytes(&self) -> u64 {
        self.number("peak_kib") / 1024
    }

    #[track_caller]
    pub fn assert_complete(&self) {
        assert!(self.is_complete(), "{:?}", &self.failures[..self.failures.len().min(5)]);
    }
}

/// The other process.
#[test]
#[ignore = "other tests run it in a process of its own"]
fn drive() {
    let setting = |name: &str| std::env::var(name).ok();
    let number = |name: &str| setting(name).map(|text| text.parse::<u64>().unwrap());
    let (Some(source), Some(destination)) = (setting("ORBIT_SRC"), setting("ORBIT_DST")) else { return };
    let bits = |name: &str| Attributes::from_bits_truncate(number(name).unwrap_or(0) as u16);
    if let Some(mask) = number("ORBIT_UMASK") {
        umask(Mode::from_bits_truncate(mask as u32));
    }
    if let Some(limit) = number("ORBIT_NOFILE") {
        setrlimit(Resource::RLIMIT_NOFILE, limit, limit).unwrap();
    }
    if let Some(id) = number("ORBIT_UID") {
        let (uid, gid) = (Uid::from_raw(id as u32), Gid::from_raw(id as u32));
        setgroups(&[gid]).unwrap();
        setresgid(gid, gid, gid).unwrap();
        setresuid(uid, uid, uid).unwrap();
    }
    let preserve = Preserve::all_requiring(bits("ORBIT_REQUIRE")).without(bits("ORBIT_WITHOUT"));
    let mut job = CopyJob::new(PathBuf::from(source), PathBuf::from(destination)).preserve(preserve);
    if let Some(jobs) = number("ORBIT_JOBS") {
        job = job.jobs(jobs as usize);
    }
    tell(&super::run(job.dry_run(setting("ORBIT_DRY").is_some())));
}

fn tell(report: &Report) {
    let totals = &report.totals;
    for (name, value) in [
        ("complete", u64::from(report.is_complete())),
        ("found", totals.entries_found),
        ("files", totals.files_copied),
        ("directories", totals.directories_created),
        ("links", totals.hard_links_created),
        ("specials", totals.specials_created),
        ("skipped", totals.skipped),
        ("failed", totals.failed),
        ("bytes", totals.bytes_copied),
        ("done", totals.entries_done()),
        ("workers", report.jobs.limit as u64),
        ("millis", report.elapsed.as_millis() as u64),
        ("peak_kib", peak_kib()),
    ] {
        match name {
            "complete" => println!("driver: complete={}", value == 1),
            _ => println!("driver: {name}={value}"),
        }
    }
    for failure in &report.failures {
        println!("driver: failure={:?}", format!("{failure}: {}", failure.cause()));
    }
    for warning in &report.warnings {
        println!("driver: warning={:?} {}", warning.kind, warning.count);
    }
}

/// The most memory this process held. `ru_maxrss` would count what its parent held before `exec`.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
