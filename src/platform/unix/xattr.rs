//! Extended attributes, of open files and of entries that must not be opened.

use std::{ffi::CStr, io};

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, lgetxattr, llistxattr};

use super::{Handle, retried};

impl Handle<'_> {
    /// The attributes' names, into `buffer`, each ending in NUL; their length together.
    pub(crate) fn list_xattrs(self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Handle::Open(file) => fill(buffer, |space| flistxattr(file.descriptor(), space)),
            Handle::Entry(dir, name) => {
                let path = dir.path_to(name)?;
                fill(buffer, |space| llistxattr(&path, space))
            }
            Handle::Pinned(pinned) => pinned.list_xattrs(buffer),
        }
    }

    /// The value of `attribute`, into `buffer`; its length.
    pub(crate) fn xattr(self, attribute: &CStr, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Handle::Open(file) => fill(buffer, |space| fgetxattr(file.descriptor(), attribute, space)),
            Handle::Entry(dir, name) => {
                let path = dir.path_to(name)?;
                fill(buffer, |space| lgetxattr(&path, attribute, space))
            }
            Handle::Pinned(pinned) => pinned.xattr(attribute, buffer),
        }
    }

    pub(crate) fn set_xattr(self, attribute: &CStr, value: &[u8]) -> io::Result<()> {
        let flags = XattrFlags::empty();
        match self {
            Handle::Open(file) => Ok(retried(|| fsetxattr(file.descriptor(), attribute, value, flags))?),
            Handle::Entry(dir, name) => dir.pin(name)?.set_xattr(attribute, value),
            Handle::Pinned(pinned) => pinned.set_xattr(attribute, value),
        }
    }

    pub(crate) fn remove_xattr(self, attribute: &CStr) -> io::Result<()> {
        match self {
            Handle::Open(file) => Ok(retried(|| fremovexattr(file.descriptor(), attribute))?),
            Handle::Entry(dir, name) => dir.pin(name)?.remove_xattr(attribute),
            Handle::Pinned(pinned) => pinned.remove_xattr(attribute),
        }
    }
}

/// Run a call that fills a buffer, with a larger one for as long as it says `ERANGE`.
pub(crate) fn fill(
    buffer: &mut Vec<u8>,
    mut call: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<usize> {
    const SMALLEST: usize = 256;
    const LARGEST: usize = 1 << 20; // XATTR_SIZE_MAX and XATTR_LIST_MAX are 64 KiB (xattr(7))
    if buffer.len() < SMALLEST {
        buffer.resize(SMALLEST, 0);
    }
    loop {
        match retried(|| call(buffer)) {
            Err(rustix::io::Errno::RANGE) if buffer.len() < LARGEST => buffer.resize(buffer.len() * 4, 0),
            filled => return Ok(filled?),
        }
    }
}
