//! A file to try kernel copies with.

use std::{ffi::CStr, fs::File, io, mem::MaybeUninit};

use super::scratch::Scratch;
use crate::{
    entry::Kind,
    method::Method,
    platform::{self, Dir, ListCursor, Names, Pipe},
};

/// A file with content, open for reading.
pub(super) struct Sample {
    file: File,
    size: u64,
}

impl Sample {
    /// How much is copied at most: whole blocks on every filesystem.
    const PIECE: u64 = 128 << 10;
    /// How many entries of a tree are looked at in search of a file.
    const ENTRIES: usize = 2_000;
    /// How deep that search goes.
    const DEPTH: usize = 8;

    /// A sample of the probe's own.
    pub(super) fn made(scratch: &Scratch<'_>) -> io::Result<Sample> {
        let file = scratch.file()?;
        platform::write_all_at(&file, &[1; Self::PIECE as usize], 0)?;
        Ok(Sample { file, size: Self::PIECE })
    }

    /// The source itself, or where that is a directory, some file of its tree on that filesystem.
    pub(super) fn found(dir: &Dir, name: Option<&CStr>, device: u64) -> Option<Sample> {
        match name {
            Some(name) => Self::open(dir, name),
            None => Self::search(dir, device, &mut { Self::ENTRIES }, Self::DEPTH),
        }
    }

    fn open(dir: &Dir, name: &CStr) -> Option<Sample> {
        if dir.stat(name).ok()?.kind != Kind::File {
            return None; // not even to look: a device may act on being opened
        }
        let file = dir.open_source(name).ok()?;
        let meta = platform::meta(&file).ok()?;
        (meta.kind == Kind::File && meta.size > 0).then_some(Sample { file, size: meta.size })
    }

    fn search(dir: &Dir, device: u64, entries: &mut usize, depth: usize) -> Option<Sample> {
        let mut buffer = vec![MaybeUninit::uninit(); 32 << 10];
        let mut cursor = ListCursor::default();
        let mut names = Names::default();
        while names.len() < *entries && dir.list(&mut buffer, &mut cursor, &mut names).ok()? {}
        names.finish(); // directories last
        for (name, kind) in (0..names.len()).map(|index| names.get(index)) {
            *entries = entries.checked_sub(1)?;
            let found = match kind {
                Some(Kind::Directory) if depth > 0 => {
                    let below = dir.open_dir(name).ok();
                    let below = below.filter(|dir| dir.meta().is_ok_and(|meta| meta.id.dev == device));
                    below.and_then(|dir| Self::search(&dir, device, entries, depth - 1))
                }
                Some(Kind::File) | None => Self::open(dir, name),
                Some(_) => None,
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Copy some of it to the empty file `copy`; the number of bytes.
    pub(super) fn copy_by(&self, method: Method, copy: &File) -> io::Result<u64> {
        let bytes = self.size.min(Self::PIECE);
        match method {
            // A piece of a large file is enough, and spares its owner the flushing of the rest.
            Method::Reflink if self.size > bytes => platform::clone_range(&self.file, copy, 0, bytes)?,
            Method::Reflink => platform::clone_file(&self.file, copy)?,
            Method::CopyFileRange => return platform::copy_range(&self.file, copy, 0, bytes),
            Method::Sendfile => return platform::send_range(&self.file, copy, 0, bytes),
            Method::Splice => return platform::splice_range(&self.file, copy, &Pipe::new()?, 0, bytes),
            Method::System | Method::IoUring | Method::Buffered => {
                return Err(io::ErrorKind::Unsupported.into());
            }
        }
        Ok(bytes)
    }
}
