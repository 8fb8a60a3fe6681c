//! Failures: each is noted, and some of them stop the run, or what is done in a directory.

use std::ffi::CStr;

use super::Copier;
use crate::{
    entry::Kind,
    error::{Failure, Fault},
    tree::DirNode,
};

impl Copier {
    /// Note that an entry failed; a run that was cancelled does not fail what it leaves undone.
    ///
    /// What `kind` it is need not be known; it is taken for a file then.
    pub(crate) fn fail(&mut self, node: &DirNode, name: &CStr, kind: Option<Kind>, fault: Fault) {
        if !fault.leaves_content {
            self.run.extraneous.count_failed(node.place.source_index());
        }
        self.fail_uncounted(node, name, kind, fault);
    }

    /// As [`fail`](Self::fail), where it is no further reason to delete nothing.
    pub(crate) fn fail_uncounted(&mut self, node: &DirNode, name: &CStr, kind: Option<Kind>, fault: Fault) {
        node.span.in_scope(|| self.fail_in(Some(node), node.failure(name, kind, fault)));
    }

    /// Note that something failed that is no entry.
    pub(crate) fn fail_at(&mut self, failure: Failure) {
        self.fail_in(None, failure);
    }

    /// As [`fail_at`](Self::fail_at), of an entry of `node`, if it is one.
    fn fail_in(&mut self, node: Option<&DirNode>, failure: Failure) {
        if !self.teller.count_failure(&failure) {
            return;
        }
        self.run.space.stop_if_hopeless(&mut self.teller, node, &failure);
        self.teller.outcomes.totals.failed += 1;
        self.teller.outcomes.failures.push(failure);
    }
}
