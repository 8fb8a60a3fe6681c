//! What a run has found of what there is to be done.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::{entry::Kind, options::FollowLinks};

/// The entries that a run has found so far, and whether there may be more: exact at any time, whatever its
/// workers have told. Touched once for each part of a listing.
#[derive(Debug)]
pub(crate) struct Found {
    entries: AtomicU64,
    /// What may hold entries that are not counted: sources not begun, directories not listed to their end.
    open: AtomicI64,
    /// Whether links are followed, which may then lead to directories.
    follows: bool,
}

impl Found {
    pub(crate) fn new(sources: usize, follow: FollowLinks) -> Found {
        let open = AtomicI64::new(i64::try_from(sources).unwrap_or(i64::MAX));
        Found { entries: AtomicU64::new(0), open, follows: follow == FollowLinks::Always }
    }

    /// Whether an entry that was listed as this may hold others.
    pub(crate) fn may_hold(&self, listed: Option<Kind>) -> bool {
        match listed {
            Some(Kind::Directory) | None => true,
            Some(Kind::Symlink) => self.follows,
            Some(_) => false,
        }
    }

    /// So many entries were found, of which so many may hold others.
    pub(crate) fn add(&self, entries: u64, open: usize) {
        self.open.fetch_add(i64::try_from(open).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.entries.fetch_add(entries, Ordering::Relaxed);
    }

    /// A directory is listed now, for which its entry is done with as well.
    pub(crate) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// One of those that may hold entries holds none that are not counted.
    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// How many entries there are in all, once that is known.
    pub(crate) fn all(&self) -> Option<u64> {
        (self.open.load(Ordering::Acquire) <= 0).then(|| self.entries.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_known_when_nothing_may_hold_more_and_not_sooner() {
        let found = Found::new(1, FollowLinks::Never);
        found.add(1, 0); // the source itself
        found.opened();
        found.closed();
        assert_eq!(found.all(), None, "it is not listed");
        found.add(3, 2);
        found.closed();
        found.closed(); // a directory that is left out
        assert_eq!(found.all(), None, "the other is not listed");
        found.opened();
        found.closed();
        found.add(1, 0);
        found.closed();
        assert_eq!(found.all(), Some(5));
    }

    #[test]
    fn what_may_be_a_directory_may_hold_entries() {
        for (follow, holds) in [(FollowLinks::Never, false), (FollowLinks::Always, true)] {
            let found = Found::new(0, follow);
            assert!(found.may_hold(None) && found.may_hold(Some(Kind::Directory)));
            assert!(!found.may_hold(Some(Kind::File)));
            assert_eq!(found.may_hold(Some(Kind::Symlink)), holds);
        }
    }
}
