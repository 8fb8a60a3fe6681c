//! What to do with entries that the destination already has.

/// What to do when the destination already has an entry of that name.
///
/// Directories are always merged. A directory is never replaced by anything else, nor anything
/// else by a directory; that is a failure of the entry, whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Existing {
    /// Leave a file alone when its size and modification time equal the source's, replace it
    /// atomically otherwise. The default.
    #[default]
    Update,
    /// Replace it atomically, always.
    Replace,
    /// Replace it atomically when the source was modified later.
    Newer,
    /// Leave it alone and count it as skipped.
    Skip,
    /// Leave it alone and report a failure.
    Fail,
}

impl Existing {
    /// Whether it is the content that decides about a file which is there, where its bytes are compared.
    pub(crate) fn goes_by_content(self) -> bool {
        self == Existing::Update
    }

    /// Whether a later run can tell by the modification time that a file was not finished.
    ///
    /// Where it cannot, a new file must not appear under its name before it is whole.
    pub(crate) fn trusts_mtime(self) -> bool {
        matches!(self, Existing::Update | Existing::Replace)
    }
}
