//! How much a tree holds.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// What a tree holds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Size {
    pub(crate) files: u64,
    pub(crate) directories: u64,
    pub(crate) bytes: u64,
    /// What the filesystem has set aside for the files, each inode counted once.
    pub(crate) allocated_bytes: u64,
}

impl Size {
    pub(crate) fn of(tree: &Path) -> io::Result<Size> {
        let mut size = Size { directories: 1, ..Size::default() };
        let mut linked = HashSet::new();
        let mut ways: Vec<PathBuf> = vec![tree.to_owned()];
        while let Some(directory) = ways.pop() {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                let meta = entry.metadata()?;
                if meta.is_dir() {
                    size.directories += 1;
                    ways.push(entry.path());
                    continue;
                }
                size.files += 1;
                size.bytes += meta.len();
                if meta.nlink() == 1 || linked.insert(meta.ino()) {
                    size.allocated_bytes += 512 * meta.blocks();
                }
            }
        }
        Ok(size)
    }
}
