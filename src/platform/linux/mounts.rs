//! What is mounted, read once and again when that has changed.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Seek},
    sync::{Mutex, PoisonError},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Dir, mount_number, retried,
    said::{open_said, room_for_said, said},
};
use crate::platform::Mount;

/// The mounts that this process sees.
///
/// The table is read when it is first asked for, and after that only when the kernel says that it has changed, for
/// which it stays open: numbers of mounts are given again to others.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Mutex<Option<Table>>);

/// A table of mounts as it was read.
#[derive(Debug)]
struct Table {
    file: File,
    mounts: HashMap<u64, Mount>,
    #[cfg(test)]
    reads: u32,
}

impl Mounts {
    /// The mount that `dir` lies in, if that is known.
    pub(crate) fn of(&self, dir: &Dir) -> Option<Mount> {
        let number = mount_number(dir)?;
        self.numbered(number).or_else(|| {
            // Of another namespace, if it is one at all: this thread's own, or that which a directory was opened in.
            let own = said("/proc/thread-self/mountinfo").ok()?;
            own.lines().filter_map(parse).find_map(|(its, mount)| (its == number).then_some(mount))
        })
    }

    fn numbered(&self, number: u64) -> Option<Mount> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = match table.take() {
            Some(known) if !known.has_changed() => Ok(known),
            Some(known) => known.read_again(),
            None => Table::open(),
        };
        *table = read.ok();
        table.as_ref()?.mounts.get(&number).cloned()
    }
}

impl Table {
    fn open() -> io::Result<Table> {
        let file = open_said("/proc/self/mountinfo")?;
        let table = Table {
            file,
            mounts: HashMap::new(),
            #[cfg(test)]
            reads: 0,
        };
        table.read_again()
    }

    fn read_again(mut self) -> io::Result<Table> {
        let mut text = room_for_said();
        self.file.rewind()?;
        self.file.read_to_string(&mut text)?;
        self.mounts = text.lines().filter_map(parse).collect();
        #[cfg(test)]
        {
            self.reads += 1;
        }
        Ok(self)
    }

    /// Whether anything was mounted or unmounted since this was last asked (proc(5)), or nobody would say so.
    ///
    /// What cannot be watched counts as always ready to be written to (poll(2)), which this table never is.
    fn has_changed(&self) -> bool {
        let mut of = [PollFd::new(&self.file, PollFlags::PRI | PollFlags::OUT)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let asked = retried(|| poll(&mut of, Some(&at_once)));
        asked.is_err() || !of[0].revents().is_empty()
    }
}

/// The number of the mount that a line of /proc/self/mountinfo is about, and what it says of it.
fn parse(line: &str) -> Option<(u64, Mount)> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ');
    let number = before.next()?.parse().ok()?;
    let mut after = after.split(' ');
    let filesystem = after.next()?.to_owned();
    // `compress=zstd` of btrfs, `compress_algorithm=` of f2fs; what is said of zfs lies elsewhere.
    let compresses = filesystem == "zfs" || after.nth(1).is_some_and(|options| options.contains("compress"));
    Some((number, Mount { filesystem, is_whole: before.nth(2) == Some("/"), compresses }))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_line_tells_the_number_the_filesystem_and_whether_it_is_all_of_it() {
        let said = |line| parse(line).map(|(number, mount)| (number, mount.filesystem, mount.is_whole));
        let line = "35 28 0:32 / /mnt/a\\040- rw shared:3 master:1 - fuse.bindfs /x rw";
        assert_eq!(said(line), Some((35, "fuse.bindfs".to_owned(), true)));
        let bound = "5 1 8:1 /data / rw - ext4 /dev/sda1 rw";
        assert_eq!(said(bound), Some((5, "ext4".to_owned(), false)), "bound from a directory");
        assert_eq!(said("what nobody understands"), None);
        let compresses =
            |options| parse(&format!("7 1 0:9 / /m rw - btrfs /dev/sdb {options}")).unwrap().1.compresses;
        assert!(compresses("rw,compress-force=zstd:3,space_cache=v2") && !compresses("rw,space_cache=v2"));
    }

    /// Run a test again, alone, in a process whose mounts are its own.
    fn in_a_namespace_of_its_own(name: &str) -> bool {
        const INSIDE: &str = "ORBIT_TEST_OWN_MOUNTS";
        if std::env::var_os(INSIDE).is_some() {
            return true;
        }
        if crate::platform::effective_user() != 0 {
            eprintln!("skipped: only root mounts");
            return false;
        }
        let test = std::env::current_exe().unwrap();
        let mut inside = Command::new("unshare");
        inside.args(["--mount", "--propagation=private"]).arg(test).args(["--exact", name]).env(INSIDE, "");
        let output = inside.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        false
    }

    #[test]
    fn the_table_is_read_once_and_again_when_something_was_mounted_or_unmounted() {
        const NAME: &str = "platform::linux::mounts::tests::\
            the_table_is_read_once_and_again_when_something_was_mounted_or_unmounted";
        if !in_a_namespace_of_its_own(NAME) {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let mounts = Mounts::default();
        let reads = || mounts.0.lock().unwrap().as_ref().unwrap().reads;
        let now = || mounts.of(&Dir::open(place.path()).unwrap()).unwrap().filesystem;
        let run = |program: &str, arguments: &[&str]| {
            assert!(Command::new(program).args(arguments).arg(place.path()).status().unwrap().success());
        };
        let below = now();
        for _ in 0..100 {
            assert_eq!(now(), below);
        }
        assert_eq!(reads(), 1);
        // Each may get the number of the one before it.
        for (round, filesystem) in ["tmpfs", "ramfs", "tmpfs"].into_iter().enumerate() {
            run("mount", &["-t", filesystem, "none"]);
            assert_eq!((now(), now()), (filesystem.to_owned(), filesystem.to_owned()));
            assert_eq!(reads(), 2 + 2 * round as u32);
            let inside = Dir::open(place.path()).unwrap();
            run("umount", &["--lazy"]);
            assert_eq!(mounts.of(&inside).map(|mount| mount.filesystem), None, "it is nowhere any more");
            assert_eq!(now(), below);
            assert_eq!(reads(), 3 + 2 * round as u32);
        }
    }

    #[test]
    fn a_thread_in_another_namespace_is_told_of_the_mounts_there() {
        const NAME: &str =
            "platform::linux::mounts::tests::a_thread_in_another_namespace_is_told_of_the_mounts_there";
        if !in_a_namespace_of_its_own(NAME) {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let mounts = Mounts::default();
        let now = || mounts.of(&Dir::open(place.path()).unwrap()).unwrap().filesystem;
        let outside = now();
        std::thread::scope(|scope| {
            let elsewhere = scope.spawn(|| {
                use nix::{
                    mount::{MsFlags, mount},
                    sched::{CloneFlags, unshare},
                };
                unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).unwrap();
                mount(None::<&str>, place.path(), Some("ramfs"), MsFlags::empty(), None::<&str>).unwrap();
                now()
            });
            assert_eq!(elsewhere.join().unwrap(), "ramfs");
        });
        assert_eq!(now(), outside);
    }

    #[test]
    fn what_cannot_be_watched_is_read_each_time() {
        let scratch = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(scratch.path(), "7 1 0:9 / /m rw - ext4 /dev/sdb rw\n").unwrap();
        let file = File::open(scratch.path()).unwrap();
        let table = Table { file, mounts: HashMap::new(), reads: 0 }.read_again().unwrap();
        assert_eq!(table.mounts[&7].filesystem, "ext4");
        assert!(table.has_changed());
    }
}
