//! Room at the destination.

use std::fs;

use orbit::CopyJob;

use crate::support::{Filesystem, Mount, Sandbox, awkward::noise, run};

fn files(count: u64, size: usize) -> Sandbox {
    (0..count).fold(Sandbox::new(), |sandbox, number| {
        sandbox.file(format!("src/{}/{number}", number % 3), &noise(size, number + 1))
    })
}

#[test]
fn a_full_mount_that_is_the_copy_itself_stops_the_run() {
    for is_named in [true, false] {
        let Some(mount) = Mount::new(Filesystem::Tmpfs, 4) else { return };
        let sandbox = files(300, 50_000);
        let job = if is_named {
            CopyJob::new(sandbox.path("src"), mount.path())
        } else {
            let source = sandbox.path(mount.path().file_name().unwrap());
            fs::rename(sandbox.path("src"), &source).unwrap();
            CopyJob::into_directory([source], mount.path().parent().unwrap())
        };
        let report = run(job.jobs(1));
        assert!(report.stopped.as_ref().is_some_and(|why| why.contains("full")), "{:?}", report.stopped);
        assert_eq!(report.totals.failed, 1);
    }
}
