//! Metadata by handle, and its translation from and to what Windows keeps.

use std::{
    ffi::{CStr, CString, OsStr},
    fs::{self, File, FileTimes},
    io,
    os::windows::fs::MetadataExt,
    path::{Component, Prefix},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_HIDDEN, FILE_ATTRIBUTE_NORMAL, FILE_ATTRIBUTE_READONLY, FILE_ATTRIBUTE_SYSTEM,
};

use super::{Dir, sys};
use crate::{
    entry::{Kind, Meta, Stamp},
    platform::{Privileges, Room},
    storage::Storage,
};

/// Something whose metadata can be read and set.
#[derive(Clone, Copy)]
pub(crate) enum Handle<'a> {
    /// An open file, or a directory.
    Open(&'a dyn Openable),
    /// An entry by name: itself, not what it may link to.
    Entry(&'a Dir, &'a CStr),
    /// An entry that is held.
    Pinned(&'a Pinned),
}

/// An entry that is held open for its metadata, a link itself included.
#[derive(Debug)]
pub(crate) struct Pinned(File);

impl Dir {
    /// Hold the entry `name` itself.
    pub(crate) fn pin(&self, name: &CStr) -> io::Result<Pinned> {
        self.open_for_metadata(name).map(Pinned)
    }
}

impl Pinned {
    pub(crate) fn meta(&self) -> io::Result<Meta> {
        meta(&self.0)
    }

    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        Handle::Pinned(self).set_mode(mode)
    }
}

/// Something that can be opened for its metadata.
pub(crate) trait Openable {
    fn open(&self) -> io::Result<File>;
}

impl Openable for File {
    fn open(&self) -> io::Result<File> {
        self.try_clone()
    }
}

impl Openable for Dir {
    fn open(&self) -> io::Result<File> {
        self.open_for_metadata(c".")
    }
}

impl Handle<'_> {
    fn open(self) -> io::Result<File> {
        match self {
            Handle::Open(file) => file.open(),
            Handle::Entry(dir, name) => dir.open_for_metadata(name),
            Handle::Pinned(pinned) => pinned.0.try_clone(),
        }
    }

    pub(crate) fn meta(self) -> io::Result<Meta> {
        match self {
            Handle::Open(file) => meta(&file.open()?),
            Handle::Entry(dir, name) => dir.stat(name),
            Handle::Pinned(pinned) => pinned.meta(),
        }
    }

    /// Owners are no numbers here.
    pub(crate) fn set_owner(self, _: Option<u32>, _: Option<u32>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn set_mode(self, mode: u32) -> io::Result<()> {
        let file = self.open()?;
        let there = file.metadata()?;
        let attributes = with_mode(there.file_attributes(), mode, there.is_dir());
        if attributes == there.file_attributes() { Ok(()) } else { sys::set_attributes(&file, attributes) }
    }

    pub(crate) fn set_times(self, accessed: Stamp, modified: Stamp) -> io::Result<()> {
        let times = FileTimes::new().set_accessed(to_time(accessed)?).set_modified(to_time(modified)?);
        self.open()?.set_times(times)
    }

    /// Windows has alternate streams instead, which only `CopyFileExW` copies.
    pub(crate) fn list_xattrs(self, _: &mut Vec<u8>) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn xattr(self, _: &CStr, _: &mut Vec<u8>) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn set_xattr(self, _: &CStr, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn remove_xattr(self, _: &CStr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(crate) fn meta(file: &File) -> io::Result<Meta> {
    let there = file.metadata()?;
    let (id, nlink) = sys::identity(file)?;
    let stamp = |time: io::Result<SystemTime>| time.map(Stamp::from);
    Ok(Meta {
        kind: kind_of(there.file_type()),
        mode: mode_of(there.file_attributes(), there.is_dir()),
        uid: 0,
        gid: 0,
        size: there.file_size(),
        allocated: there.file_size(), // so nothing is taken for sparse
        accessed: stamp(there.accessed())?,
        modified: stamp(there.modified())?,
        changed: Stamp::default(),
        id,
        nlink,
        rdev: 0,
    })
}

/// What an entry is; a junction counts as a symbolic link to a directory.
pub(super) fn kind_of(file_type: fs::FileType) -> Kind {
    if file_type.is_symlink() {
        Kind::Symlink
    } else if file_type.is_dir() {
        Kind::Directory
    } else {
        Kind::File
    }
}

/// Attributes that a mode speaks of, above the permission bits.
const KEPT: u32 = FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM;
const KEPT_AT: u32 = 16;
const OWNER_WRITES: u32 = 0o200;

/// Attributes as a mode: that of a new private file, but for what says otherwise.
///
/// On a directory, the read-only attribute forbids nothing, and is not looked at.
fn mode_of(attributes: u32, is_dir: bool) -> u32 {
    let permissions = match (is_dir, attributes & FILE_ATTRIBUTE_READONLY) {
        (true, _) => 0o700,
        (false, 0) => 0o600,
        (false, _) => 0o400,
    };
    permissions | (attributes & KEPT) << KEPT_AT
}

/// The attributes `there` with what `mode` says.
fn with_mode(there: u32, mode: u32, is_dir: bool) -> u32 {
    let is_fixed = !is_dir && mode & OWNER_WRITES == 0;
    let spoken_of = if is_dir { KEPT } else { KEPT | FILE_ATTRIBUTE_READONLY };
    let said = mode >> KEPT_AT & KEPT | if is_fixed { FILE_ATTRIBUTE_READONLY } else { 0 };
    match there & !spoken_of | said {
        0 => FILE_ATTRIBUTE_NORMAL, // 0 would mean to leave them as they are
        attributes => attributes,
    }
}

fn to_time(stamp: Stamp) -> io::Result<SystemTime> {
    let whole = Duration::from_secs(stamp.secs.unsigned_abs());
    let whole = if stamp.secs < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    whole
        .and_then(|time| time.checked_add(Duration::from_nanos(stamp.nanos.into())))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "Windows has no such time"))
}

/// A name as this platform's functions take it.
pub(crate) fn to_name(name: &OsStr) -> io::Result<CString> {
    // It would name a stream of a file, or a drive.
    if name.as_encoded_bytes().contains(&b':') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a name cannot contain a colon"));
    }
    encoded(name)
}

pub(super) fn encoded(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_encoded_bytes())?)
}

/// Where a directory's filesystem keeps its data, as far as its path tells.
pub(crate) fn storage(dir: &Dir, _: u64) -> Storage {
    match dir.path().components().next() {
        Some(Component::Prefix(prefix)) => match prefix.kind() {
            Prefix::UNC(..) | Prefix::VerbatimUNC(..) => Storage::Remote,
            _ => Storage::Unknown,
        },
        _ => Storage::Unknown,
    }
}

/// FIFOs, sockets and devices are no entries of a directory here.
pub(crate) fn make_special(_: &Dir, _: &CStr, _: &Meta, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What this process may do beyond what others may: nothing here depends on it.
pub(crate) fn privileges() -> Privileges {
    Privileges::all_if(false)
}

/// How long the calling thread has computed so far, which is not asked here.
pub(crate) fn thread_time() -> Option<std::time::Duration> {
    None
}

/// How long all threads of the process have, which is not asked here.
pub(crate) fn process_time() -> Option<std::time::Duration> {
    None
}

/// The user that owns what this process creates, as [`Meta`] has it.
pub(crate) fn effective_user() -> u32 {
    0
}

/// What room the filesystem of a directory has left (GetDiskFreeSpaceExW).
pub(crate) fn room(dir: &Dir) -> io::Result<Room> {
    let sys::FreeSpace { available, free, total } = sys::free_space(dir.path())?;
    let used = total.saturating_sub(free);
    Ok(Room { bytes: Some(available), reserved: 0, used, block: 1, inodes: None, is_read_only: None })
}

/// How many more files this process may open: directories take none, and there are many.
pub(crate) fn free_descriptors() -> usize {
    usize::MAX
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, os::windows::ffi::OsStringExt};

    use windows_sys::Win32::Storage::FileSystem::FILE_ATTRIBUTE_ARCHIVE;

    use super::*;

    #[test]
    fn names_keep_what_unicode_does_not_allow() {
        let odd = OsString::from_wide(&[0x61, 0xd800, 0x62]);
        assert_eq!(super::super::to_os(&to_name(&odd).unwrap()), odd);
        assert!(to_name("file:stream".as_ref()).is_err());
    }

    #[test]
    fn a_volume_tells_what_room_it_has() {
        let dir = Dir::open(&std::env::temp_dir()).unwrap();
        let room = room(&dir).unwrap();
        assert!(room.bytes.is_some_and(|free| free > 1 << 20), "{room:?}");
    }

    #[test]
    fn attributes_survive_as_a_mode() {
        for attributes in [0, FILE_ATTRIBUTE_READONLY, FILE_ATTRIBUTE_HIDDEN, KEPT | FILE_ATTRIBUTE_READONLY]
        {
            let mode = mode_of(attributes | FILE_ATTRIBUTE_ARCHIVE, false);
            let set = with_mode(FILE_ATTRIBUTE_ARCHIVE | FILE_ATTRIBUTE_SYSTEM, mode, false);
            assert_eq!(set, attributes | FILE_ATTRIBUTE_ARCHIVE, "{attributes:#x}");
        }
        assert_eq!(mode_of(FILE_ATTRIBUTE_ARCHIVE, false), 0o600, "as a new file has it");
        assert_eq!(with_mode(FILE_ATTRIBUTE_READONLY, 0o600, false), FILE_ATTRIBUTE_NORMAL);
    }

    #[test]
    fn times_of_both_sides_of_the_epoch_are_set() {
        for stamp in [Stamp { secs: 1_600_000_000, nanos: 123_456_700 }, Stamp { secs: -2, nanos: 500 }] {
            assert_eq!(Stamp::from(to_time(stamp).unwrap()), stamp);
        }
        assert!(to_time(Stamp { secs: i64::MIN, nanos: 0 }).is_err());
    }
}
