//! How a copy is checked against its source.

use crate::digest::DigestKind;

/// How the content of each copied file is checked before it counts as finished.
///
/// A new file is checked before it gets its source's time, which is the mark of a finished one; a file
/// that replaces another before it takes its name. One that is not as it should be is removed, the file
/// that it was to replace stays, and the entry fails (see [`Failure::is_mismatch`](crate::Failure)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verify {
    /// Not at all.
    Never,
    /// What was put in place must add up to the source's size, as the calls tell and, of files from
    /// 1 MiB on, the filesystem. The default, which costs nothing.
    #[default]
    Size,
    /// By SHA-256 of the source and of the copy, which is read back.
    Sha256,
    /// By BLAKE3 of the source and of the copy, which is read back.
    Blake3,
    /// By SHA-256, the copy being read from its device: it is made durable first (`fdatasync(2)`), its
    /// pages are dropped (`posix_fadvise(2)`), and it is read past the page cache (`O_DIRECT`, open(2)).
    Media,
}

impl Verify {
    /// The digest that both sides are compared by, if any.
    #[must_use]
    pub fn digest(self) -> Option<DigestKind> {
        match self {
            Verify::Never | Verify::Size => None,
            Verify::Sha256 | Verify::Media => Some(DigestKind::Sha256),
            Verify::Blake3 => Some(DigestKind::Blake3),
        }
    }
}
