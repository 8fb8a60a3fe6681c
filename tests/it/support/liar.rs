//! A filesystem of one directory whose files lie, fail or hang, until they are told to behave.

use std::{
    ffi::OsStr,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, ReplyOpen,
    Request,
};

/// What a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing wrong.
    None,
    /// A read gives at most this many bytes.
    ShortReads(usize),
    /// It says to have this many bytes more than it gives.
    SaysMore(u64),
    /// It says to have this many bytes fewer.
    SaysLess(u64),
    /// Reading fails from this offset on.
    FailsFrom(u64),
    /// Its directory calls it something else.
    ListedAs(FileType),
    /// It is an empty directory, which its directory calls something else.
    DirectoryListedAs(FileType),
    /// The first read takes so long, or until the filesystem is told to behave.
    Hangs(Duration),
}

/// A file, and what it does.
#[derive(Clone, Debug)]
pub struct LyingFile {
    pub name: &'static str,
    pub content: Vec<u8>,
    pub lie: Lie,
}

/// The filesystem, mounted.
pub struct Liar {
    session: Option<BackgroundSession>,
    behaves: Arc<AtomicBool>,
    hanging: Arc<AtomicU64>,
}

impl Liar {
    pub fn mount(files: Vec<LyingFile>, at: &Path) -> io::Result<Liar> {
        let behaves = Arc::<AtomicBool>::default();
        let hanging = Arc::<AtomicU64>::default();
        let server = Server { files, behaves: behaves.clone(), hanging: hanging.clone() };
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("liar".to_owned()), MountOption::RO];
        Ok(Liar { session: Some(fuser::spawn_mount(server, at, &config)?), behaves, hanging })
    }

    /// From now on every file is what it says.
    pub fn behave(&self) {
        self.behaves.store(true, Ordering::Relaxed);
    }

    /// Reads that hang.
    pub fn hanging(&self) -> u64 {
        self.hanging.load(Ordering::Relaxed)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let _ = session.umount_and_join();
        }
    }
}

struct Server {
    files: Vec<LyingFile>,
    behaves: Arc<AtomicBool>,
    hanging: Arc<AtomicU64>,
}

impl Server {
    /// Nothing is remembered, so that what it says now is what counts.
    const VALID: Duration = Duration::ZERO;
    const FIRST: u64 = 10;

    fn file(&self, ino: INodeNo) -> Option<&LyingFile> {
        self.files.get(usize::try_from(u64::from(ino).checked_sub(Self::FIRST)?).ok()?)
    }

    fn lie(&self, file: &LyingFile) -> Lie {
        if self.behaves.load(Ordering::Relaxed) { Lie::None } else { file.lie }
    }

    fn attr(&self, ino: INodeNo) -> Option<FileAttr> {
        let (kind, size) = match self.file(ino) {
            Some(file) => {
                let size = file.content.len() as u64;
                let size = match self.lie(file) {
                    Lie::SaysMore(more) => size + more,
                    Lie::SaysLess(less) => size - less,
                    _ => size,
                };
                match file.lie {
                    Lie::DirectoryListedAs(_) => (FileType::Directory, 0),
                    _ => (FileType::RegularFile, size),
                }
            }
            None if u64::from(ino) == 1 => (FileType::Directory, 0),
            None => return None,
        };
        let time = UNIX_EPOCH + Duration::from_secs(1_600_000_000);
        Some(FileAttr {
            ino,
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm: if kind == FileType::Directory { 0o755 } else { 0o644 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let index = self.files.iter().position(|file| OsStr::new(file.name) == name);
        match index.and_then(|index| self.attr(INodeNo(Self::FIRST + index as u64))) {
            Some(attr) => reply.entry(&Self::VALID, &attr, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr(ino) {
            Some(attr) => reply.attr(&Self::VALID, &attr),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Each read comes here as it is made.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(file) = self.file(ino) else { return reply.error(Errno::ENOENT) };
        let rest = file.content.get(offset as usize..).unwrap_or_default();
        let mut bytes = rest[..rest.len().min(size as usize)].to_vec();
        match self.lie(file) {
            Lie::ShortReads(most) => bytes.truncate(most),
            Lie::FailsFrom(from) if offset + bytes.len() as u64 > from => return reply.error(Errno::EIO),
            Lie::Hangs(time) if offset == 0 => {
                let (hanging, behaves) = (self.hanging.clone(), self.behaves.clone());
                let until = Instant::now() + time;
                hanging.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || {
                    while Instant::now() < until && !behaves.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_millis(5));
                    }
                    hanging.fetch_sub(1, Ordering::Relaxed);
                    reply.data(&bytes);
                });
                return;
            }
            _ => {}
        }
        reply.data(&bytes);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        if self.file(ino).is_some() {
            return reply.ok();
        }
        for (index, file) in self.files.iter().enumerate().skip(offset as usize) {
            let ino = INodeNo(Self::FIRST + index as u64);
            let kind = match (self.lie(file), file.lie) {
                (Lie::ListedAs(kind) | Lie::DirectoryListedAs(kind), _) => kind,
                (_, Lie::DirectoryListedAs(_)) => FileType::Directory,
                _ => FileType::RegularFile,
            };
            if reply.add(ino, index as u64 + 1, kind, file.name) {
                break;
            }
        }
        reply.ok();
    }
}
