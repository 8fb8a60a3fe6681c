//! What Orbit itself refuses: its own judgement, and no call that failed.

/// Why Orbit refused an entry, where no call failed: the cause of a [`Failure`](crate::Failure), as
/// [`Failure::refusal`](crate::Failure::refusal) gives it.
///
/// As text it is what is said to people; a program matches on the variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Source and destination are one file.
    #[error("source and destination are the same file")]
    SameFile,
    /// Source and destination are one directory.
    #[error("source and destination are the same directory")]
    SameDirectory,
    /// The copy of a directory would lie in the directory.
    #[error("{0}")]
    IntoItself(String),
    /// A link that is followed leads to a directory that it lies in.
    #[error("it leads back to a directory that it lies in")]
    Loop,
    /// The copy has it already, and [`Existing::Fail`](crate::Existing::Fail) was asked for.
    #[error("it already exists")]
    Exists,
    /// An entry of another type is in its place.
    #[error("{0}")]
    InTheWay(String),
    /// Another entry of the same run has its name.
    #[error("another entry of this run was copied to that name")]
    Collision,
    /// The destination holds its name and that of another entry of the source for equal.
    #[error("{0}")]
    EqualNames(String),
    /// It was replaced by somebody else while it was worked on.
    #[error("it was replaced meanwhile")]
    Replaced,
    /// Blocks were to be shared in any case, and these filesystems cannot share them.
    #[error("these filesystems cannot share the file's blocks")]
    CannotShare,
    /// The source is empty, so that a mirror would delete all of its copy.
    #[error("the source is empty, so nothing of the copy is deleted (--force-empty does it all the same)")]
    EmptySource,
    /// More would be deleted than the limit allows.
    #[error("{0}")]
    TooManyDeletions(String),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl From<&str> for Refusal {
    fn from(why: &str) -> Refusal {
        Refusal::Other(why.to_owned())
    }
}

impl From<String> for Refusal {
    fn from(why: String) -> Refusal {
        Refusal::Other(why)
    }
}
