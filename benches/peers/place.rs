//! Where the trees of a contest lie.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail, ensure};
use nix::sys::statvfs::statvfs;
use rustix::fs::{Access, access};

use crate::{
    arena::{Filesystem, Place, SLACK, is_in_memory, keep_mounts_private, scaled_bytes},
    corpus::Extent,
    machine::{self, Ground},
    measure::{Cache, DROP_CACHES},
    sitting::Sitting,
};

/// What there is to choose from.
pub(crate) struct Places {
    /// Wanted for all trees, in place of images.
    directory: Option<PathBuf>,
    image_dir: Option<PathBuf>,
    /// Where images lie that must not be in memory.
    disk: PathBuf,
    can_mount: bool,
}

/// How much of a tree there is room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) part: f64,
    /// What is short when it is not all of it.
    pub(crate) short: Option<&'static str>,
}

impl Places {
    pub(crate) fn new(directory: Option<PathBuf>, image_dir: Option<PathBuf>, disk: &Path) -> Places {
        Places { directory, image_dir, disk: disk.to_owned(), can_mount: keep_mounts_private().is_ok() }
    }

    /// Whether filesystems can be made at will.
    pub(crate) fn are_made(&self) -> bool {
        self.directory.is_none() && self.can_mount
    }

    /// Where to hold a contest.
    ///
    /// # Errors
    /// When there is no such filesystem, or no disk for what is to be read from one.
    pub(crate) fn for_sitting(&self, sitting: Sitting) -> Result<Place> {
        let wanted = sitting.filesystem;
        let place = if self.are_made() && wanted != Filesystem::None {
            let images = match (&self.image_dir, sitting.cache) {
                (Some(directory), _) => directory,
                (None, Cache::Warm) => Path::new("/dev/shm"),
                (None, Cache::Cold) => &self.disk,
            };
            Place::Images(wanted, images.to_owned())
        } else {
            Place::Directory(self.directory_on(wanted)?)
        };
        if sitting.cache == Cache::Cold {
            let storage = place.storage();
            ensure!(!is_in_memory(storage)?, "this needs a disk, and {} is in memory", storage.display());
            ensure!(access(DROP_CACHES, Access::WRITE_OK).is_ok(), "dropping caches needs root");
        }
        Ok(place)
    }

    /// The directory to use as it is, if it is on such a filesystem.
    fn directory_on(&self, wanted: Filesystem) -> Result<PathBuf> {
        let directory = self.directory.clone().unwrap_or_else(env::temp_dir);
        let there = Ground::under(&directory)?.filesystem;
        if wanted != Filesystem::None && there != wanted.name() {
            let root = if self.directory.is_none() { ", and mounting one needs root" } else { "" };
            bail!("{} is on {there}, not on {}{root}", directory.display(), wanted.name());
        }
        Ok(directory)
    }
}

impl Place {
    /// The directory that everything lies in at last.
    pub(crate) fn storage(&self) -> &Path {
        let (Place::Images(_, directory) | Place::Directory(directory)) = self;
        directory
    }

    /// How much room there is for a tree and its copy.
    ///
    /// # Errors
    /// When there is next to none.
    pub(crate) fn room_for(&self, extent: Extent) -> Result<Room> {
        const LEAST: f64 = 0.01;
        let storage = self.storage();
        let space = statvfs(storage)?;
        let free = space.blocks_available() * space.fragment_size();
        let part = |have: u64, fixed: u64, scaled: u64| have.saturating_sub(fixed) as f64 / scaled as f64;
        let mut room = Room { part: part(free, SLACK, scaled_bytes(extent)), short: Some("space") };
        if matches!(self, Place::Images(..)) && is_in_memory(storage)? {
            // Source and copy, in the image and once more in the cache of the filesystem in it; and
            // what the kernel keeps of every entry of both that it has seen.
            const A_CACHED_ENTRY: u64 = 1500;
            let scaled = 4 * extent.bytes + 2 * A_CACHED_ENTRY * extent.entries;
            let in_memory = part(machine::available_memory(), SLACK, scaled);
            if in_memory < room.part {
                room = Room { part: in_memory, short: Some("memory") };
            }
        }
        let short = room.short.unwrap_or_default();
        ensure!(room.part > LEAST, "there is hardly any {short} left for it in {}", storage.display());
        Ok(if room.part < 1.0 { room } else { Room { part: 1.0, short: None } })
    }
}
