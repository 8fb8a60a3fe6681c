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

/// Read a file of any bytes as both formats; what headers say of a whole one is what comes out of it.
#[cfg(fuzzing)]
pub fn fuzz(file: &std::fs::File) {
    for codec in Codec::ALL {
        let size = content_size(file, codec);
        let Ok(mut content) = Content::of(file, Some(codec)) else { continue };
        let mut buffer = vec![0; 1 << 16];
        let mut sum = 0;
        // A few bytes may stand for very many.
        while sum < 1 << 24 {
            match content.read_full(&mut buffer) {
                Err(_) => break,
                Ok(0) => {
                    let size = size.expect("what is read to its end is whole");
                    assert!(size.is_none_or(|size| size == sum), "{size:?} bytes, and {sum} were read");
                    break;
                }
                Ok(read) => sum += read as u64,
            }
        }
    }
}
