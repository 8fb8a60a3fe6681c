//! What a directory entry is: its kind, its identity and its metadata.

use std::time::{SystemTime, UNIX_EPOCH};

/// The type of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A Unix-domain socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl Kind {
    /// Whether this is a FIFO, a socket or a device: copied as a node, never opened.
    #[must_use]
    pub fn is_special(self) -> bool {
        matches!(self, Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice)
    }

    /// The kind in words, with its article: "a regular file".
    #[must_use]
    pub fn described(self) -> &'static str {
        match self {
            Kind::File => "a regular file",
            Kind::Directory => "a directory",
            Kind::Symlink => "a symbolic link",
            Kind::Fifo => "a FIFO",
            Kind::Socket => "a socket",
            Kind::CharDevice => "a character device",
            Kind::BlockDevice => "a block device",
        }
    }
}

/// Identity of an entry on this machine: two paths with equal ids are one inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

/// A point in time as the filesystem keeps it, nanoseconds included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Stamp {
    pub(crate) secs: i64,
    pub(crate) nanos: u32,
}

impl Stamp {
    pub(crate) fn now() -> Stamp {
        SystemTime::now().into()
    }

    pub(crate) fn seconds_before(self, secs: i64) -> Stamp {
        Stamp { secs: self.secs.saturating_sub(secs), ..self }
    }

    /// This stamp as a filesystem with a coarser clock would keep it.
    pub(crate) fn truncated_to(self, granularity: Granularity) -> Stamp {
        match granularity {
            Granularity::Nanos(step) => Stamp { nanos: self.nanos - self.nanos % step, ..self },
            Granularity::Seconds(step) => Stamp { secs: self.secs - self.secs.rem_euclid(step), nanos: 0 },
        }
    }
}

impl From<SystemTime> for Stamp {
    fn from(time: SystemTime) -> Stamp {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Stamp { secs: since.as_secs().cast_signed(), nanos: since.subsec_nanos() },
            Err(before) => {
                let before = before.duration();
                let secs = -before.as_secs().cast_signed();
                match before.subsec_nanos() {
                    0 => Stamp { secs, nanos: 0 },
                    nanos => Stamp { secs: secs - 1, nanos: 1_000_000_000 - nanos },
                }
            }
        }
    }
}

/// The step of a filesystem's modification times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granularity {
    /// A number of nanoseconds below a second; 1 is exact.
    Nanos(u32),
    /// A number of whole seconds: 1 on ext4 with 128-byte inodes, 2 on FAT.
    Seconds(i64),
}

impl Granularity {
    /// What a filesystem does to times, told from one that was set and read back.
    pub(crate) fn learned(set: Stamp, got: Stamp) -> Granularity {
        [1, 100, 1_000, 1_000_000]
            .map(Granularity::Nanos)
            .into_iter()
            .chain([1, 2].map(Granularity::Seconds))
            .find(|&step| set.truncated_to(step) == got)
            .unwrap_or(Granularity::Nanos(1))
    }
}

/// Metadata of an entry, as one `stat` answers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) kind: Kind,
    /// Permission bits with setuid, setgid and sticky; never the type bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    /// Bytes the filesystem has allocated.
    pub(crate) allocated: u64,
    pub(crate) accessed: Stamp,
    pub(crate) modified: Stamp,
    pub(crate) changed: Stamp,
    pub(crate) id: FileId,
    pub(crate) nlink: u64,
    pub(crate) rdev: u64,
}

impl Meta {
    /// Whether the content of an open file has changed between two looks at it, as its size and time tell.
    ///
    /// What changes names, links or attributes alone shows in the change time, and in nothing else.
    pub(crate) fn content_differs(&self, later: &Meta) -> bool {
        self.size != later.size || self.modified != later.modified
    }

    /// Whether the entry may have holes: fewer bytes allocated than its size.
    pub(crate) fn is_sparse(&self) -> bool {
        self.allocated < self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_count_backwards_in_seconds_only() {
        let nanos = |nanos| std::time::Duration::from_nanos(nanos);
        for (time, secs, rest) in [
            (UNIX_EPOCH + nanos(1_500_000_000), 1, 500_000_000),
            (UNIX_EPOCH - nanos(1_500_000_000), -2, 500_000_000),
            (UNIX_EPOCH - nanos(2_000_000_000), -2, 0),
        ] {
            assert_eq!(Stamp::from(time), Stamp { secs, nanos: rest });
        }
    }

    #[test]
    fn granularity_is_told_from_a_time_read_back() {
        let set = Stamp { secs: 1_600_000_001, nanos: 123_456_789 };
        let cases = [
            (set, Granularity::Nanos(1)),
            (Stamp { nanos: 123_456_700, ..set }, Granularity::Nanos(100)),
            (Stamp { nanos: 123_456_000, ..set }, Granularity::Nanos(1_000)),
            (Stamp { nanos: 123_000_000, ..set }, Granularity::Nanos(1_000_000)),
            (Stamp { nanos: 0, ..set }, Granularity::Seconds(1)),
            (Stamp { secs: 1_600_000_000, nanos: 0 }, Granularity::Seconds(2)),
        ];
        for (got, expected) in cases {
            assert_eq!(Granularity::learned(set, got), expected);
        }
    }
}
