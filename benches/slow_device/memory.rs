//! A filesystem in memory: directories and regular files, and nothing else.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fuser::{FileAttr, FileType, INodeNo};
use nix::errno::Errno;

/// Nodes are never forgotten: it lives for one copy.
pub(crate) struct Memory {
    /// By inode number, which begins at 1.
    nodes: Vec<Node>,
}

struct Node {
    attr: FileAttr,
    content: Content,
}

enum Content {
    Directory(BTreeMap<OsString, INodeNo>),
    File(Vec<u8>),
}

/// What a request wants to be otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change {
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) size: Option<u64>,
    pub(crate) atime: Option<SystemTime>,
    pub(crate) mtime: Option<SystemTime>,
}

impl Memory {
    /// One directory, with nothing in it.
    pub(crate) fn new() -> Memory {
        let mut memory = Memory { nodes: Vec::new() };
        memory.push(0o755, Content::Directory(BTreeMap::new()));
        memory
    }

    fn push(&mut self, mode: u32, content: Content) -> FileAttr {
        // Not now, or a copy could have its time by chance.
        let time = UNIX_EPOCH + Duration::from_secs(1_600_000_000);
        let attr = FileAttr {
            ino: INodeNo(self.nodes.len() as u64 + 1),
            size: 0,
            blocks: 0,
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: match &content {
                Content::Directory(_) => FileType::Directory,
                Content::File(_) => FileType::RegularFile,
            },
            perm: (mode & 0o7777) as u16,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        };
        self.nodes.push(Node { attr, content });
        attr
    }

    fn node(&self, ino: INodeNo) -> Result<&Node, Errno> {
        self.nodes.get(ino.0 as usize - 1).ok_or(Errno::ENOENT)
    }

    fn node_mut(&mut self, ino: INodeNo) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(ino.0 as usize - 1).ok_or(Errno::ENOENT)
    }

    fn entries(&self, directory: INodeNo) -> Result<&BTreeMap<OsString, INodeNo>, Errno> {
        match &self.node(directory)?.content {
            Content::Directory(entries) => Ok(entries),
            Content::File(_) => Err(Errno::ENOTDIR),
        }
    }

    pub(crate) fn attr(&self, ino: INodeNo) -> Result<FileAttr, Errno> {
        Ok(self.node(ino)?.attr)
    }

    pub(crate) fn lookup(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        self.attr(*self.entries(parent)?.get(name).ok_or(Errno::ENOENT)?)
    }

    /// Number, type and name of the entries from the given one on.
    pub(crate) fn list(
        &self,
        directory: INodeNo,
        from: usize,
    ) -> Result<impl Iterator<Item = (INodeNo, FileType, &OsStr)>, Errno> {
        let kind = |ino: INodeNo| self.nodes[ino.0 as usize - 1].attr.kind;
        let entries = self.entries(directory)?.iter().skip(from);
        Ok(entries.map(move |(name, ino)| (*ino, kind(*ino), name.as_os_str())))
    }

    pub(crate) fn make_directory(
        &mut self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
    ) -> Result<FileAttr, Errno> {
        self.make(parent, name, mode, Content::Directory(BTreeMap::new()))
    }

    pub(crate) fn make_file(&mut self, parent: INodeNo, name: &OsStr, mode: u32) -> Result<FileAttr, Errno> {
        self.make(parent, name, mode, Content::File(Vec::new()))
    }

    fn make(
        &mut self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        content: Content,
    ) -> Result<FileAttr, Errno> {
        if self.entries(parent)?.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let attr = self.push(mode, content);
        if let Content::Directory(entries) = &mut self.node_mut(parent)?.content {
            entries.insert(name.to_owned(), attr.ino);
        }
        Ok(attr)
    }

    pub(crate) fn read(&self, ino: INodeNo, offset: u64, size: u32) -> Result<&[u8], Errno> {
        let Content::File(bytes) = &self.node(ino)?.content else { return Err(Errno::EISDIR) };
        let start = bytes.len().min(offset as usize);
        let end = bytes.len().min(start + size as usize);
        Ok(&bytes[start..end])
    }

    pub(crate) fn write(&mut self, ino: INodeNo, offset: u64, written: &[u8]) -> Result<(), Errno> {
        let node = self.node_mut(ino)?;
        let Content::File(bytes) = &mut node.content else { return Err(Errno::EISDIR) };
        let range = offset as usize..offset as usize + written.len();
        bytes.resize(bytes.len().max(range.end), 0);
        bytes[range].copy_from_slice(written);
        node.settle();
        Ok(())
    }

    pub(crate) fn change(&mut self, ino: INodeNo, change: Change) -> Result<FileAttr, Errno> {
        let node = self.node_mut(ino)?;
        if let (Some(size), Content::File(bytes)) = (change.size, &mut node.content) {
            bytes.resize(size as usize, 0);
            node.settle();
        }
        let attr = &mut node.attr;
        attr.perm = change.mode.map_or(attr.perm, |mode| (mode & 0o7777) as u16);
        attr.uid = change.uid.unwrap_or(attr.uid);
        attr.gid = change.gid.unwrap_or(attr.gid);
        attr.atime = change.atime.unwrap_or(attr.atime);
        attr.mtime = change.mtime.unwrap_or(attr.mtime);
        Ok(*attr)
    }
}

impl Node {
    /// Let the attributes say how much content there is.
    fn settle(&mut self) {
        if let Content::File(bytes) = &self.content {
            self.attr.size = bytes.len() as u64;
            self.attr.blocks = self.attr.size.div_ceil(512);
        }
    }
}
