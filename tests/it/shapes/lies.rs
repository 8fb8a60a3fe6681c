//! Sources that are not what they say: sizes that are wrong, and files that cannot be read.

use std::{fs, path::Path};

use orbit::CopyJob;

use crate::support::{Sandbox, assert_complete, run, tree::slurp};

#[test]
fn files_of_procfs_are_copied_whole_though_their_size_is_none() {
    let sandbox = Sandbox::new();
    for name in ["/proc/cpuinfo", "/proc/filesystems", "/proc/version", "/proc/kallsyms"] {
        let copy = sandbox.path(Path::new(name).file_name().unwrap());
        assert_complete(&run(CopyJob::new(name, &copy)));
        assert!(fs::metadata(&copy).unwrap().len() > 0, "{name}");
        if name != "/proc/cpuinfo" {
            assert_eq!(slurp(&copy), slurp(Path::new(name)), "{name}"); // clocks change meanwhile
        }
    }
}

#[test]
fn files_of_sysfs_end_where_they_end_though_their_size_is_a_page() {
    let sandbox = Sandbox::new();
    let report = run(CopyJob::new("/sys/kernel/mm", sandbox.path("mm")));
    assert!(report.totals.files_copied > 5, "{:?}", report.totals);
    let mut compared = 0;
    for entry in fs::read_dir("/sys/kernel/mm/transparent_hugepage").unwrap() {
        let path = entry.unwrap().path();
        let Ok(content) = fs::read(&path) else { continue };
        let copy = sandbox.path("mm/transparent_hugepage").join(path.file_name().unwrap());
        if path.is_file() {
            assert_eq!(slurp(&copy), content, "{}", path.display());
            compared += 1;
        }
    }
    assert!(compared > 1);
}

#[test]
fn a_tree_of_procfs_ends_and_tells_what_it_could_not_read() {
    let sandbox = Sandbox::new();
    let report = run(CopyJob::new("/proc/sys/kernel", sandbox.path("kernel")));
    assert!(report.totals.files_copied > 50, "{:?}", report.totals);
    assert_eq!(report.totals.entries_found, report.totals.entries_done());
    assert_eq!(slurp(&sandbox.path("kernel/ostype")), slurp(Path::new("/proc/sys/kernel/ostype")));
    for failure in &report.failures {
        assert!(failure.path().starts_with("/proc/sys/kernel"), "{failure}");
    }
}

#[test]
fn a_source_that_is_not_there_is_one_failure() {
    let sandbox = Sandbox::new().file("there", b"x").dir("dst");
    let sources = [sandbox.path("missing"), sandbox.path("there")];
    let report = run(CopyJob::into_directory(sources, sandbox.path("dst")));
    assert_eq!((report.totals.failed, report.totals.files_copied), (1, 1));
    assert_eq!(report.failures[0].path(), sandbox.path("missing"));
    let nowhere = run(CopyJob::new(sandbox.path("there"), sandbox.path("no/such/place")));
    assert_eq!(nowhere.totals.failed, 1);
}
