//! Failures: each is noted, and some of them stop the run, or what is done in a directory.

use std::{ffi::CStr, sync::atomic::Ordering};

use super::{Copier, Holds};
use crate::{
    entry::Kind,
    error::{Failure, Fault, Op},
    transfer::Watch,
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
        if is_about_room(failure.op())
            && !self.teller.is_cancelled()
            && let Some(why) = self.is_hopeless(node, &failure)
        {
            self.run.ledger.stop(why);
            self.run.queue.wake_all();
        }
        self.teller.outcomes.totals.failed += 1;
        self.teller.outcomes.failures.push(failure);
    }

    /// Why nothing more can be written, if that is so.
    fn is_hopeless(&mut self, node: Option<&DirNode>, failure: &Failure) -> Option<String> {
        /// With less than this, a filesystem is as good as full, in bytes.
        const ROOM: u64 = 1 << 20;
        match failure.cause().kind() {
            std::io::ErrorKind::QuotaExceeded => self.is_quota_hopeless(node, failure),
            std::io::ErrorKind::ReadOnlyFilesystem => {
                self.setting.is_read_only().then(|| "the destination is read-only".into())
            }
            std::io::ErrorKind::StorageFull => {
                let Some(room) = self.setting.room() else { return self.is_quota_hopeless(node, failure) };
                let needed = self.run.space.needed.load(Ordering::Relaxed);
                match room.inodes {
                    Some(0) => Some("the destination has no free inodes".into()),
                    _ if room.bytes.is_some_and(|free| free < ROOM.max(needed)) => Some(format!(
                        "the destination is full: {} bytes are free{}",
                        room.bytes.unwrap_or(0),
                        if needed > 0 { format!(", {needed} were needed") } else { String::new() }
                    )),
                    // XFS says so where a project's quota is used up.
                    _ => self.is_quota_hopeless(node, failure),
                }
            }
            _ => None,
        }
    }

    /// Why nothing more can be written, if a quota leaves no room for anything that is copied.
    fn is_quota_hopeless(&mut self, node: Option<&DirNode>, failure: &Failure) -> Option<String> {
        let refusal = failure.cause();
        let is_quota = refusal.kind() == std::io::ErrorKind::QuotaExceeded;
        let holds = match node {
            Some(node) => self.stop_where_quota_holds(node, refusal),
            None if is_quota => Holds::Run,
            None => Holds::Entry,
        };
        (holds == Holds::Run).then(|| match is_quota {
            true => "the quota at the destination is used up".into(),
            false => "the destination gives no more room, though it has some (a quota may be used up)".into(),
        })
    }
}

/// Whether an operation that finds no room would find none for other entries either.
fn is_about_room(op: Op) -> bool {
    !matches!(op, Op::SetXattrs | Op::SetAcl | Op::SetOwner | Op::Remove)
}
