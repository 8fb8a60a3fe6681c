//! Whether a copy is whole, and what it lost.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::io::Errno;

/// Something of a source that a whole copy can still lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lost {
    Modes,
    DirectoryModes,
    Times,
    DirectoryTimes,
    SymlinkTimes,
    Owners,
    HardLinks,
    Xattrs,
    Acls,
    Holes,
    Symlinks,
}

impl Lost {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Lost::Modes => "modes",
            Lost::DirectoryModes => "directory modes",
            Lost::Times => "times",
            Lost::DirectoryTimes => "directory times",
            Lost::SymlinkTimes => "symlink times",
            Lost::Owners => "owners",
            Lost::HardLinks => "hard links",
            Lost::Xattrs => "xattrs",
            Lost::Acls => "ACLs",
            Lost::Holes => "holes",
            Lost::Symlinks => "symlinks",
        }
    }
}

/// What a comparison found.
#[derive(Debug)]
pub(crate) struct Findings {
    /// What the copy lost of how things were.
    pub(crate) lost: BTreeSet<Lost>,
    /// Names, types or contents that differ: how many.
    pub(crate) wrong: u64,
    /// The first of those, in words.
    pub(crate) first_wrong: Option<String>,
    /// Inodes with several names on each side, as the first of their names in each.
    groups: [HashMap<u64, PathBuf>; 2],
    /// For both contents, and for lists of attributes: made once, since a new one of this size means
    /// new pages for every file.
    buffers: [Vec<u8>; 2],
}

/// The entries of a directory, by name.
fn listed(directory: &Path) -> io::Result<BTreeMap<OsString, Metadata>> {
    fs::read_dir(directory)?
        .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.metadata()?))))
        .collect()
}

/// Compare a copy with its source, reading all of both.
///
/// # Errors
/// When one of them cannot be read, which says nothing about the copy.
pub(crate) fn compare(source: &Path, copy: &Path) -> io::Result<Findings> {
    const AT_ONCE: usize = 256 << 10;
    let mut findings = Findings {
        lost: BTreeSet::new(),
        wrong: 0,
        first_wrong: None,
        groups: Default::default(),
        buffers: [vec![0; AT_ONCE], vec![0; AT_ONCE]],
    };
    match fs::symlink_metadata(copy) {
        Ok(made) => findings.entry(source, copy, &fs::symlink_metadata(source)?, &made)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => findings.wrong(copy, "is missing"),
        Err(error) => return Err(error),
    }
    Ok(findings)
}

impl Findings {
    fn wrong(&mut self, path: &Path, how: &str) {
        self.wrong += 1;
        self.first_wrong.get_or_insert_with(|| format!("{} {how}", path.display()));
    }

    fn directory(&mut self, source: &Path, copy: &Path) -> io::Result<()> {
        let (there, mut made) = (listed(source)?, listed(copy)?);
        for (name, meta) in &there {
            let (from, to) = (source.join(name), copy.join(name));
            match made.remove(name) {
                Some(made) => self.entry(&from, &to, meta, &made)?,
                None if meta.is_symlink() => _ = self.lost.insert(Lost::Symlinks),
                None => self.wrong(&to, "is missing"),
            }
        }
        for name in made.keys() {
            self.wrong(&copy.join(name), "is not in the source");
        }
        Ok(())
    }

    fn entry(&mut self, source: &Path, copy: &Path, there: &Metadata, made: &Metadata) -> io::Result<()> {
        if there.file_type() != made.file_type() {
            if there.is_symlink() {
                self.lost.insert(Lost::Symlinks);
            } else {
                self.wrong(copy, "is of another type");
            }
            return Ok(());
        }
        self.metadata(there, made);
        self.xattrs(source, copy)?;
        if there.is_symlink() {
            if fs::read_link(source)? != fs::read_link(copy)? {
                self.wrong(copy, "points elsewhere");
            }
        } else if there.is_dir() {
            self.directory(source, copy)?;
        } else {
            self.link_group(source, copy, there, made);
            if there.len() != made.len() {
                self.wrong(copy, "has another size");
            } else if !self.is_same_content(source, copy)? {
                self.wrong(copy, "has other content");
            }
        }
        Ok(())
    }

    fn metadata(&mut self, there: &Metadata, made: &Metadata) {
        const SLACK: u64 = 1 << 20;
        let times = |meta: &Metadata| (meta.mtime(), meta.mtime_nsec());
        let is_dir = there.is_dir();
        let (modes, lost_times) = match there.is_symlink() {
            _ if is_dir => (Lost::DirectoryModes, Lost::DirectoryTimes),
            true => (Lost::Modes, Lost::SymlinkTimes),
            false => (Lost::Modes, Lost::Times),
        };
        let allocated = |meta: &Metadata| meta.blocks() * 512;
        let differences = [
            (modes, there.mode() != made.mode()),
            (lost_times, times(there) != times(made)),
            (Lost::Owners, (there.uid(), there.gid()) != (made.uid(), made.gid())),
            (
                Lost::Holes,
                there.is_file() && allocated(made) > allocated(there) + allocated(there) / 10 + SLACK,
            ),
        ];
        self.lost.extend(differences.into_iter().filter(|(_, differs)| *differs).map(|(lost, _)| lost));
    }

    /// Names of one inode must be names of one inode in the copy, and no others.
    fn link_group(&mut self, source: &Path, copy: &Path, there: &Metadata, made: &Metadata) {
        if there.nlink() == 1 && made.nlink() == 1 {
            return;
        }
        let [sources, copies] = &mut self.groups;
        let first_source = sources.entry(there.ino()).or_insert_with(|| source.to_owned()).clone();
        let first_copy = copies.entry(made.ino()).or_insert_with(|| source.to_owned());
        // On both sides, a name's group is told by the first name that was seen of it.
        if first_source != *first_copy {
            self.lost.insert(Lost::HardLinks);
        }
        if there.nlink() == 1 {
            self.wrong(copy, "is a name of another file too");
        }
    }

    fn xattrs(&mut self, source: &Path, copy: &Path) -> io::Result<()> {
        let (there, made) = (self.xattrs_of(source)?, self.xattrs_of(copy)?);
        for (name, value) in there {
            if made.get(&name) != Some(&value) {
                let is_acl = name.as_encoded_bytes().starts_with(b"system.posix_acl");
                self.lost.insert(if is_acl { Lost::Acls } else { Lost::Xattrs });
            }
        }
        Ok(())
    }

    fn xattrs_of(&mut self, path: &Path) -> io::Result<BTreeMap<OsString, Vec<u8>>> {
        const VALUE_MAX: usize = 64 << 10; // the kernel's own limit, for the list as well
        let names = &mut self.buffers[0][..VALUE_MAX];
        let length = match rustix::fs::llistxattr(path, &mut *names) {
            Err(Errno::OPNOTSUPP) => return Ok(BTreeMap::new()),
            listed => listed?,
        };
        let value = |name: &[u8]| {
            let mut value = vec![0; VALUE_MAX];
            let length = rustix::fs::lgetxattr(path, name, &mut value)?;
            value.truncate(length);
            Ok((OsStr::from_bytes(name).to_owned(), value))
        };
        names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(value).collect()
    }

    fn is_same_content(&mut self, source: &Path, copy: &Path) -> io::Result<bool> {
        let (mut source, mut copy) = (File::open(source)?, File::open(copy)?);
        let [there, made] = &mut self.buffers;
        loop {
            let read = source.read(there)?;
            let same = copy.read_exact(&mut made[..read]).is_ok() && there[..read] == made[..read];
            if read == 0 || !same {
                return Ok(same);
            }
        }
    }
}
