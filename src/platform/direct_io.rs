//! What direct I/O asks for.

/// What direct I/O asks of buffers and offsets, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectIo {
    /// Alignment of buffers.
    pub memory_alignment: u32,
    /// Alignment of offsets and lengths.
    pub offset_alignment: u32,
}
