//! What a worker of a comparison does next.

use std::{
    ffi::CString,
    fs::File,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize},
    },
};

use super::trail::Trail;
use crate::{
    digest::{Digest, DigestKind},
    entry::Meta,
    manifest::ManifestLine,
    platform::{self, Names},
    scheduler::Divide,
};

/// What a worker does next.
#[derive(Debug)]
pub(crate) enum Task {
    /// Open both sides.
    Begin,
    /// Compare this directory.
    Directory(Trail),
    /// Compare these entries of a directory.
    Batch { trail: Trail, names: Arc<Names>, from: usize, to: usize },
    /// Compare a part of two large files.
    Part(Part),
    /// Compare a file with a line of the manifest.
    Listed(Listed),
    /// Look for files that the manifest does not name.
    Unlisted(Trail),
}

impl Divide for Task {
    /// Directories and large files are divided as they are come to.
    fn divide(&mut self) -> Option<Task> {
        None
    }
}

/// A part of two large files.
#[derive(Debug)]
pub(crate) struct Part {
    pub(super) files: Arc<Large>,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Two large files of one size, open.
#[derive(Debug)]
pub(crate) struct Large {
    pub(super) trail: Trail,
    pub(super) name: CString,
    pub(super) copy_name: CString,
    pub(super) source: File,
    pub(super) copy: File,
    pub(super) meta: Meta,
    /// Where they differ, as far as that is known.
    pub(super) differ_at: AtomicU64,
    pub(super) parts: AtomicUsize,
}

/// A file that a manifest names.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(super) path: PathBuf,
    pub(super) kind: DigestKind,
    pub(super) digest: Digest,
}

impl Listed {
    pub(super) fn of(kind: DigestKind, lines: &[ManifestLine]) -> Vec<Listed> {
        // The last that is added comes first.
        let listed = |line: &ManifestLine| Listed { path: line.path.clone(), kind, digest: line.digest };
        lines.iter().rev().map(listed).collect()
    }

    pub(super) fn names(&self) -> io::Result<Vec<CString>> {
        self.path.components().map(|part| platform::to_name(part.as_os_str())).collect()
    }
}
