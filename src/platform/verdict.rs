//! What an error says of what to do next.

/// What a failed call means for what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A signal came; call again.
    Again,
    /// Every other method would fail too.
    Fatal,
    /// These filesystems cannot do it; remember that.
    NeverHere,
    /// This file cannot be copied so; another may.
    NotThisFile,
}
