//! How much memory files may take.

/// How much memory files may take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is known of it there"))]
pub(crate) struct Memory {
    /// What could be had without pushing anything to a swap.
    pub(crate) available: u64,
    /// How much may be written before the system begins to write it to devices.
    pub(crate) background: u64,
    /// How much may be written before writers have to wait for that.
    pub(crate) limit: u64,
}
