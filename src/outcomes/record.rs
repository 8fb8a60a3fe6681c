//! What workers tell the supervisor: batches of counts, records and failures.

use std::{
    ffi::{CStr, CString},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use crate::{
    digest::Digest,
    entry::Kind,
    error::Failure,
    event::{Cost, Differs, Done, Retrying},
    method::{Declined, Method},
    report::{Moved, Totals, Warning},
    tree::DirPath,
};

/// What a worker did since it last told.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) totals: Totals,
    pub(crate) moved: [Moved; Method::ALL.len()],
    pub(crate) declined: [u64; Declined::ALL.len()],
    pub(crate) failures: Vec<Failure>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) records: Vec<Record>,
    pub(crate) retrying: Vec<Retrying>,
    /// Directories that were entered, less those that are done or failed.
    pub(crate) directories_open: i64,
    pub(crate) current: Option<Current>,
    pub(crate) effort: Effort,
}

/// How a worker spent its time, without what it waited for work.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effort {
    pub(crate) worked: Duration,
    /// As far as that can be told.
    pub(crate) computed: Option<Duration>,
}

/// An entry that is being worked on.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) place: Arc<DirPath>,
    pub(crate) name: CString,
}

/// What became of one entry; its path is built only for someone who reads it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) place: Arc<DirPath>,
    pub(crate) name: Box<CStr>,
    pub(crate) kind: Kind,
    pub(crate) done: Done,
    pub(crate) bytes: u64,
    pub(crate) digest: Option<Digest>,
    pub(crate) differs: Differs,
    pub(crate) cost: Option<Cost>,
}

impl Current {
    pub(crate) fn path(&self) -> PathBuf {
        self.place.path_in_copy(&self.name)
    }
}

impl Outcomes {
    /// Whether there is anything to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.totals == Totals::default()
            && self.directories_open == 0
            && self.failures.is_empty()
            && self.warnings.is_empty()
            && self.records.is_empty()
            && self.retrying.is_empty()
    }
}
