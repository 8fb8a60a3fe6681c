//! What room there is.

/// What room a filesystem has left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Bytes that anybody may still use, where the filesystem tells.
    pub(crate) bytes: Option<u64>,
    /// Bytes beyond them that only the privileged may use.
    pub(crate) reserved: u64,
    /// Bytes that are in use.
    pub(crate) used: u64,
    /// The unit in which it counts them.
    pub(crate) block: u64,
    /// Inodes that it may still use, where the filesystem has a fixed number of them.
    pub(crate) inodes: Option<u64>,
    pub(crate) is_read_only: Option<bool>,
}

impl Room {
    /// The most bytes that a process may still use that is privileged or not, where the filesystem tells.
    pub(crate) fn free(&self, uses_reserve: bool) -> Option<u64> {
        self.bytes.map(|bytes| bytes.saturating_add(if uses_reserve { self.reserved } else { 0 }))
    }
}
