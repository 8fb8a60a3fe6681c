//! Quotas of parts of a copy: where one is used up, nothing more is tried; the rest is copied.

use std::{fs, path::Path};

use orbit::{CopyJob, WarningKind};

use super::{
    mounts::limited_directory,
    traced::{Traced, can_trace},
    tree::{KIB, assert_no_temporaries, assert_same_tree, noise},
};
use crate::support::{Filesystem, Mount, Sandbox, run};

/// Files for a directory without room for them, and others.
fn source() -> Sandbox {
    let mut sandbox = Sandbox::new().file("src/limited/below/file", b"content").file("src/zz/file", b"other");
    for index in 0..40 {
        sandbox = sandbox
            .file(format!("src/limited/file-{index}"), &noise(index, 300 * KIB))
            .file(format!("src/aa/file-{index}"), &noise(index, KIB));
    }
    sandbox
}

#[test]
fn a_quota_of_a_directory_stops_that_directory_and_nothing_else() {
    let Some(mount) = Mount::new(Filesystem::Btrfs, 200) else { return };
    let limited = limited_directory(mount.path());
    let sandbox = source();
    let report = run(CopyJob::new(sandbox.path("src"), mount.path()));
    assert_eq!(report.stopped, None);
    // Several workers may find it used up at once.
    let (failed, untried) = (report.totals.failed, report.totals.untried);
    assert!((1..=8).contains(&failed), "{:?}", report.failures);
    assert!(untried >= 20, "{:?}", report.totals);
    let said: Vec<_> =
        report.warnings.iter().filter(|warning| warning.kind == WarningKind::Untried).collect();
    assert_eq!((said.len(), said[0].count, &said[0].path), (1, 1, &limited));
    for name in ["aa", "zz"] {
        assert_same_tree(&sandbox.path("src").join(name), &mount.path().join(name));
    }
    assert_no_temporaries(mount.path());
    // As often as it is tried, and with as few words.
    let again = run(CopyJob::new(sandbox.path("src"), mount.path()));
    assert!(again.stopped.is_none() && again.totals.untried > 0 && again.totals.failed <= 8);
}

#[test]
fn whatever_a_filesystem_says_of_a_quota_it_is_for_where_nothing_more_can_be_made() {
    if !can_trace() {
        return;
    }
    for errno in ["EDQUOT", "ENOSPC"] {
        let sandbox = source().dir("dst/limited/below");
        let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
        let full = ["limited", "limited/below"].map(|name| sandbox.path("dst").join(name));
        // Files, named or not, are made there by nothing else.
        let outcome = copy.concerning(full).fault("openat", &format!("error={errno}")).run();
        assert!(outcome.injected("openat") > 0);
        let summary = &outcome.summary;
        assert!(!summary.was_stopped(), "{summary:#?}");
        let untried = summary.total("untried");
        assert_eq!(summary.total("failed") + untried, 41, "{summary:#?}");
        assert!(summary.total("failed") <= 3, "{errno}: {summary:#?}");
        for name in ["aa", "zz"] {
            assert_same_tree(&sandbox.path("src").join(name), &sandbox.path("dst").join(name));
        }
        assert_eq!(fs::read_dir(sandbox.path("dst/limited")).unwrap().count(), 1);
    }
}

#[test]
fn a_quota_that_holds_for_all_that_is_copied_stops_the_run() {
    if !can_trace() {
        return;
    }
    for errno in ["EDQUOT", "ENOSPC"] {
        let sandbox = source().dir("dst");
        let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
        let refused = copy.told("zero-copy", "forbid").told("reflink", "never");
        let outcome = refused.fault("pwrite64", &format!("error={errno}"));
        let outcome = outcome.fault("fallocate", &format!("error={errno}")).run();
        assert!(outcome.injected("fallocate") > 0 && outcome.summary.was_stopped(), "{:#?}", outcome.summary);
        assert_eq!(outcome.summary.total("failed"), 1);
        assert!(!has_any_file(&sandbox.path("dst")));
    }
}

fn has_any_file(root: &Path) -> bool {
    super::tree::walk(root).iter().any(|path| path.is_file())
}
