//! Files of a probe, which nobody else sees.

use std::{fs::File, io};

use crate::{
    platform::{self, Dir},
    tree::TemporaryNames,
};

/// Makes files without a name in one directory.
pub(super) struct Scratch<'a> {
    dir: &'a Dir,
    names: TemporaryNames,
}

impl<'a> Scratch<'a> {
    pub(super) fn new(dir: &'a Dir) -> Scratch<'a> {
        Scratch { dir, names: TemporaryNames::new() }
    }

    /// A new empty file, gone when it is closed.
    ///
    /// Where it must have a name for a moment, that is one which the next copy would sweep away.
    pub(super) fn file(&self) -> io::Result<File> {
        if let Ok(file) = self.dir.create_unnamed(0o600) {
            return Ok(file);
        }
        let name = self.names.next();
        let file = self.dir.create_new(&name, 0o600)?;
        self.dir.remove(&name)?;
        Ok(file)
    }
}

/// Whether `file`, which is empty, can have a hole that is found again.
pub(super) fn find_hole(file: &File) -> io::Result<()> {
    const HOLE: u64 = 1 << 20;
    let size = 2 * HOLE;
    platform::set_size(file, size)?;
    platform::write_all_at(file, &[1; 64 << 10], HOLE)?;
    match platform::next_data(file, 0, size)? {
        Some((start, _)) if start > 0 => Ok(()),
        _ => Err(io::Error::other("holes are not reported")),
    }
}
