//! Compressed files: standard frames, one after the other, and how their copies are called.

mod blocks;
mod content;
mod encoder;
mod layout;
mod naming;

pub(crate) use content::Content;
pub(crate) use encoder::{Encoder, Encoders};
pub(crate) use layout::content_size;
pub(crate) use naming::Coding;

/// The formats of compressed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Zstd,
    Lz4,
}

impl Codec {
    const ALL: [Codec; 2] = [Codec::Zstd, Codec::Lz4];

    /// What the names of such files end in.
    fn suffix(self) -> &'static str {
        match self {
            Codec::Zstd => ".zst",
            Codec::Lz4 => ".lz4",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Codec::Zstd => "zstd",
            Codec::Lz4 => "LZ4",
        }
    }
}
