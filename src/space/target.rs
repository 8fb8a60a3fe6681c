//! Where the copies go.

use std::{io::ErrorKind, sync::Arc};

use super::Space;
use crate::{
    job::Target,
    platform::{self, Dir, Room},
    tree::SplitPath,
};

impl Space {
    /// The one copy, as far as it is a directory that is there, or else the directory that holds all copies:
    /// where something is mounted on the copy itself, room is to be looked for there.
    fn directory_of_copies(&self) -> Option<Dir> {
        let holder = self.target.get()?;
        let job = &self.setting.job;
        let name = match (&job.target, &job.sources[..]) {
            (Target::Exact(path), _) => SplitPath::of_target(path).ok().map(|to| to.name),
            (Target::Within(_), [source]) => SplitPath::of(source).ok().map(|from| from.base),
            (Target::Within(_), _) => None,
        };
        let copy = name.and_then(|name| holder.open_dir(&name).ok());
        copy.or_else(|| holder.duplicate().ok())
    }

    /// The directory that holds the copies, which is `dir` where none was open yet.
    pub(crate) fn target(&self, dir: Dir) -> Arc<Dir> {
        self.target.get_or_init(|| Arc::new(dir)).clone()
    }

    /// What room there is at the destination, if that can be told.
    pub(super) fn room(&self) -> Option<Room> {
        platform::room(&self.directory_of_copies()?).ok()
    }

    /// Whether the destination has become read-only, which the error of a call alone does not say.
    pub(crate) fn is_read_only(&self) -> bool {
        self.room().and_then(|room| room.is_read_only).unwrap_or(true) || self.refuses_files()
    }

    /// Whether nothing can be created at the destination because it is read-only: ext4 that has met with an
    /// error is, and does not say so (`EXT4_FLAGS_EMERGENCY_RO` of the kernel's fs/ext4/ext4.h).
    fn refuses_files(&self) -> bool {
        let refusal = self.directory_of_copies().and_then(|dir| dir.create_unnamed(0o600).err());
        refusal.is_some_and(|error| error.kind() == ErrorKind::ReadOnlyFilesystem)
    }
}
