//! Where a filesystem keeps its data.

/// Where a filesystem keeps its data, as far as it decides how many requests help it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// In memory or on a device without moving parts.
    Solid,
    /// On a rotating disk, which seeks between parallel requests.
    Rotational,
    /// Behind a network or a user-space server, where requests wait for answers.
    Remote,
    /// Not known.
    Unknown,
}

impl Storage {
    /// The one of two that decides how long a copy between them waits.
    pub(crate) fn slower(self, other: Storage) -> Storage {
        let rank = |storage| match storage {
            Storage::Solid => 0,
            Storage::Unknown => 1,
            Storage::Rotational => 2,
            Storage::Remote => 3,
        };
        if rank(other) > rank(self) { other } else { self }
    }

    /// The storage in a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Storage::Solid => "solid",
            Storage::Rotational => "rotational",
            Storage::Remote => "remote",
            Storage::Unknown => "unknown",
        }
    }
}
