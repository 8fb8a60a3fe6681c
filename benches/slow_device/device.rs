//! The slow device: a filesystem that answers each request some time after it came.

use std::{
    ffi::OsStr,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, ReplyXattr, Request, TimeOrNow,
    WriteFlags,
};

use crate::memory::{Change, Memory};

/// A mounted filesystem in memory that answers late.
pub(crate) struct Device {
    session: BackgroundSession,
    answering: JoinHandle<Memory>,
    requests: Arc<AtomicU64>,
}

impl Device {
    /// Mount it.
    pub(crate) fn mount(memory: Memory, latency: Duration, at: &Path) -> io::Result<Device> {
        let (answers, due) = mpsc::channel();
        let requests = Arc::<AtomicU64>::default();
        let late = Late { latency, answers, requests: requests.clone() };
        // It ends when the filesystem goes, and the other end of the channel with it.
        let answering = thread::Builder::new().name("answers".to_owned()).spawn(|| answer(memory, due))?;
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("slow".to_owned()),
            // Else the kernel asks whether each directory may be searched.
            MountOption::DefaultPermissions,
        ];
        Ok(Device { session: fuser::spawn_mount(late, at, &config)?, answering, requests })
    }

    /// How many requests there were so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Unmount it, and have what is in it.
    pub(crate) fn unmount(self) -> io::Result<Memory> {
        self.session.umount_and_join()?;
        self.answering.join().map_err(|_| io::Error::other("answering a request panicked"))
    }
}

type Answer = Box<dyn FnOnce(&mut Memory) + Send>;

/// All wait equally long, so they are due in the order in which they came, and one thread that sleeps
/// is enough for any number of them.
fn answer(mut memory: Memory, due: mpsc::Receiver<(Instant, Answer)>) -> Memory {
    for (at, answer) in due {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        answer(&mut memory);
    }
    memory
}

fn code(errno: nix::Error) -> Errno {
    Errno::from_i32(errno as i32)
}

/// What the kernel asks of a filesystem, answered late.
struct Late {
    latency: Duration,
    answers: mpsc::Sender<(Instant, Answer)>,
    requests: Arc<AtomicU64>,
}

impl Late {
    /// For what the kernel was told, which nobody else changes.
    const VALID: Duration = Duration::from_secs(3600);

    fn late(&self, answer: impl FnOnce(&mut Memory) + Send + 'static) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        // Without a thread that answers, dropping what should have been sent is an error to the kernel.
        let _ = self.answers.send((Instant::now() + self.latency, Box::new(answer)));
    }
}

impl Filesystem for Late {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // More than there can be, or the kernel would hold back reads and closes.
        const AT_ONCE: u16 = 1024;
        let _ = config.set_max_background(AT_ONCE);
        // Else one name is looked up at a time in each directory.
        config
            .add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS)
            .map_err(|_| io::Error::other("the kernel looks up one name at a time"))
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.to_owned();
        self.late(move |memory| match memory.lookup(parent, &name) {
            Ok(attr) => reply.entry(&Late::VALID, &attr, Generation(0)),
            Err(errno) => reply.error(code(errno)),
        });
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.late(move |memory| match memory.attr(ino) {
            Ok(attr) => reply.attr(&Late::VALID, &attr),
            Err(errno) => reply.error(code(errno)),
        });
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let time = |time| match time {
            TimeOrNow::SpecificTime(time) => time,
            TimeOrNow::Now => SystemTime::now(),
        };
        let (atime, mtime) = (atime.map(time), mtime.map(time));
        let change = Change { mode, uid, gid, size, atime, mtime };
        self.late(move |memory| match memory.change(ino, change) {
            Ok(attr) => reply.attr(&Late::VALID, &attr),
            Err(errno) => reply.error(code(errno)),
        });
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        let name = name.to_owned();
        self.late(move |memory| match memory.make_directory(parent, &name, mode) {
            Ok(attr) => reply.entry(&Late::VALID, &attr, Generation(0)),
            Err(errno) => reply.error(code(errno)),
        });
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let name = name.to_owned();
        self.late(move |memory| match memory.make_file(parent, &name, mode) {
            Ok(attr) => {
                reply.created(&Late::VALID, &attr, Generation(0), FileHandle(0), FopenFlags::empty());
            }
            Err(errno) => reply.error(code(errno)),
        });
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.late(move |_| reply.opened(FileHandle(0), FopenFlags::empty()));
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
        self.late(move |memory| match memory.read(ino, offset, size) {
            Ok(bytes) => reply.data(bytes),
            Err(errno) => reply.error(code(errno)),
        });
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let bytes = bytes.to_owned();
        self.late(move |memory| match memory.write(ino, offset, &bytes) {
            Ok(()) => reply.written(bytes.len() as u32),
            Err(errno) => reply.error(code(errno)),
        });
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.late(move |_| reply.ok());
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.late(move |_| reply.ok());
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.late(move |_| reply.opened(FileHandle(0), FopenFlags::empty()));
    }

    fn readdir(
        &self,
        _: &Request,
        directory: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.late(move |memory| match memory.list(directory, offset as usize) {
            Ok(entries) => {
                for ((ino, kind, name), next) in entries.zip(offset + 1..) {
                    if reply.add(ino, next, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(errno) => reply.error(code(errno)),
        });
    }

    fn releasedir(&self, _: &Request, _: INodeNo, _: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.late(move |_| reply.ok());
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        self.late(move |_| reply.error(Errno::NO_XATTR));
    }

    fn listxattr(&self, _: &Request, _: INodeNo, size: u32, reply: ReplyXattr) {
        self.late(move |_| if size == 0 { reply.size(0) } else { reply.data(&[]) });
    }
}
