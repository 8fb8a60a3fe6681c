//! Devices that answer late: more workers wait for them at once.

use super::traced::{Traced, can_trace};
use crate::support::{Filesystem, Mount, Sandbox, tree::assert_same};

/// A tree of enough files to find out in, where every file costs two calls that take 10 ms.
fn copied(jobs: &str) -> Option<(u64, u64)> {
    const FILES: usize = 1_200;
    let mount = Mount::new(Filesystem::Tmpfs, 64).filter(|_| can_trace())?;
    let mut sandbox = Sandbox::on(&mount);
    for index in 0..FILES {
        sandbox = sandbox.file(format!("src/{index}"), b"small");
    }
    let traced = Traced::copy(sandbox.path("src"), sandbox.path("dst")).told("jobs", jobs);
    let outcome = traced.fault("openat", "delay_enter=10000").run();
    assert!(outcome.count("openat") > 2 * FILES);
    assert_eq!(outcome.summary.total("files_copied"), FILES as u64);
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
    Some((outcome.summary.total("peak_jobs"), outcome.summary.total("job_steps")))
}

#[test]
fn workers_that_wait_are_joined_by_others() {
    let Some((peak, steps)) = copied("auto") else { return };
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    assert!(peak >= 4 * cores.min(8), "{peak} workers at the most, {cores} cores");
    assert!(steps >= 1, "{steps}");
}

#[test]
fn a_number_that_was_asked_for_stays() {
    let Some(told) = copied("3") else { return };
    assert_eq!(told, (3, 0));
}
