//! Whether there is room for what is copied, and what is done where there is none.

mod expected;
mod quota;
mod target;

use std::{
    ffi::CStr,
    fs::File,
    io::{self, ErrorKind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{
    error::{Failure, Fault, Op},
    learned::Pair,
    outcomes::Teller,
    platform::{self, Dir},
    setting::Setting,
    transfer::Watch,
    tree::DirNode,
};
use expected::SpaceEstimate;
use quota::Holds;

/// Whether there is room at the destination.
#[derive(Debug)]
pub(crate) struct Space {
    setting: Arc<Setting>,
    /// The directory that holds the copies; open once, however many sources there are.
    target: OnceLock<Arc<Dir>>,
    expected: SpaceEstimate,
    /// Bytes that a file needed for which there was no room.
    needed: AtomicU64,
    /// Whether nothing more is tried in some directory.
    is_any_stopped: AtomicBool,
}

impl Space {
    /// Nothing known yet.
    pub(crate) fn new(setting: Arc<Setting>) -> Space {
        Space {
            setting,
            target: OnceLock::new(),
            expected: SpaceEstimate::default(),
            needed: AtomicU64::new(0),
            is_any_stopped: AtomicBool::new(false),
        }
    }

    /// A file needed so many bytes, for which there was no room.
    pub(crate) fn lacks(&self, bytes: u64) {
        self.needed.store(bytes, Ordering::Relaxed);
    }

    /// Reserve the blocks of a file, which tells early where there is no room for it; a filesystem that
    /// cannot reserve will allocate as the bytes come.
    pub(crate) fn reserve(&self, pair: &Pair, file: &File, size: u64) -> Result<(), Fault> {
        // Memory is reserved page by page, for seconds in which nothing would move at the rate that is asked for.
        let is_slow = self.setting.limiter.limits_bytes() && pair.names[1].as_deref() == Some("tmpfs");
        let reserved = if is_slow { platform::check_room(file, size) } else { platform::reserve(file, size) };
        match reserved {
            Err(error) if is_room_refused(&error) => {
                self.lacks(size);
                Err(Fault::new(Op::Write, error))
            }
            _ => Ok(()),
        }
    }

    /// Count what a run that died has left in a directory of the copy as gone: it is taken up, or removed.
    pub(crate) fn subtract_gone(&self, dir: &Dir, device: u64, name: &CStr) {
        self.expected.subtract_gone(dir, device, name);
    }

    /// Stop the run where going on makes no sense, since the destination is full or read-only.
    pub(crate) fn stop_if_hopeless(&self, teller: &mut Teller, node: Option<&DirNode>, failure: &Failure) {
        if is_about_room(failure.op())
            && !teller.is_cancelled()
            && let Some(why) = self.is_hopeless(teller, node, failure)
        {
            teller.stop_run(why);
        }
    }

    /// Why nothing more can be written, if that is so.
    fn is_hopeless(&self, teller: &mut Teller, node: Option<&DirNode>, failure: &Failure) -> Option<String> {
        /// With less than this, a filesystem is as good as full, in bytes.
        const ROOM: u64 = 1 << 20;
        match failure.cause().kind() {
            ErrorKind::QuotaExceeded => self.is_quota_hopeless(teller, node, failure),
            ErrorKind::ReadOnlyFilesystem => {
                self.is_read_only().then(|| "the destination is read-only".into())
            }
            ErrorKind::StorageFull => {
                let Some(room) = self.room() else {
                    return self.is_quota_hopeless(teller, node, failure);
                };
                let needed = self.needed.load(Ordering::Relaxed);
                match room.inodes {
                    Some(0) => Some("the destination has no free inodes".into()),
                    _ if room.bytes.is_some_and(|free| free < ROOM.max(needed)) => Some(format!(
                        "the destination is full: {} bytes are free{}",
                        room.bytes.unwrap_or(0),
                        if needed > 0 { format!(", {needed} were needed") } else { String::new() }
                    )),
                    // XFS says so where a project's quota is used up.
                    _ => self.is_quota_hopeless(teller, node, failure),
                }
            }
            _ => None,
        }
    }

    /// Why nothing more can be written, if a quota leaves no room for anything that is copied.
    fn is_quota_hopeless(
        &self,
        teller: &mut Teller,
        node: Option<&DirNode>,
        failure: &Failure,
    ) -> Option<String> {
        let refusal = failure.cause();
        let is_quota = refusal.kind() == ErrorKind::QuotaExceeded;
        let holds = match node {
            Some(node) => self.stop_where_quota_holds(teller, node, refusal),
            None if is_quota => Holds::Run,
            None => Holds::Entry,
        };
        (holds == Holds::Run).then(|| match is_quota {
            true => "the quota at the destination is used up".into(),
            false => "the destination gives no more room, though it has some (a quota may be used up)".into(),
        })
    }
}

/// Whether a call failed since there is no room, on the device or by a quota.
pub(crate) fn is_room_refused(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::QuotaExceeded | ErrorKind::StorageFull)
}

/// Whether an operation that finds no room would find none for other entries either.
fn is_about_room(op: Op) -> bool {
    !matches!(op, Op::SetXattrs | Op::SetAcl | Op::SetOwner | Op::Remove)
}
