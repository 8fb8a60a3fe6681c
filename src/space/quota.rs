//! Quotas of parts of a copy: where one is used up, nothing more is tried, and everything else goes on.

use std::{fs::File, io, sync::atomic::Ordering};

use super::{Space, is_room_refused};
use crate::{outcomes::Teller, platform, report::WarningKind, tree::DirNode};

/// How far something finds no room that a filesystem with room for it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// For that entry.
    Entry,
    /// For a directory and all that lies below.
    Directory,
    /// For everything that is copied.
    Run,
}

/// Whether nothing more is tried here, or above.
fn is_stopped_at(node: &DirNode) -> bool {
    let mut at = Some(node);
    while let Some(node) = at {
        if node.stopped.load(Ordering::Relaxed) {
            return true;
        }
        at = node.parent.as_deref();
    }
    false
}

impl Space {
    /// Whether nothing more is tried in a directory, since a quota that holds there is used up.
    pub(crate) fn is_stopped(&self, node: &DirNode) -> bool {
        self.is_any_stopped.load(Ordering::Relaxed) && is_stopped_at(node)
    }

    /// An entry of `node` found no room: see for how much more that holds, and stop trying
    /// there.
    ///
    /// Which directories a quota is for is not asked, as every filesystem has another way to say it, and a
    /// server none: it is for those where a file as large finds no room.
    pub(super) fn stop_where_quota_holds(
        &self,
        teller: &mut Teller,
        node: &DirNode,
        refusal: &io::Error,
    ) -> Holds {
        // What there is room for at all: a file with holes takes less than its size.
        let most = self.room().and_then(|room| room.bytes).map_or(Asked::MOST, |bytes| bytes / 2);
        let asked = Asked {
            bytes: self.needed.load(Ordering::Relaxed).min(most).clamp(Asked::LEAST, Asked::MOST),
            unknown_is_over: refusal.kind() == io::ErrorKind::QuotaExceeded,
        };
        let mut over = None;
        let mut at = Some(node);
        while let Some(node) = at.filter(|node| asked.is_refused(node)) {
            over = Some(node);
            at = node.parent.as_deref();
        }
        let Some(over) = over else { return Holds::Entry };
        let is_only_copy = self.setting.job.sources.len() == 1
            && over.parent.as_ref().is_some_and(|parent| parent.place.is_root());
        if is_only_copy || over.place.is_root() {
            return Holds::Run;
        }
        if !over.stopped.swap(true, Ordering::Relaxed) {
            self.is_any_stopped.store(true, Ordering::Relaxed);
            teller.warn_of(WarningKind::Untried, || over.place.path_in_copy(c""), &refusal.to_string());
        }
        Holds::Directory
    }
}

/// Room that is asked for, to see whether a quota refuses it.
struct Asked {
    bytes: u64,
    /// Whether a directory where nothing can be asked is taken for one that is full.
    unknown_is_over: bool,
}

impl Asked {
    /// With less than this, a quota is as good as used up, in bytes.
    const LEAST: u64 = 1 << 20;
    /// More is not taken from others, even for a moment, in bytes.
    const MOST: u64 = 1 << 30;
    /// Where nothing can be reserved, as on btrfs, at most this is written, in bytes.
    const WRITTEN: u64 = 64 << 20;

    fn is_refused(&self, node: &DirNode) -> bool {
        let asked = node.dirs().map_err(|fault| fault.cause).and_then(|dirs| {
            let file = dirs.target.create_unnamed(0o600)?;
            match platform::reserve(&file, self.bytes) {
                Err(error) if !is_room_refused(&error) => write_zeros(&file, self.bytes.min(Asked::WRITTEN)),
                reserved => reserved,
            }
        });
        match asked {
            Ok(()) => false,
            Err(error) if is_room_refused(&error) => true,
            Err(_) => self.unknown_is_over,
        }
    }
}

fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    (0..bytes.div_ceil(zeros.len() as u64))
        .try_for_each(|piece| platform::write_all_at(file, &zeros, piece * zeros.len() as u64))
}
