//! Operations that may fail.

use std::fmt;

use super::Side;

/// What was being done when a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Op {
    /// Opening an entry of the source, or a directory that was named.
    Open,
    /// Reading an entry's metadata.
    Stat,
    /// Listing a directory.
    List,
    /// Reading a file's content, or finding its holes.
    Read,
    /// Writing a file's content, or giving it its size.
    Write,
    /// Sharing a file's blocks.
    Clone,
    /// Creating a file of the copy.
    CreateFile,
    /// Creating a directory of the copy, or opening the one that is there.
    CreateDirectory,
    /// Creating a symbolic link.
    CreateSymlink,
    /// Giving a file of the copy a further name.
    CreateHardLink,
    /// Creating a FIFO, socket or device node.
    CreateSpecial,
    /// Reading where a symbolic link points.
    ReadSymlink,
    /// Reading the source's extended attributes and ACLs.
    ReadXattrs,
    /// Setting extended attributes, or removing those that the source lacks.
    SetXattrs,
    /// Setting an ACL, or removing an inherited one.
    SetAcl,
    /// Setting owner and group.
    SetOwner,
    /// Setting the mode.
    SetMode,
    /// Setting access and modification time.
    SetTimes,
    /// Closing a written file, where some network filesystems first tell of errors.
    Close,
    /// Giving a finished entry its name.
    Rename,
    /// Removing what is not to stay.
    Remove,
    /// Putting an entry in the place of what is there already.
    Replace,
    /// Reading back what was copied, and comparing it with what was to be.
    Verify,
    /// Making what was written durable.
    Sync,
    /// Copying an entry as a whole: what the kernel does in one call, and what Orbit itself refuses.
    Copy,
    /// Trying what two places can do.
    Probe,
}

impl Op {
    /// The operation as a verb phrase, as in "cannot open PATH".
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Op::Open => "open",
            Op::Stat => "stat",
            Op::List => "list",
            Op::Read => "read",
            Op::Write => "write",
            Op::Clone => "clone",
            Op::CreateFile => "create file",
            Op::CreateDirectory => "create directory",
            Op::CreateSymlink => "create symlink",
            Op::CreateHardLink => "create hard link",
            Op::CreateSpecial => "create special file",
            Op::ReadSymlink => "read symlink",
            Op::ReadXattrs => "read extended attributes of",
            Op::SetXattrs => "set extended attributes of",
            Op::SetAcl => "set ACL of",
            Op::SetOwner => "set owner of",
            Op::SetMode => "set mode of",
            Op::SetTimes => "set times of",
            Op::Close => "finish writing",
            Op::Rename => "rename",
            Op::Remove => "remove",
            Op::Replace => "replace",
            Op::Verify => "verify",
            Op::Sync => "make durable",
            Op::Copy => "copy",
            Op::Probe => "probe",
        }
    }

    /// The side on which this is usually done.
    pub(super) fn usual_side(self) -> Side {
        match self {
            Op::Open | Op::Stat | Op::List | Op::Read | Op::ReadSymlink | Op::ReadXattrs | Op::Copy => {
                Side::Source
            }
            _ => Side::Copy,
        }
    }

    pub(super) fn sets_attributes(self) -> bool {
        matches!(self, Op::SetXattrs | Op::SetAcl | Op::SetOwner | Op::SetMode | Op::SetTimes)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())
    }
}
