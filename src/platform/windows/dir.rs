//! Directories, as paths.

use std::{
    ffi::{CStr, CString, OsString},
    fs::{self, File, OpenOptions},
    io,
    mem::{self, MaybeUninit},
    os::windows::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileTypeExt, MetadataExt, OpenOptionsExt, symlink_dir, symlink_file},
    },
    path::{self, Path, PathBuf},
};

use windows_sys::Win32::{
    Foundation::{GENERIC_READ, GENERIC_WRITE},
    Storage::FileSystem::{
        FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT,
        FILE_READ_ATTRIBUTES, FILE_WRITE_ATTRIBUTES,
    },
};

use super::{
    super::Names,
    metadata::{encoded, kind_of, meta},
    sys::{self, to_os},
};
use crate::entry::{Kind, Meta};

/// A directory: its whole path, in the form that has no limit of length where there is one.
#[derive(Clone, Debug)]
pub(crate) struct Dir(PathBuf);

/// Whether a directory has been listed: it is listed in one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListCursor {
    is_at_end: bool,
}

/// Opens what a path names, be it a file, a directory or a link itself, for `access`.
fn open_itself(path: &Path, access: u32) -> io::Result<File> {
    let flags = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;
    OpenOptions::new().access_mode(access).custom_flags(flags).open(path)
}

impl Dir {
    /// The same directory, in which links are followed, which is not done here.
    pub(crate) fn following(self) -> io::Result<Dir> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Metadata of the entry `name` itself.
    pub(crate) fn stat_itself(&self, name: &CStr) -> io::Result<Meta> {
        self.stat(name)
    }

    /// Remove the empty directory `name`.
    pub(crate) fn remove_dir(&self, name: &CStr) -> io::Result<()> {
        fs::remove_dir(self.at(name))
    }

    pub(crate) fn follows(&self) -> bool {
        false
    }

    /// Open a directory that the caller names, following symbolic links as every command does.
    pub(crate) fn open(path: &Path) -> io::Result<Dir> {
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        // Some drives in memory and on networks cannot say what a path comes to.
        Ok(Dir(fs::canonicalize(path).or_else(|_| path::absolute(path))?))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn at(&self, name: &CStr) -> PathBuf {
        match name.to_bytes() {
            b"." => self.0.clone(),
            b".." => self.0.parent().unwrap_or(&self.0).to_owned(),
            _ => self.0.join(to_os(name)),
        }
    }

    /// The directory `name`, never through a symbolic link or a junction.
    pub(crate) fn open_dir(&self, name: &CStr) -> io::Result<Dir> {
        let path = self.at(name);
        match kind_of(fs::symlink_metadata(&path)?.file_type()) {
            Kind::Directory => Ok(Dir(path)),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// The directory `name`, for naming things below it.
    pub(crate) fn open_path(&self, name: &CStr) -> io::Result<Dir> {
        self.open_dir(name)
    }

    /// The directory at `path` below this one, through no symbolic link.
    pub(crate) fn open_beneath(&self, path: &[&CStr]) -> io::Result<Dir> {
        path.iter().try_fold(self.clone(), |at, name| at.open_dir(name))
    }

    pub(crate) fn duplicate(&self) -> io::Result<Dir> {
        Ok(self.clone())
    }

    /// Make the names in it durable: NTFS keeps them in its journal.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn meta(&self) -> io::Result<Meta> {
        self.stat(c".")
    }

    /// Metadata of the entry `name` itself, not of what it may link to.
    pub(crate) fn stat(&self, name: &CStr) -> io::Result<Meta> {
        meta(&open_itself(&self.at(name), FILE_READ_ATTRIBUTES)?)
    }

    /// Metadata of what the entry `name` leads to, through symbolic links.
    pub(crate) fn stat_through(&self, name: &CStr) -> io::Result<Meta> {
        let file = OpenOptions::new()
            .access_mode(FILE_READ_ATTRIBUTES)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(self.at(name))?;
        meta(&file)
    }

    pub(super) fn open_for_metadata(&self, name: &CStr) -> io::Result<File> {
        open_itself(&self.at(name), FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES)
    }

    /// Open a source file for reading, never through a link.
    pub(crate) fn open_source(&self, name: &CStr) -> io::Result<File> {
        let path = self.at(name);
        let file = open_itself(&path, GENERIC_READ)?;
        let there = file.metadata()?;
        // What a filter stands in for (a cloud's placeholder, a deduplicated file) is read through it.
        let stands_in = there.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0;
        if stands_in && there.is_file() { File::open(&path) } else { Ok(file) }
    }

    /// Create the file `name`, which must not exist; what may be done with it, its directory says.
    pub(crate) fn create_new(&self, name: &CStr, _: u32) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.at(name))
    }

    /// Create the empty file `name`, which must not exist.
    pub(crate) fn create_closed(&self, name: &CStr, mode: u32) -> io::Result<()> {
        self.create_new(name, mode).map(drop)
    }

    /// Create the file `name`, which must not exist, as a copy of `source` (`CopyFileExW`).
    ///
    /// `moved` is told how many bytes are in place, and says whether to go on.
    pub(crate) fn create_copy(
        &self,
        name: &CStr,
        source: &File,
        moved: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<()> {
        sys::copy_file(&sys::path_of(source)?, &self.at(name), moved)
    }

    /// Create a file without a name, which Windows does not have.
    pub(crate) fn create_unnamed(&self, _: u32) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Give a file from [`Dir::create_unnamed`] a name.
    pub(crate) fn link_unnamed(&self, _: &File, _: &CStr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Open an existing file to correct its metadata.
    pub(crate) fn open_at_once(&self, name: &CStr) -> io::Result<File> {
        self.open_existing(name)
    }

    /// Open an existing file to read it or to make it durable.
    pub(crate) fn open_existing(&self, name: &CStr) -> io::Result<File> {
        open_itself(&self.at(name), GENERIC_READ | FILE_WRITE_ATTRIBUTES)
    }

    /// Open an existing file to go on writing to it.
    pub(crate) fn open_writable(&self, name: &CStr) -> io::Result<File> {
        open_itself(&self.at(name), GENERIC_READ | GENERIC_WRITE)
    }

    pub(crate) fn make_dir(&self, name: &CStr, _: u32) -> io::Result<()> {
        fs::create_dir(self.at(name))
    }

    /// Continue a directory that was reopened at `cursor`.
    pub(crate) fn seek_list(&self, _: ListCursor) -> io::Result<()> {
        Ok(())
    }

    /// Append all entries to `names`; `false` when that was done before.
    pub(crate) fn list(
        &self,
        _: &mut [MaybeUninit<u8>],
        cursor: &mut ListCursor,
        names: &mut Names,
    ) -> io::Result<bool> {
        if mem::replace(&mut cursor.is_at_end, true) {
            return Ok(false);
        }
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            names.push(&encoded(&entry.file_name())?, entry.file_type().ok().map(kind_of));
        }
        Ok(true)
    }

    /// What a link points to; a backslash at the end says that it is a link to a directory.
    pub(crate) fn read_link(&self, name: &CStr) -> io::Result<CString> {
        let path = self.at(name);
        let mut target = fs::read_link(&path)?.into_os_string();
        if is_directory_link(&path)? {
            target.push("\\");
        }
        encoded(&target)
    }

    /// Make a link to what [`Dir::read_link`] gave.
    pub(crate) fn make_symlink(&self, target: &CStr, name: &CStr) -> io::Result<()> {
        let target: Vec<u16> = to_os(target).encode_wide().collect();
        let path = self.at(name);
        match target.strip_suffix(&[u16::from(b'\\')]) {
            Some(directory) => symlink_dir(OsString::from_wide(directory), path),
            None => symlink_file(OsString::from_wide(&target), path),
        }
    }

    /// Give the entry `existing` of `other` a second name here.
    pub(crate) fn link_from(&self, other: &Dir, existing: &CStr, name: &CStr) -> io::Result<()> {
        fs::hard_link(other.at(existing), self.at(name))
    }

    /// Rename within this directory, replacing `to`.
    pub(crate) fn rename(&self, from: &CStr, to: &CStr) -> io::Result<()> {
        let (from, to) = (self.at(from), self.at(to));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && make_way(&to)? => {
                fs::rename(&from, &to)
            }
            done => done,
        }
    }

    /// Names do not change places here.
    pub(crate) fn exchange(&self, _: &CStr, _: &CStr) -> io::Result<bool> {
        Ok(false)
    }

    /// Rename within this directory, failing when `to` exists.
    pub(crate) fn rename_new(&self, from: &CStr, to: &CStr) -> io::Result<()> {
        sys::rename_new(&self.at(from), &self.at(to))
    }

    pub(crate) fn remove(&self, name: &CStr) -> io::Result<()> {
        let path = self.at(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if is_directory_link(&path)? {
                    fs::remove_dir(&path)
                } else if make_way(&path)? {
                    fs::remove_file(&path)
                } else {
                    Err(error)
                }
            }
            done => done,
        }
    }
}

fn is_directory_link(path: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.file_type().is_symlink_dir())
}

/// Take away what keeps a file or link from being replaced: that it is read-only, or a link to a
/// directory, which only goes by being removed first. Whether there was any of that.
fn make_way(path: &Path) -> io::Result<bool> {
    let there = fs::symlink_metadata(path)?;
    if there.file_type().is_symlink_dir() {
        fs::remove_dir(path)?;
        return Ok(true);
    }
    let mut permissions = there.permissions();
    if !there.is_file() || !permissions.readonly() {
        return Ok(false);
    }
    #[allow(clippy::permissions_set_readonly_false, reason = "on Windows it clears one attribute")]
    permissions.set_readonly(false);
    fs::set_permissions(path, permissions)?;
    Ok(true)
}
