//! What a comparison finds.

use std::{fmt, path::PathBuf};

use crate::{digest::Digest, entry::Kind, error::Failure};

/// What a comparison finds.
#[derive(Debug)]
#[non_exhaustive]
pub enum Finding {
    /// The two differ.
    Differs(Difference),
    /// Something could not be compared.
    Failed(Failure),
}

/// A difference between a copy and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The path, below what is compared; empty for that itself.
    pub path: PathBuf,
    /// What is different about it.
    pub what: What,
}

/// What is different.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The copy lacks it.
    Missing,
    /// The source lacks it.
    Extra,
    /// It is of another kind.
    Kind {
        /// In the source.
        source: Kind,
        /// In the copy.
        copy: Kind,
    },
    /// The files have other sizes, in bytes.
    Size {
        /// In the source.
        source: u64,
        /// In the copy.
        copy: u64,
    },
    /// The files differ from this byte on.
    Content {
        /// Bytes before it, which are the same.
        offset: u64,
    },
    /// The file is not what the manifest says.
    Digest {
        /// What it says.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// The symbolic links lead elsewhere.
    Target,
    /// The permission bits differ.
    Mode {
        /// In the source.
        source: u32,
        /// In the copy.
        copy: u32,
    },
    /// The owner or the group differs.
    Owner {
        /// User and group in the source.
        source: (u32, u32),
        /// And in the copy.
        copy: (u32, u32),
    },
    /// The modification time differs.
    Time,
    /// The extended attribute of this name differs, or only one side has it; an ACL is one as well.
    Xattr(String),
    /// The device number differs.
    Device,
    /// Names that are one file on one side are not on the other.
    Links,
}

impl What {
    /// A short name that stays the same, for programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            What::Missing => "missing",
            What::Extra => "extra",
            What::Kind { .. } => "kind",
            What::Size { .. } => "size",
            What::Content { .. } => "content",
            What::Digest { .. } => "digest",
            What::Target => "target",
            What::Mode { .. } => "mode",
            What::Owner { .. } => "owner",
            What::Time => "time",
            What::Xattr(_) => "xattr",
            What::Device => "device",
            What::Links => "links",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Missing => formatter.write_str("the copy lacks it"),
            What::Extra => formatter.write_str("only the copy has it"),
            What::Kind { source, copy } => {
                write!(formatter, "{} in the source, {} in the copy", source.described(), copy.described())
            }
            What::Size { source, copy } => {
                write!(formatter, "{source} bytes in the source, {copy} in the copy")
            }
            What::Content { offset } => write!(formatter, "other content from byte {offset} on"),
            What::Digest { expected, found } => {
                write!(formatter, "{expected} is expected, the copy has {found}")
            }
            What::Target => formatter.write_str("the links lead elsewhere"),
            What::Mode { source, copy } => {
                write!(formatter, "mode {source:04o} in the source, {copy:04o} in the copy")
            }
            What::Owner { source, copy } => {
                write!(
                    formatter,
                    "owner {}:{} in the source, {}:{} in the copy",
                    source.0, source.1, copy.0, copy.1
                )
            }
            What::Time => formatter.write_str("another modification time"),
            What::Xattr(name) => write!(formatter, "another extended attribute {name}"),
            What::Device => formatter.write_str("another device number"),
            What::Links => formatter.write_str("hard links on one side only"),
        }
    }
}
