//! An independent judge: trees read entry by entry, and compared, without any of the engine's code.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::{CStr, CString, OsStr},
    fmt,
    fs::File,
    io::Read,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::FileExt},
    },
    path::Path,
    process::Command,
};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, SeekFrom};
use sha2::{Digest, Sha256};

/// What to leave out of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    Owner,
    Mode,
    Mtime,
    Atime,
    Xattrs,
    Links,
    Holes,
    SymlinkTimes,
}

impl Aspect {
    /// What `treecmp.py` calls it, if it looks at it.
    fn treecmp(self) -> Option<&'static str> {
        match self {
            Aspect::Owner => Some("owner"),
            Aspect::Mode => Some("mode"),
            Aspect::Mtime => Some("mtime"),
            Aspect::Xattrs => Some("xattr"),
            Aspect::Links => Some("links"),
            Aspect::Holes => Some("sparse"),
            Aspect::SymlinkTimes => Some("symlinkmtime"),
            Aspect::Atime => None,
        }
    }
}

/// Holes end at a multiple of this, whatever the filesystem's block.
const BLOCK: u64 = 4096;

/// `XFS_SUPER_MAGIC` of linux/magic.h.
const XFS_MAGIC: u64 = 0x5846_5342;

/// Everything that a copy of an entry has to keep.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: FileType,
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: (i64, i64),
    pub atime: (i64, i64),
    pub size: u64,
    pub blocks: u64,
    pub rdev: u64,
    pub id: (u64, u64),
    pub nlink: u64,
    pub content: Content,
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    None,
    /// A digest that holes and written zeros do not change, and where the data lies.
    Bytes {
        digest: [u8; 32],
        data: Vec<(u64, u64)>,
    },
    LinkTo(Vec<u8>),
}

impl Entry {
    /// Read the entry `name` of the directory `dir`, without leaving a trace.
    pub fn read(dir: impl AsFd, name: &CStr) -> Entry {
        let stat = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)
            .unwrap_or_else(|error| panic!("{name:?}: {error}"));
        let kind = FileType::from_raw_mode(stat.st_mode);
        let content = match kind {
            FileType::RegularFile => contents(&open(&dir, name, OFlags::NONBLOCK).into()),
            FileType::Symlink => {
                Content::LinkTo(rustix::fs::readlinkat(&dir, name, Vec::new()).unwrap().into_bytes())
            }
            _ => Content::None,
        };
        Entry {
            kind,
            mode: stat.st_mode & 0o7777,
            owner: (stat.st_uid, stat.st_gid),
            mtime: (stat.st_mtime, stat.st_mtime_nsec as i64),
            atime: (stat.st_atime, stat.st_atime_nsec as i64),
            size: stat.st_size as u64,
            blocks: stat.st_blocks as u64,
            rdev: stat.st_rdev,
            id: (stat.st_dev, stat.st_ino),
            nlink: stat.st_nlink as u64,
            content,
            xattrs: xattrs(dir, name),
        }
    }

    /// What is wrong with `copy`, as a copy of this.
    pub fn differences(&self, copy: &Entry, ignoring: &[Aspect]) -> Vec<String> {
        let mut found = Vec::new();
        let mut differ = |what: &str, this: &dyn fmt::Debug, that: &dyn fmt::Debug| {
            found.push(format!("{what} {this:?} became {that:?}"));
        };
        let looks_at = |aspect| !ignoring.contains(&aspect);
        let is_symlink = self.kind == FileType::Symlink;
        if self.kind != copy.kind {
            differ("type", &self.kind, &copy.kind);
            return found;
        }
        if self.mode != copy.mode && !is_symlink && looks_at(Aspect::Mode) {
            differ("mode", &format_args!("{:o}", self.mode), &format_args!("{:o}", copy.mode));
        }
        if self.owner != copy.owner && looks_at(Aspect::Owner) {
            differ("owner", &self.owner, &copy.owner);
        }
        let looks_at_times = looks_at(Aspect::Mtime) && (!is_symlink || looks_at(Aspect::SymlinkTimes));
        if self.mtime != copy.mtime && looks_at_times {
            differ("mtime", &self.mtime, &copy.mtime);
        }
        // Nobody can read where a link points without leaving a trace.
        if self.atime != copy.atime && !is_symlink && looks_at_times && looks_at(Aspect::Atime) {
            differ("atime", &self.atime, &copy.atime);
        }
        if self.rdev != copy.rdev {
            differ("device", &self.rdev, &copy.rdev);
        }
        if self.xattrs != copy.xattrs && looks_at(Aspect::Xattrs) {
            differ("xattrs", &self.xattrs, &copy.xattrs);
        }
        match (&self.content, &copy.content) {
            (Content::Bytes { digest, data }, Content::Bytes { digest: other, data: there }) => {
                if self.size != copy.size {
                    differ("size", &self.size, &copy.size);
                } else if digest != other {
                    found.push("content differs".into());
                } else if looks_at(Aspect::Holes) && !lie_within(there, data) {
                    differ("data", data, there);
                }
            }
            (this, that) if this != that => differ("link", &Shown(this), &Shown(that)),
            _ => {}
        }
        found
    }
}

struct Shown<'a>(&'a Content);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Content::LinkTo(target) => write!(f, "to {:?}", OsStr::from_bytes(target)),
            _ => f.write_str("not a link"),
        }
    }
}

/// Whether every range of `inner` lies in one of `outer`, rounded to blocks.
fn lie_within(inner: &[(u64, u64)], outer: &[(u64, u64)]) -> bool {
    let rounded = |&(from, to): &(u64, u64)| (from - from % BLOCK, to.div_ceil(BLOCK).saturating_mul(BLOCK));
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (from, to) in outer.iter().map(rounded) {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    inner.iter().all(|(from, to)| merged.iter().any(|(start, end)| start <= from && to <= end))
}

/// Open without changing the access time, where that is allowed.
pub fn open(dir: impl AsFd, name: &CStr, flags: OFlags) -> OwnedFd {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&dir, name, flags | OFlags::NOATIME, Mode::empty())
        .or_else(|_| rustix::fs::openat(&dir, name, flags, Mode::empty()))
        .unwrap_or_else(|error| panic!("{name:?}: {error}"))
}

fn contents(file: &File) -> Content {
    let size = file.metadata().unwrap().len();
    let mut data = Vec::new();
    let mut at = 0;
    while at < size {
        let Ok(from) = rustix::fs::seek(file, SeekFrom::Data(at)) else { break };
        let to = rustix::fs::seek(file, SeekFrom::Hole(from)).map_or(size, |to| to.min(size));
        data.push((from, to));
        at = to;
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * BLOCK as usize];
    for &(from, to) in &data {
        let mut at = from - from % BLOCK;
        while at < to {
            let want = buffer.len().min((size - at) as usize);
            file.read_exact_at(&mut buffer[..want], at).unwrap();
            for (index, block) in buffer[..want].chunks(BLOCK as usize).enumerate() {
                if block.iter().any(|byte| *byte != 0) {
                    hash.update((at + index as u64 * BLOCK).to_le_bytes());
                    hash.update(block);
                }
            }
            at += want as u64;
        }
    }
    Content::Bytes { digest: hash.finalize().into(), data }
}

fn xattrs(dir: impl AsFd, name: &CStr) -> BTreeMap<String, Vec<u8>> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    let path = CString::new(path).unwrap();
    let mut list = vec![0; 65536];
    let Ok(length) = rustix::fs::llistxattr(path.as_c_str(), &mut list[..]) else { return BTreeMap::new() };
    // XFS shows root every ACL a second time, in an encoding of its own.
    let is_xfs = rustix::fs::statfs(path.as_c_str()).is_ok_and(|stat| stat.f_type as u64 == XFS_MAGIC);
    let names = list[..length].split_inclusive(|byte| *byte == 0);
    names
        .map(|name| CStr::from_bytes_with_nul(name).unwrap())
        .filter(|name| !(is_xfs && name.to_bytes().starts_with(b"trusted.SGI_ACL_")))
        .filter_map(|name| {
            let mut value = vec![0; 65536];
            let length = rustix::fs::lgetxattr(path.as_c_str(), name, &mut value[..]).ok()?;
            value.truncate(length);
            Some((name.to_str().unwrap().to_owned(), value))
        })
        .collect()
}

/// The names in a directory, without `.` and `..`.
pub fn names(dir: impl AsFd) -> BTreeSet<CString> {
    let listing = rustix::fs::Dir::new(open(dir, c".", OFlags::DIRECTORY)).unwrap();
    listing
        .map(|entry| entry.unwrap().file_name().to_owned())
        .filter(|name| name.as_c_str() != c"." && name.as_c_str() != c"..")
        .collect()
}

/// A tree as it was when it was read: its entries by path, the root's path being empty.
pub struct Tree(pub BTreeMap<Vec<u8>, Entry>);

impl Tree {
    pub fn of(root: &Path) -> Tree {
        let root = CString::new(root.as_os_str().as_bytes()).unwrap();
        let mut found = BTreeMap::from([(Vec::new(), Entry::read(CWD, &root))]);
        let mut waiting = vec![Vec::new()];
        while let Some(path) = waiting.pop() {
            if found[&path].kind != FileType::Directory {
                continue;
            }
            let whole = CString::new([root.as_bytes(), b"/", &path].concat()).unwrap();
            let dir = open(CWD, &whole, OFlags::DIRECTORY);
            for name in names(&dir) {
                let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
                let below = [&path, separator, name.as_bytes()].concat();
                found.insert(below.clone(), Entry::read(&dir, &name));
                waiting.push(below);
            }
        }
        Tree(found)
    }

    /// The paths that share an inode, group by group.
    fn link_groups(&self) -> BTreeSet<BTreeSet<&[u8]>> {
        let mut groups: HashMap<(u64, u64), BTreeSet<&[u8]>> = HashMap::new();
        for (path, entry) in &self.0 {
            // The link count is not asked: through FUSE it may be a second old.
            if entry.kind != FileType::Directory {
                groups.entry(entry.id).or_default().insert(path);
            }
        }
        groups.into_values().filter(|group| group.len() > 1).collect()
    }

    /// What is wrong with `copy`, as a copy of this, a line for each.
    pub fn differences(&self, copy: &Tree, ignoring: &[Aspect]) -> Vec<String> {
        let mut lines = Vec::new();
        let shown = |path: &[u8]| format!("{:?}", OsStr::from_bytes(path));
        for path in self.0.keys().chain(copy.0.keys().filter(|path| !self.0.contains_key(*path))) {
            match (self.0.get(path), copy.0.get(path)) {
                (Some(entry), Some(there)) => {
                    let differences = entry.differences(there, ignoring);
                    lines.extend(differences.iter().map(|what| format!("{}: {what}", shown(path))));
                }
                (Some(_), None) => lines.push(format!("{}: missing", shown(path))),
                (None, _) => lines.push(format!("{}: not in the source", shown(path))),
            }
        }
        if !ignoring.contains(&Aspect::Links) {
            let (groups, there) = (self.link_groups(), copy.link_groups());
            for group in groups.symmetric_difference(&there) {
                let first = shown(group.first().unwrap());
                lines.push(format!("{first}: its {} names are a group on one side only", group.len()));
            }
        }
        lines
    }
}

/// Assert that a tree is like the other in every respect.
#[track_caller]
pub fn assert_same(source: &Path, copy: &Path) {
    assert_same_but(source, copy, &[]);
}

/// Assert that a tree is like the other but for some aspects.
#[track_caller]
pub fn assert_same_but(source: &Path, copy: &Path, ignoring: &[Aspect]) {
    assert_matches(&Tree::of(source), copy, ignoring);
    second_opinion(source, copy, ignoring);
}

/// Assert that a copy is like its source was when that was read.
#[track_caller]
pub fn assert_matches(source: &Tree, copy: &Path, ignoring: &[Aspect]) {
    let mut lines = source.differences(&Tree::of(copy), ignoring);
    let count = lines.len();
    lines.truncate(20);
    assert!(count == 0, "{count} differences:\n{}", lines.join("\n"));
}

/// Let another program compare as well, where `ORBIT_TREECMP` names one.
#[track_caller]
fn second_opinion(source: &Path, copy: &Path, ignoring: &[Aspect]) {
    let Some(treecmp) = std::env::var_os("ORBIT_TREECMP") else { return };
    let ignoring: Vec<_> = ignoring.iter().filter_map(|aspect| aspect.treecmp()).collect();
    let output = Command::new("python3")
        .arg(treecmp)
        .args([source, copy])
        .args(["--ignore", &ignoring.join(",")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// How many entries a directory has, cheaply.
pub fn count(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

/// The whole of a small file, as bytes, even where its size is a lie.
pub fn slurp(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}
