//! Trees of files of one size.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde::Serialize;

use crate::random::Random;

/// So many files of one size, a hundred to a directory.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Tree {
    pub(crate) file_bytes: u64,
    pub(crate) files: u64,
}

/// How much a tree takes, to make room for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

impl Tree {
    const FILES_PER_DIRECTORY: u64 = 100;
    const BLOCK: u64 = 4096;
    /// Contents that are made at once.
    const PIECE: u64 = 1 << 20;

    pub(crate) fn extent(self) -> Extent {
        let directories = self.files.div_ceil(Self::FILES_PER_DIRECTORY);
        let of_a_file = self.file_bytes.next_multiple_of(Self::BLOCK);
        Extent { entries: self.files + directories + 2, bytes: self.files * of_a_file }
    }

    /// Make it at `root`, which must not exist yet.
    pub(crate) fn make(self, root: &Path) -> io::Result<()> {
        let mut random = Random::new(self.file_bytes);
        let mut piece = vec![0; self.file_bytes.min(Self::PIECE) as usize];
        fs::create_dir(root)?;
        for index in 0..self.files {
            let home = root.join(format!("directory-{:04}", index / Self::FILES_PER_DIRECTORY));
            if index % Self::FILES_PER_DIRECTORY == 0 {
                fs::create_dir(&home)?;
            }
            let mut file = File::create_new(home.join(format!("file-{index:06}")))?;
            let mut left = self.file_bytes;
            while left > 0 {
                random.fill(&mut piece);
                let now = left.min(Self::PIECE);
                file.write_all(&piece[..now as usize])?;
                left -= now;
            }
        }
        Ok(())
    }

    pub(crate) fn described(self) -> String {
        let files = if self.files == 1 { "one file".to_owned() } else { format!("{} files", self.files) };
        format!("{files} of {}", size(self.file_bytes))
    }
}

/// A number of bytes as people say it.
pub(crate) fn size(bytes: u64) -> String {
    let (step, unit) = match bytes {
        0..0x400 => (1, "B"),
        0x400..0x10_0000 => (0x400, "KiB"),
        0x10_0000..0x4000_0000 => (0x10_0000, "MiB"),
        _ => (0x4000_0000, "GiB"),
    };
    format!("{} {unit}", bytes / step)
}
