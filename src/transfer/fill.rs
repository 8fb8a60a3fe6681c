//! How far the content of a file has come.

/// From this size on, a file's blocks are reserved before it is written: one call against the
/// bookkeeping of every page (measured on ext4: 6 % of the time of a mixed tree).
pub(crate) const RESERVE_MIN: u64 = 1 << 20;

/// How far the content of a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FillResult {
    /// All of it is in place.
    Whole,
    /// The source ended before its size.
    Short,
    /// It is so large that its ranges become units of their own.
    InRanges,
    /// All of it is in place, in another form.
    Coded {
        /// Bytes that it has outside of frames.
        content: u64,
        /// Bytes that the copy has.
        stored: u64,
    },
}
