//! What a copy takes on its filesystem.

use std::{fs::File, path::Path};

use anyhow::{Context, Result};
use nix::sys::statvfs::statvfs;

use crate::{row::Footprint, size::Size};

/// Tells what copies take, from what was in use before there were any.
pub(crate) struct Surveyor {
    used_before: u64,
}

impl Surveyor {
    /// Start where there is a source, and no copy of it.
    pub(crate) fn new(source: &Path) -> Result<Surveyor> {
        Ok(Surveyor { used_before: used(source)? })
    }

    /// What the one copy takes that there is now.
    pub(crate) fn survey(&self, copy: &Path) -> Result<Footprint> {
        let taken = used(copy)?.saturating_sub(self.used_before);
        let allocated_bytes = Size::of(copy)?.allocated_bytes;
        Ok(Footprint { allocated_bytes, is_shared: taken < allocated_bytes / 2 })
    }
}

/// Bytes in use on the filesystem, once all is written that was promised to be.
fn used(path: &Path) -> Result<u64> {
    rustix::fs::syncfs(File::open(path)?).context("syncing")?;
    let space = statvfs(path)?;
    Ok((space.blocks() - space.blocks_free()) * space.fragment_size())
}
