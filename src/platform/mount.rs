//! A mount.

/// A mount.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    /// What its filesystem calls itself, as in mount(8).
    pub(crate) filesystem: String,
    /// Whether it shows all of that, from its root on.
    pub(crate) is_whole: bool,
    /// Whether it may keep files in fewer blocks than they are long, other than for their holes.
    pub(crate) compresses: bool,
}
