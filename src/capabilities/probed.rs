//! What a probe found out about a pair of filesystems.

use std::{path::PathBuf, time::Duration};

use super::{Ability, ZeroCopyCapabilities};
use crate::{
    method::{Declined, Method},
    platform::DirectIo,
    storage::Storage,
};

/// What this kernel and a pair of filesystems can do; see [`Capabilities::probe`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Capabilities {
    /// What the kernel has, whatever the filesystems.
    pub system: ZeroCopyCapabilities,
    /// The filesystem that holds the source.
    pub source: Filesystem,
    /// The filesystem that holds the destination.
    pub destination: Filesystem,
    /// Whether the two are one.
    pub same_filesystem: bool,
    /// Kernel copies from the source's filesystem to the destination's.
    pub between: KernelCopies,
    /// Kernel copies from one file of the destination's filesystem to another.
    pub within: KernelCopies,
    /// What files of the destination keep.
    pub keeps: Keeps,
    /// Calls that make copies safer or cheaper.
    pub conveniences: Conveniences,
    /// How many workers a copy between the two has by default.
    pub jobs: usize,
    /// How that number was chosen.
    pub jobs_reason: String,
    /// Which methods a copy with default options tries, in order, for some sizes of files.
    pub ladders: Vec<LadderOfSize>,
}

impl Capabilities {
    /// Whether the kernel can move the bytes of a file between these two in any way.
    #[must_use]
    pub fn zero_copy(&self) -> Ability {
        let each = self.between.each();
        if each.iter().any(|(_, ability)| ability.is_yes()) {
            return Ability::Yes;
        }
        let unknown = each.iter().find(|(_, ability)| matches!(ability, Ability::Unknown(_)));
        match unknown {
            Some((_, ability)) => (*ability).clone(),
            None => Ability::No("files are copied through a buffer".to_owned()),
        }
    }
}

/// One side of a copy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Filesystem {
    /// The path that it was found by: the one given, or the directory that would hold it.
    pub path: PathBuf,
    /// The filesystem's name as mount(8) has it, such as `ext4`, where that is known.
    pub name: Option<String>,
    /// What its data lies on.
    pub storage: Storage,
}

/// Ways for the kernel to copy from one file to another.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KernelCopies {
    /// Sharing blocks.
    pub reflink: Ability,
    /// `copy_file_range(2)`.
    pub copy_file_range: Ability,
    /// `sendfile(2)`.
    pub sendfile: Ability,
    /// `splice(2)`.
    pub splice: Ability,
}

impl KernelCopies {
    /// None of them, for one reason.
    pub(crate) fn none(ability: &Ability) -> KernelCopies {
        KernelCopies {
            reflink: ability.clone(),
            copy_file_range: ability.clone(),
            sendfile: ability.clone(),
            splice: ability.clone(),
        }
    }

    /// Each method with what is known of it.
    #[must_use]
    pub fn each(&self) -> [(Method, &Ability); 4] {
        [
            (Method::Reflink, &self.reflink),
            (Method::CopyFileRange, &self.copy_file_range),
            (Method::Sendfile, &self.sendfile),
            (Method::Splice, &self.splice),
        ]
    }
}

/// What files of the destination keep.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Keeps {
    /// Whether holes are kept and can be found (`SEEK_DATA`, lseek(2)).
    pub holes: Ability,
    /// Extended attributes of the `user` namespace.
    pub xattrs: Ability,
    /// POSIX ACLs.
    pub acls: Ability,
    /// The step of modification times, where it is known.
    pub time_step: Option<Duration>,
}

/// Calls that make copies safer or cheaper.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Conveniences {
    /// Files without a name (`O_TMPFILE`, open(2)).
    pub unnamed_files: Ability,
    /// `openat2(2)`, which confines a path to a directory.
    pub openat2: Ability,
    /// `O_DIRECT`, past the page cache.
    pub direct_io: Ability,
    /// What direct I/O asks for, where it works.
    pub direct_io_alignment: Option<DirectIo>,
    /// `io_uring(7)`. No method of today's copies uses it.
    pub io_uring: Ability,
}

/// The methods that a copy tries in turn for a file of some size.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LadderOfSize {
    /// The file's size in bytes.
    pub size: u64,
    /// The methods, in order; the last one always works.
    pub methods: Vec<Method>,
    /// Why `copy_file_range`, `sendfile` and `splice` are not among them.
    pub declined: Option<Declined>,
}
