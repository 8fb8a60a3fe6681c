//! A filesystem of directories, files and links that is odd as FAT, sshfs and mergerfs are: it holds names for equal
//! that differ in case alone, or gives each name a number of its own, or both.

use std::{
    collections::{BTreeMap, HashMap},
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

/// In what ways it is odd.
#[derive(Clone, Copy, Debug, Default)]
pub struct Oddities {
    /// Names that differ in case alone are one, whatever their script.
    pub folds: bool,
    /// Each name has a number of its own, also of one file, and so has each spelling of it.
    pub numbers_names: bool,
    /// There are no hard links.
    pub lacks_links: bool,
}

/// The filesystem, mounted.
pub struct Odd {
    session: Option<BackgroundSession>,
    tree: Arc<Mutex<Tree>>,
}

impl Odd {
    pub fn mount(at: &Path, oddities: Oddities) -> io::Result<Odd> {
        let tree = Arc::new(Mutex::new(Tree::new(oddities)));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("odd".to_owned())];
        let session = fuser::spawn_mount(Server(tree.clone()), at, &config)?;
        Ok(Odd { session: Some(session), tree })
    }

    /// How often it was asked to look up a name, list a directory, or make something.
    pub fn asked(&self, what: &str) -> usize {
        self.tree.lock().unwrap().asked.get(what).copied().unwrap_or_default()
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let _ = session.umount_and_join();
        }
    }
}

/// A file, whatever it is called.
#[derive(Clone, Debug)]
struct Stored {
    kind: FileType,
    /// The content, or where a link leads.
    content: Vec<u8>,
    /// What a directory holds, as it is spelled.
    names: BTreeMap<OsString, u64>,
    parent: u64,
    mode: u32,
    owner: (u32, u32),
    links: u32,
    accessed: SystemTime,
    modified: SystemTime,
    changed: SystemTime,
}

#[derive(Debug)]
struct Tree {
    oddities: Oddities,
    files: Vec<Stored>,
    /// Which file each number is.
    numbers: HashMap<u64, u64>,
    /// The number of each name of a directory, as it was asked for.
    named: HashMap<(u64, OsString), u64>,
    next_number: u64,
    asked: HashMap<&'static str, usize>,
}

impl Tree {
    /// The place of a directory in `files`; its number is one more.
    const ROOT: u64 = 0;

    fn new(oddities: Oddities) -> Tree {
        let mut tree = Tree {
            oddities,
            files: Vec::new(),
            numbers: HashMap::from([(1, Self::ROOT)]),
            named: HashMap::new(),
            next_number: 1 << 32,
            asked: HashMap::new(),
        };
        tree.add(FileType::Directory, 0o755, (0, 0), Self::ROOT);
        tree
    }

    fn add(&mut self, kind: FileType, mode: u32, owner: (u32, u32), parent: u64) -> u64 {
        let now = SystemTime::now();
        self.files.push(Stored {
            kind,
            content: Vec::new(),
            names: BTreeMap::new(),
            parent,
            mode: mode & 0o7777,
            owner,
            links: 1,
            accessed: now,
            modified: now,
            changed: now,
        });
        self.files.len() as u64 - 1
    }

    fn file(&mut self, file: u64) -> &mut Stored {
        &mut self.files[file as usize]
    }

    fn of(&self, ino: INodeNo) -> Result<u64, Errno> {
        self.numbers.get(&ino.into()).copied().ok_or(Errno::ENOENT)
    }

    /// How a name that was asked for is spelled in a directory, if it is there.
    fn spelled(&self, dir: u64, name: &OsStr) -> Option<(OsString, u64)> {
        let names = &self.files[dir as usize].names;
        if let Some(file) = names.get(name) {
            return Some((name.to_owned(), *file));
        }
        let folded = |name: &OsStr| name.to_string_lossy().to_lowercase();
        let found = names.iter().find(|(there, _)| self.oddities.folds && folded(there) == folded(name));
        found.map(|(there, file)| (there.clone(), *file))
    }

    /// The number of a file that was asked for by a name.
    fn number(&mut self, dir: u64, name: &OsStr, file: u64) -> u64 {
        if !self.oddities.numbers_names {
            self.numbers.insert(file + 1, file);
            return file + 1;
        }
        let key = (dir, name.to_owned());
        if let Some(number) = self.named.get(&key).copied().filter(|number| self.numbers[number] == file) {
            return number;
        }
        self.next_number += 1;
        self.named.insert(key, self.next_number);
        self.numbers.insert(self.next_number, file);
        self.next_number
    }

    fn attr(&self, number: u64) -> Result<FileAttr, Errno> {
        let stored = &self.files[self.of(INodeNo(number))? as usize];
        let size = stored.content.len() as u64;
        Ok(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: stored.accessed,
            mtime: stored.modified,
            ctime: stored.changed,
            crtime: stored.modified,
            kind: stored.kind,
            perm: stored.mode as u16,
            nlink: stored.links,
            uid: stored.owner.0,
            gid: stored.owner.1,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn entry(&mut self, dir: u64, name: &OsStr, file: u64) -> Result<FileAttr, Errno> {
        let number = self.number(dir, name, file);
        self.attr(number)
    }

    fn lookup(&mut self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        *self.asked.entry("lookup").or_default() += 1;
        let dir = self.of(parent)?;
        let (_, file) = self.spelled(dir, name).ok_or(Errno::ENOENT)?;
        self.entry(dir, name, file)
    }

    fn touch(&mut self, dir: u64) {
        let now = SystemTime::now();
        (self.file(dir).modified, self.file(dir).changed) = (now, now);
    }

    fn make(
        &mut self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        (kind, mode): (FileType, u32),
        content: &[u8],
    ) -> Result<FileAttr, Errno> {
        *self.asked.entry("make").or_default() += 1;
        let dir = self.of(parent)?;
        if self.spelled(dir, name).is_some() {
            return Err(Errno::EEXIST);
        }
        let file = self.add(kind, mode, (request.uid(), request.gid()), dir);
        self.file(file).content = content.to_vec();
        self.file(dir).names.insert(name.to_owned(), file);
        self.touch(dir);
        self.entry(dir, name, file)
    }

    fn remove(&mut self, parent: INodeNo, name: &OsStr, is_directory: bool) -> Result<(), Errno> {
        let dir = self.of(parent)?;
        let (spelled, file) = self.spelled(dir, name).ok_or(Errno::ENOENT)?;
        if is_directory && !self.file(file).names.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.file(dir).names.remove(&spelled);
        self.file(file).links -= 1;
        self.touch(file);
        self.touch(dir);
        Ok(())
    }

    fn rename(&mut self, from: (INodeNo, &OsStr), to: (INodeNo, &OsStr)) -> Result<(), Errno> {
        let (old, new) = (self.of(from.0)?, self.of(to.0)?);
        let (spelled, file) = self.spelled(old, from.1).ok_or(Errno::ENOENT)?;
        if let Some((there, replaced)) = self.spelled(new, to.1) {
            self.file(new).names.remove(&there);
            if replaced != file {
                self.file(replaced).links -= 1;
            }
        }
        self.file(old).names.remove(&spelled);
        self.file(new).names.insert(to.1.to_owned(), file);
        if let Some(number) = self.named.remove(&(old, from.1.to_owned())) {
            self.named.insert((new, to.1.to_owned()), number);
        }
        self.file(file).parent = new;
        self.touch(old);
        self.touch(new);
        Ok(())
    }

    fn link(&mut self, ino: INodeNo, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let (file, dir) = (self.of(ino)?, self.of(parent)?);
        if self.oddities.lacks_links {
            return Err(Errno::EPERM);
        }
        if self.spelled(dir, name).is_some() {
            return Err(Errno::EEXIST);
        }
        self.file(dir).names.insert(name.to_owned(), file);
        self.file(file).links += 1;
        self.file(file).changed = SystemTime::now();
        self.touch(dir);
        self.entry(dir, name, file)
    }
}

struct Server(Arc<Mutex<Tree>>);

/// Nothing is remembered by the kernel.
const VALID: Duration = Duration::ZERO;
const GENERATION: Generation = Generation(0);

impl Server {
    fn lock(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap()
    }
}

fn reply_entry(reply: ReplyEntry, made: Result<FileAttr, Errno>) {
    match made {
        Ok(attr) => reply.entry(&VALID, &attr, GENERATION),
        Err(errno) => reply.error(errno),
    }
}

fn reply_empty(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

fn time(given: Option<TimeOrNow>) -> Option<SystemTime> {
    given.map(|given| match given {
        TimeOrNow::SpecificTime(time) => time,
        TimeOrNow::Now => SystemTime::now(),
    })
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        reply_entry(reply, self.lock().lookup(parent, name));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.lock().attr(ino.into()) {
            Ok(attr) => reply.attr(&VALID, &attr),
            Err(errno) => reply.error(errno),
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
        let mut tree = self.lock();
        if let Ok(file) = tree.of(ino) {
            let stored = tree.file(file);
            stored.mode = mode.map_or(stored.mode, |mode| mode & 0o7777);
            stored.owner = (uid.unwrap_or(stored.owner.0), gid.unwrap_or(stored.owner.1));
            if let Some(size) = size {
                stored.content.resize(size as usize, 0);
                stored.modified = SystemTime::now();
            }
            stored.accessed = time(accessed).unwrap_or(stored.accessed);
            stored.modified = time(modified).unwrap_or(stored.modified);
            stored.changed = SystemTime::now();
        }
        match tree.attr(ino.into()) {
            Ok(attr) => reply.attr(&VALID, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let mut tree = self.lock();
        match tree.of(ino) {
            Ok(file) => reply.data(&tree.file(file).content),
            Err(errno) => reply.error(errno),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        const KIND: u32 = 0o170_000;
        const REGULAR: u32 = 0o100_000;
        if mode & KIND != REGULAR {
            return reply.error(Errno::EPERM);
        }
        reply_entry(reply, self.lock().make(request, parent, name, (FileType::RegularFile, mode), b""));
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        reply_entry(reply, self.lock().make(request, parent, name, (FileType::Directory, mode), b""));
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let target = target.as_os_str().as_encoded_bytes();
        reply_entry(reply, self.lock().make(request, parent, name, (FileType::Symlink, 0o777), target));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(reply, self.lock().remove(parent, name, false));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(reply, self.lock().remove(parent, name, true));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL); // as most do
        }
        reply_empty(reply, self.lock().rename((parent, name), (new_parent, new_name)));
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        reply_entry(reply, self.lock().link(ino, parent, name));
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.lock().make(request, parent, name, (FileType::RegularFile, mode), b"") {
            Ok(attr) => reply.created(&VALID, &attr, GENERATION, FileHandle(0), FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
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
        let mut tree = self.lock();
        match tree.of(ino) {
            Ok(file) => {
                let rest = tree.file(file).content.get(offset as usize..).unwrap_or_default();
                reply.data(&rest[..rest.len().min(size as usize)]);
            }
            Err(errno) => reply.error(errno),
        }
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
        let mut tree = self.lock();
        let Ok(file) = tree.of(ino) else { return reply.error(Errno::ENOENT) };
        tree.touch(file);
        let content = &mut tree.file(file).content;
        let range = offset as usize..offset as usize + data.len();
        content.resize(content.len().max(range.end), 0);
        content[range].copy_from_slice(data);
        reply.written(data.len() as u32);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        const BLOCKS: u64 = 1 << 30;
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, 4096, 255, 4096);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let mut tree = self.lock();
        if offset == 0 {
            *tree.asked.entry("list").or_default() += 1;
        }
        let Ok(dir) = tree.of(ino) else { return reply.error(Errno::ENOENT) };
        let listed: Vec<_> = tree.file(dir).names.clone().into_iter().collect();
        for (index, (name, file)) in listed.into_iter().enumerate().skip(offset as usize) {
            let number = tree.number(dir, &name, file);
            if reply.add(INodeNo(number), index as u64 + 1, tree.file(file).kind, &name) {
                break;
            }
        }
        reply.ok();
    }
}
