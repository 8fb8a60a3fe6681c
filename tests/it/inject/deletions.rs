//! Deletions where something fails: what may be the only copy stays.

use std::fs;

use super::traced::{Traced, can_trace};
use crate::support::Sandbox;

/// A source with a file to copy, and a copy with an entry that the source lacks.
fn with_extra() -> Sandbox {
    let sandbox = Sandbox::new().file("src/d/new", b"new content").dir("dst/d");
    fs::write(sandbox.path("dst/d/extra"), b"extra").unwrap();
    sandbox
}

fn mirror(sandbox: &Sandbox) -> Traced {
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
    copy.without_reflink().told("zero-copy", "forbid").told("delete", "after")
}

#[test]
fn a_source_that_cannot_be_looked_at_when_it_matters_deletes_nothing() {
    if !can_trace() {
        return;
    }
    for errno in ["EIO", "ESTALE", "ELOOP", "ENOENT", "ENOTDIR"] {
        let sandbox = with_extra();
        let path = format!("\"{}\"", sandbox.path("src/d").display());
        let afresh = || {
            fs::remove_file(sandbox.path("dst/d/new")).unwrap();
            fs::write(sandbox.path("dst/d/extra"), b"extra").unwrap();
        };
        // By its path it is opened once, before anything in its copy is deleted.
        let outcome = mirror(&sandbox).fault_at("openat", &[&path], &format!("error={errno}"), afresh).run();
        assert_eq!(outcome.injected("openat"), 1, "{errno}");
        assert_eq!(fs::read(sandbox.path("dst/d/extra")).unwrap(), b"extra", "{errno}");
        assert_eq!(outcome.summary.total("undeleted"), 1, "{errno}: {:?}", outcome.summary);
    }
}

#[test]
fn what_failed_and_then_worked_keeps_nothing() {
    if !can_trace() {
        return;
    }
    for (retries, is_kept) in [("0", true), ("2", false)] {
        let sandbox = with_extra();
        let copy = mirror(&sandbox).told("retries", retries).fault("pread64", "error=EIO:when=1");
        let outcome = copy.run();
        assert_eq!(outcome.injected("pread64"), 1);
        assert_eq!(sandbox.path("dst/d/extra").exists(), is_kept, "{retries}: {:?}", outcome.summary);
        assert_eq!(outcome.summary.total("undeleted"), u64::from(is_kept));
    }
}
