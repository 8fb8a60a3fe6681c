//! Writing a file as a frame.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
};

use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
use zstd::zstd_safe::{CCtx, CParameter, ResetDirective};

use super::Codec;
use crate::platform;

/// What a worker keeps from one frame to the next.
#[derive(Default)]
pub(crate) struct Encoders {
    zstd: Option<CCtx<'static>>,
}

impl std::fmt::Debug for Encoders {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Encoders").field("has_zstd", &self.zstd.is_some()).finish()
    }
}

/// A frame that is being written.
pub(crate) enum Encoder<'a> {
    Zstd(zstd::stream::write::Encoder<'a, Output<'a>>),
    Lz4(Box<FrameEncoder<Output<'a>>>),
}

type Output<'a> = BufWriter<Appended<'a>>;

/// A file that is written from its beginning on.
pub(crate) struct Appended<'a> {
    file: &'a File,
    at: u64,
    /// What it has to hold for the write that was tried last.
    needs: u64,
}

impl Write for Appended<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.needs = self.at + bytes.len() as u64;
        platform::write_all_at(self.file, bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> Encoder<'a> {
    /// Bytes that are written at once.
    const BUFFER: usize = 256 * 1024;

    /// Begin a frame in the empty `file`, with a checksum, and with its size where that is known; giving it
    /// another size is an error in the end then.
    pub(crate) fn new(
        codec: Codec,
        level: i32,
        size: Option<u64>,
        file: &'a File,
        encoders: &'a mut Encoders,
    ) -> io::Result<Encoder<'a>> {
        let buffer = size.map_or(Self::BUFFER, |size| size.clamp(512, Self::BUFFER as u64) as usize);
        let output = BufWriter::with_capacity(buffer, Appended { file, at: 0, needs: 0 });
        match codec {
            Codec::Zstd => {
                let context = encoders.zstd.get_or_insert_with(CCtx::create);
                // What another frame has left of itself, where that failed.
                context.reset(ResetDirective::SessionAndParameters).map_err(named)?;
                context.set_parameter(CParameter::CompressionLevel(level)).map_err(named)?;
                context.set_parameter(CParameter::ChecksumFlag(true)).map_err(named)?;
                let mut encoder = zstd::stream::write::Encoder::with_context(output, context);
                encoder.set_pledged_src_size(size)?;
                Ok(Encoder::Zstd(encoder))
            }
            Codec::Lz4 => {
                let block = match size {
                    Some(..=0x1_0000) => BlockSize::Max64KB,
                    Some(..=0x4_0000) => BlockSize::Max256KB,
                    _ => BlockSize::Max1MB,
                };
                let info = FrameInfo::new().block_size(block).content_size(size).content_checksum(true);
                Ok(Encoder::Lz4(Box::new(FrameEncoder::with_frame_info(info, output))))
            }
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Zstd(encoder) => encoder.write_all(bytes),
            Encoder::Lz4(encoder) => encoder.write_all(bytes),
        }
    }

    /// How many bytes the file needs room for, as far as it was written.
    pub(crate) fn needs(&self) -> u64 {
        match self {
            Encoder::Zstd(encoder) => encoder.get_ref().get_ref().needs,
            Encoder::Lz4(encoder) => encoder.get_ref().get_ref().needs,
        }
    }

    /// End the frame; how many bytes it has.
    pub(crate) fn finish(self) -> io::Result<u64> {
        let output = match self {
            Encoder::Zstd(encoder) => encoder.finish()?,
            Encoder::Lz4(encoder) => encoder.finish()?,
        };
        let appended = output.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(appended.at)
    }
}

fn named(code: usize) -> io::Error {
    io::Error::other(zstd::zstd_safe::get_error_name(code))
}
