//! What a crash leaves of the order in which a filesystem was changed.

/// Whether a filesystem keeps the order of its own changes on its device, as journals do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// What was changed first is there where anything that was changed later is.
    Kept,
    /// What was changed reaches the device block by block, in any order.
    Lost,
    /// Not known.
    Unknown,
}
