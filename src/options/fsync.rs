//! What of a copy has to be on its device, and when.

/// What of a copy has to be on its device, and when.
///
/// A kernel writes what it was given within some 30 seconds (`dirty_expire_centisecs`,
/// Documentation/admin-guide/sysctl/vm.rst). What a power cut takes before that is no danger as long as a
/// later run sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// Nothing is waited for. A power cut may leave neither the old file nor the new one of those that were
    /// replaced.
    None,
    /// New files are not waited for. Files that replace others are made durable in groups before they take
    /// their names, so that each is whole, the old one or the new one, whenever the power goes. A later run
    /// finds what a cut has taken from new ones.
    #[default]
    Auto,
    /// Each file is durable, with its name and all its attributes, before it counts as done.
    File,
    /// As `Auto`, and in the end everything is durable before the run ends.
    End,
}

impl Fsync {
    /// Whether a later run must be able to tell what a power cut has taken.
    pub(crate) fn outlives_cuts(self) -> bool {
        matches!(self, Fsync::Auto | Fsync::End)
    }
}
