//! What room there is.

/// What room a filesystem has left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Bytes that this process may still use, where the filesystem tells.
    pub(crate) bytes: Option<u64>,
    /// Bytes that are in use.
    pub(crate) used: u64,
    /// The unit in which it counts them.
    pub(crate) block: u64,
    /// Inodes that it may still use, where the filesystem has a fixed number of them.
    pub(crate) inodes: Option<u64>,
    pub(crate) is_read_only: Option<bool>,
}
