//! Whether files are compressed on their way, or brought back.

/// Whether files are compressed on their way, or brought back.
///
/// That concerns regular files alone, and each is read and written by one worker through a buffer: what is
/// compressed cannot be moved by the kernel, nor share blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Copies have the bytes of their sources.
    #[default]
    None,
    /// The copy of `NAME` is a frame of Zstandard (RFC 8878) and is called `NAME.zst`.
    Zstd {
        /// How hard to try: from 1, fast, to 22, small; what is outside of that counts as the nearest. Levels
        /// from 20 on take some 800 MiB of memory a worker.
        level: i32,
    },
    /// The copy of `NAME` is a frame of LZ4 (lz4_Frame_format.md, version 1.6.4) and is called `NAME.lz4`.
    Lz4,
    /// Files that are called `NAME.zst` or `NAME.lz4` are brought back as `NAME`, and fail where they are no
    /// such frames; any other is copied as it is.
    Decompress,
}

impl Compression {
    /// The level of `zstd` where none is asked for, as that program has it.
    pub const ZSTD_LEVEL: i32 = 3;
}
