//! Whether something works, and if not, why.

use std::io;

/// Whether something works, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ability {
    /// It was tried and works.
    Yes,
    /// It was tried and does not work, for this reason.
    No(String),
    /// It could not be tried, for this reason.
    Unknown(String),
}

impl Ability {
    /// Whether it was tried and works.
    #[must_use]
    pub fn is_yes(&self) -> bool {
        *self == Ability::Yes
    }

    /// Why it does not work, or could not be tried.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Ability::Yes => None,
            Ability::No(reason) | Ability::Unknown(reason) => Some(reason),
        }
    }

    /// What the outcome of trying says.
    pub(crate) fn of<T>(outcome: &io::Result<T>) -> Ability {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull, Unsupported};
        match outcome {
            Ok(_) => Ability::Yes,
            // Nothing was learned but that this is a bad time or place for trying.
            Err(error) if matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem) => {
                Ability::Unknown(error.to_string())
            }
            Err(error) if error.kind() == Unsupported && error.raw_os_error().is_none() => {
                Ability::Unknown(error.to_string()) // no system was asked
            }
            Err(error) => Ability::No(error.to_string()),
        }
    }
}
