//! News of a run: what happened to entries, and how far it has come.

use std::{path::PathBuf, time::Duration};

use crate::{
    digest::Digest,
    entry::Kind,
    error::Failure,
    method::Method,
    report::{Totals, Warning},
};

/// What was done about one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Done {
    /// It was copied to where nothing was.
    Created,
    /// It was copied in place of another.
    Replaced,
    /// It became a further name of a file copied before.
    Linked,
    /// A directory that was there already.
    Merged,
    /// It was already as it should be.
    Unchanged,
    /// Its content was right; its metadata was corrected.
    Corrected,
    /// It was left out because an option says so.
    Skipped,
    /// Only the copy had it, and it was deleted.
    Deleted,
}

bitflags::bitflags! {
    /// What the copy that was there had otherwise than its source, as far as it was looked at.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Differs: u8 {
        /// The type of the entry.
        const KIND = 1 << 0;
        /// The size.
        const SIZE = 1 << 1;
        /// The modification time.
        const TIME = 1 << 2;
        /// The content, byte by byte.
        const CONTENT = 1 << 3;
    }
}

/// What an entry took.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Wall-clock time from when it was first looked at until it was done; where it was tried again, of the
    /// try that did it.
    pub elapsed: Duration,
    /// The methods that moved its content, with the bytes of each.
    pub methods: Vec<(Method, u64)>,
}

/// Something that failed and will be tried again.
#[derive(Debug)]
#[non_exhaustive]
pub struct Retrying {
    /// What failed.
    pub failure: Failure,
    /// Which try the next one is, beside the first.
    pub tried: u32,
    /// How long that waits at least.
    pub wait: Duration,
}

/// News of a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// An entry is done; a directory is when everything in it is.
    Entry {
        /// The copy's path.
        path: PathBuf,
        /// What it is.
        kind: Kind,
        /// What was done.
        done: Done,
        /// Bytes of content put in place.
        bytes: u64,
        /// The digest of a file's content, where it was verified by one, or where every file's is
        /// wanted (see [`CopyJob::digest_all`](crate::CopyJob::digest_all)).
        digest: Option<Digest>,
        /// What a file that was there had otherwise, where that decided.
        differs: Differs,
        /// What it took, where that is wanted (see
        /// [`CopyJob::entry_costs`](crate::CopyJob::entry_costs)); never of a directory, which is done when
        /// everything in it is, nor of what was deleted.
        cost: Option<Cost>,
    },
    /// An entry failed; the rest goes on. A directory may fail twice: in its listing and in the end.
    Failed(Failure),
    /// An entry failed, or a range of a large one, and will be tried again.
    Retrying(Retrying),
    /// Something could not be kept; sent once for each kind.
    Warned(Warning),
    /// Entry events that were not kept, because nobody had begun to read the stream; failures are all kept.
    Missed {
        /// How many entries.
        entries: u64,
    },
}

/// What a run has to do in all, as far as that was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// Entries, as in [`Totals::entries_found`].
    pub entries: u64,
    /// Bytes of content to be put in place, holes included, as in [`Totals::bytes_found`]: without those of files
    /// that the copy turned out to have already.
    pub bytes: u64,
    /// Whether that is all; there is more until then.
    pub is_whole: bool,
}

/// How far a run has come; a value that is replaced, never queued.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Entries and bytes so far.
    pub totals: Totals,
    /// Whether every entry has been found: [`Totals::entries_found`] is all there are. Once it is so, it stays so.
    pub walked: bool,
    /// What there is to be done in all, where it was counted before
    /// ([`Limits::preflight`](crate::Limits::preflight)) or is being counted
    /// ([`CopyJob::count_ahead`](crate::CopyJob::count_ahead)).
    pub counted: Option<Counted>,
    /// The copy that was last worked on.
    pub current: Option<PathBuf>,
    /// Workers at this time.
    pub workers: usize,
}
