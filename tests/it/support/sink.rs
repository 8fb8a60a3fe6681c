//! A filesystem of one directory that keeps what is written to it, or only says so.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

/// What the filesystem does with what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It is kept.
    #[default]
    Kept,
    /// At most this many bytes of a call are.
    Short(usize),
    /// What a call writes at or after this offset is said to be kept, and is not.
    LostFrom(u64),
    /// One bit of the byte at this offset is turned over.
    FlippedAt(u64),
    /// The last byte of each file is not shown, and not given.
    CutShort,
    /// A call that comes to this offset fails with EIO.
    FailsAt(u64),
    /// It turns out when the file is closed that it could not be kept (EIO).
    FailsAtClose,
    /// Making it durable fails with EIO.
    FailsAtSync,
}

/// The filesystem, mounted.
pub struct Sink {
    session: Option<BackgroundSession>,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    fate: Fate,
    names: BTreeMap<OsString, u64>,
    files: BTreeMap<u64, Stored>,
}

#[derive(Clone)]
struct Stored {
    content: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
    accessed: SystemTime,
    modified: SystemTime,
}

impl Sink {
    /// Mount it; where it `is_cached`, the kernel keeps in memory what it wrote, and reads it from there.
    pub fn mount(at: &Path, is_cached: bool) -> io::Result<Sink> {
        let held = Arc::<Mutex<Held>>::default();
        let server = Server { held: held.clone(), is_cached };
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("sink".to_owned())];
        Ok(Sink { session: Some(fuser::spawn_mount(server, at, &config)?), held })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    /// What is to become of what is written from now on.
    pub fn set(&self, fate: Fate) {
        self.lock().fate = fate;
    }

    /// Put a file there, or none.
    pub fn put(&self, name: &str, content: Option<&[u8]>) {
        let mut held = self.lock();
        held.names.remove(OsStr::new(name));
        let Some(content) = content else { return };
        let stored = Stored { content: content.to_vec(), ..Stored::new(0o644, (0, 0)) };
        held.add(name.as_ref(), stored);
    }

    /// What a file really holds.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let held = self.lock();
        held.names.get(OsStr::new(name)).map(|ino| held.files[ino].content.clone())
    }

    pub fn names(&self) -> Vec<OsString> {
        self.lock().names.keys().cloned().collect()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let _ = session.umount_and_join();
        }
    }
}

impl Stored {
    fn new(mode: u32, owner: (u32, u32)) -> Stored {
        let now = SystemTime::now();
        Stored { content: Vec::new(), mode, owner, accessed: now, modified: now }
    }
}

impl Held {
    const ROOT: u64 = 1;
    const FIRST: u64 = 10;

    fn add(&mut self, name: &OsStr, stored: Stored) -> u64 {
        let ino = self.files.last_key_value().map_or(Self::FIRST, |(last, _)| last + 1);
        self.files.insert(ino, stored);
        self.names.insert(name.to_owned(), ino);
        ino
    }

    /// How many of a file's bytes are shown.
    fn shown(&self, stored: &Stored) -> usize {
        stored.content.len().saturating_sub(usize::from(self.fate == Fate::CutShort))
    }

    fn attr(&self, ino: u64) -> Option<FileAttr> {
        let root = Stored { mode: 0o755, ..Stored::new(0o755, (0, 0)) };
        let stored = if ino == Self::ROOT { &root } else { self.files.get(&ino)? };
        let kind = if ino == Self::ROOT { FileType::Directory } else { FileType::RegularFile };
        let is_named = ino == Self::ROOT || self.names.values().any(|named| *named == ino);
        let size = self.shown(stored) as u64;
        Some(FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: size.div_ceil(512),
            atime: stored.accessed,
            mtime: stored.modified,
            ctime: stored.modified,
            crtime: stored.modified,
            kind,
            perm: stored.mode as u16,
            nlink: is_named.into(),
            uid: stored.owner.0,
            gid: stored.owner.1,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

struct Server {
    held: Arc<Mutex<Held>>,
    is_cached: bool,
}

impl Server {
    /// Nothing is remembered, so that what it says now is what counts.
    const VALID: Duration = Duration::ZERO;

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    fn how(&self) -> FopenFlags {
        if self.is_cached { FopenFlags::empty() } else { FopenFlags::FOPEN_DIRECT_IO }
    }
}

fn time(given: Option<TimeOrNow>) -> Option<SystemTime> {
    given.map(|given| match given {
        TimeOrNow::SpecificTime(time) => time,
        TimeOrNow::Now => SystemTime::now(),
    })
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let held = self.lock();
        match held.names.get(name).and_then(|ino| held.attr(*ino)) {
            Some(attr) => reply.entry(&Self::VALID, &attr, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.lock().attr(ino.into()) {
            Some(attr) => reply.attr(&Self::VALID, &attr),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut held = self.lock();
        if let Some(stored) = held.files.get_mut(&ino.into()) {
            stored.mode = mode.unwrap_or(stored.mode);
            stored.owner = (uid.unwrap_or(stored.owner.0), gid.unwrap_or(stored.owner.1));
            if let Some(size) = size {
                stored.content.resize(size as usize, 0);
            }
            stored.accessed = time(accessed).unwrap_or(stored.accessed);
            stored.modified = time(modified).unwrap_or(stored.modified);
        }
        match held.attr(ino.into()) {
            Some(attr) => reply.attr(&Self::VALID, &attr),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn create(
        &self,
        request: &Request,
        _: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut held = self.lock();
        let ino = held.add(name, Stored::new(mode & 0o7777, (request.uid(), request.gid())));
        let attr = held.attr(ino).expect("it was just made");
        reply.created(&Self::VALID, &attr, Generation(0), FileHandle(0), self.how());
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        match self.lock().names.remove(name) {
            Some(_) => reply.ok(),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _: INodeNo,
        new_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut held = self.lock();
        match held.names.remove(name) {
            Some(ino) => {
                held.names.insert(new_name.to_owned(), ino);
                reply.ok();
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), self.how());
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
        let held = self.lock();
        let Some(stored) = held.files.get(&ino.into()) else { return reply.error(Errno::ENOENT) };
        let rest = stored.content[..held.shown(stored)].get(offset as usize..).unwrap_or_default();
        reply.data(&rest[..rest.len().min(size as usize)]);
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut held = self.lock();
        let fate = held.fate;
        let Some(stored) = held.files.get_mut(&ino.into()) else { return reply.error(Errno::ENOENT) };
        let end = offset + data.len() as u64;
        let (data, is_lost) = match fate {
            Fate::Short(most) => (&data[..data.len().min(most)], false),
            Fate::LostFrom(from) => (data, offset >= from),
            Fate::FailsAt(at) if end > at => return reply.error(Errno::EIO),
            _ => (data, false),
        };
        let range = offset as usize..offset as usize + data.len();
        if stored.content.len() < range.end {
            stored.content.resize(range.end, 0);
        }
        if !is_lost {
            stored.content[range].copy_from_slice(data);
        }
        if let Fate::FlippedAt(at) = fate
            && (offset..end).contains(&at)
        {
            stored.content[at as usize] ^= 4;
        }
        stored.modified = SystemTime::now();
        reply.written(data.len() as u32);
    }

    fn flush(&self, _: &Request, ino: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        let held = self.lock();
        // Files that hold nothing, marks for instance, need no room.
        let holds = held.files.get(&ino.into()).is_some_and(|stored| !stored.content.is_empty());
        match held.fate {
            Fate::FailsAtClose if holds => reply.error(Errno::EIO),
            _ => reply.ok(),
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        match self.lock().fate {
            Fate::FailsAtSync => reply.error(Errno::EIO),
            _ => reply.ok(),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        const BLOCKS: u64 = 1 << 30;
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, 4096, 255, 4096);
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let held = self.lock();
        for (index, (name, ino)) in held.names.iter().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(*ino), index as u64 + 1, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }
}
