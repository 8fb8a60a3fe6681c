//! Making the entries of a tree.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};

use crate::random::Random;

/// One of a builder's directories.
pub(super) type Home = usize;

/// A directory that was made: where, and how deep.
struct Directory {
    path: PathBuf,
    depth: usize,
}

/// Makes the entries of a tree, and gives each a time of its own.
pub(super) struct Builder {
    pub(super) random: Random,
    directories: Vec<Directory>,
}

/// Directories with very different numbers of entries.
pub(super) struct Homes(Vec<f64>);

impl Homes {
    pub(super) fn pick(&self, random: &mut Random) -> Home {
        let all = self.0.last().copied().unwrap_or_default();
        let draw = random.unit() * all;
        self.0.partition_point(|sum| *sum <= draw).min(self.0.len() - 1)
    }
}

impl Builder {
    /// The directory that everything lies in.
    pub(super) const ROOT: Home = 0;

    pub(super) fn new(random: Random, root: &Path) -> io::Result<Builder> {
        fs::create_dir(root)?;
        Ok(Builder { random, directories: vec![Directory { path: root.to_owned(), depth: 0 }] })
    }

    /// Add `count` directories at most `depth` deep; `pick` says which existing one each goes into.
    pub(super) fn grow(
        &mut self,
        count: usize,
        depth: usize,
        pick: impl Fn(&mut Random, usize) -> usize,
    ) -> io::Result<()> {
        const NAMES: [&str; 14] = [
            "src", "lib", "include", "test", "docs", "drv", "net", "fs", "mm", "arch", "util", "core", "api",
            "gen",
        ];
        while self.directories.len() <= count {
            let parent = pick(&mut self.random, self.directories.len());
            let parent = &self.directories[parent];
            if parent.depth >= depth {
                continue;
            }
            let name = format!("{}_{:04}", self.random.pick(&NAMES), self.directories.len());
            let directory = Directory { path: parent.path.join(name), depth: parent.depth + 1 };
            fs::create_dir(&directory.path)?;
            self.directories.push(directory);
        }
        Ok(())
    }

    pub(super) fn uneven_homes(&mut self) -> Homes {
        let mut sum = 0.0;
        let sums = (0..self.directories.len()).map(|home| {
            let weight = self.random.pareto(1.6) * if home == Self::ROOT { 0.2 } else { 1.0 };
            sum += weight.min(30.0);
            sum
        });
        Homes(sums.collect())
    }

    pub(super) fn directories(&self) -> std::ops::Range<Home> {
        0..self.directories.len()
    }

    pub(super) fn any_directory(&mut self) -> Home {
        self.random.below(self.directories.len())
    }

    pub(super) fn path(&self, home: Home, name: &str) -> PathBuf {
        self.directories[home].path.join(name)
    }

    pub(super) fn file(&mut self, home: Home, name: &str, content: &[u8], mode: u32) -> io::Result<PathBuf> {
        let path = self.path(home, name);
        let file = File::create_new(&path)?;
        file.write_all_at(content, 0)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        self.stamp(&path)?;
        Ok(path)
    }

    /// A file in the root with random bytes in the given (offset, length) extents and holes between.
    pub(super) fn big_file(
        &mut self,
        name: &str,
        size: u64,
        extents: impl IntoIterator<Item = (u64, u64)>,
    ) -> io::Result<PathBuf> {
        let path = self.path(Self::ROOT, name);
        let file = File::create_new(&path)?;
        file.set_len(size)?;
        let mut block = vec![0; 1 << 20];
        for (start, length) in extents {
            let end = start + length;
            for at in (start..end).step_by(block.len()) {
                let part = &mut block[..(end - at).min(1 << 20) as usize];
                self.random.fill(part);
                file.write_all_at(part, at)?;
            }
        }
        // Before it is on disk, a filesystem may answer that all of it is data.
        file.sync_all()?;
        self.stamp(&path)?;
        Ok(path)
    }

    pub(super) fn hard_link(&mut self, first: &Path, home: Home, name: &str) -> io::Result<()> {
        fs::hard_link(first, self.path(home, name))
    }

    pub(super) fn symlink(&mut self, target: &Path, home: Home, name: &str) -> io::Result<()> {
        let path = self.path(home, name);
        symlink(target, &path)?;
        self.stamp(&path)
    }

    /// Set an extended attribute to a random value.
    pub(super) fn xattr(&mut self, path: &Path, name: &str) -> io::Result<()> {
        let value = format!("{:016x}", self.random.bits());
        match rustix::fs::lsetxattr(path, name, value.as_bytes(), XattrFlags::empty()) {
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()), // then nobody can lose it either
            set => Ok(set?),
        }
    }

    /// The way from a directory to a path in the tree.
    pub(super) fn way_to(&self, home: Home, path: &Path) -> PathBuf {
        let from = &self.directories[home].path;
        let shared = from.components().zip(path.components()).take_while(|(a, b)| a == b).count();
        let up = from.components().skip(shared).map(|_| "..");
        up.map(AsRef::as_ref).chain(path.components().skip(shared).map(|part| part.as_os_str())).collect()
    }

    /// The way to a directory other than `home` and those above it: following such links never goes
    /// round in circles.
    pub(super) fn way_to_other_directory(&mut self, home: Home) -> PathBuf {
        const DRAWS: usize = 100;
        for _ in 0..DRAWS {
            let other = self.any_directory();
            if !self.directories[home].path.starts_with(&self.directories[other].path) {
                return self.way_to(home, &self.directories[other].path);
            }
        }
        PathBuf::from("no/such/directory") // all directories are in one line
    }

    /// Give an entry a time of its own, to the nanosecond.
    pub(super) fn stamp(&mut self, path: &Path) -> io::Result<()> {
        let time = Timespec {
            tv_sec: 1_600_000_000 + self.random.below(120_000_000) as i64,
            tv_nsec: self.random.below(1_000_000_000) as _,
        };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Everything is made: directories get modes and times, those inside first.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let mut directories = std::mem::take(&mut self.directories);
        directories.sort_by_key(|directory| std::cmp::Reverse(directory.depth));
        for directory in directories {
            let mode = if self.random.chance(0.95) { 0o755 } else { 0o750 };
            fs::set_permissions(&directory.path, Permissions::from_mode(mode))?;
            self.stamp(&directory.path)?;
        }
        Ok(())
    }
}

/// Text like a program's, cheaply: pieces of one pool.
pub(super) struct Text(Vec<u8>);

impl Text {
    pub(super) fn new(random: &mut Random) -> Text {
        const WORDS: [&str; 20] = [
            "int", "return", "static", "struct", "void", "const", "if", "for", "while", "else", "#include",
            "let", "mut", "impl", "match", "unsigned", "buf", "len", "ptr", "i",
        ];
        const ENDS: [&str; 4] = ["", "_7", "();", " = 0;"];
        let mut pool = String::new();
        while pool.len() < 1 << 20 {
            pool.push_str(&"    ".repeat(random.below(4)));
            for _ in 0..1 + random.below(8) {
                pool.extend([*random.pick(&WORDS), *random.pick(&ENDS), " "]);
            }
            pool.push('\n');
        }
        Text(pool.into_bytes())
    }

    /// A text of `size` bytes, with a head of its own so that no two are equal.
    pub(super) fn make(&self, random: &mut Random, size: usize, name: &str) -> Vec<u8> {
        let mut text = format!("/* {name} {:016x} */\n", random.bits()).into_bytes();
        if let Some(rest) = size.checked_sub(text.len()) {
            let start = random.below(self.0.len() - rest);
            text.extend_from_slice(&self.0[start..start + rest]);
        }
        text.truncate(size);
        text
    }
}
