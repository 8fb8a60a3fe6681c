//! Where frames begin and end, and how much is in them, told from their headers alone.
//!
//! RFC 8878, section 3.1 (Zstandard); lz4_Frame_format.md 1.6.4 (LZ4). What the frames hold is checked when
//! it comes out of them.

use std::{
    fs::File,
    io::{self, Read},
};

use super::{Codec, blocks::Blocks};
use crate::platform;

const ZSTD_MAGIC: u32 = 0xfd2f_b528;
const LZ4_MAGIC: u32 = 0x184d_2204;
/// Sixteen of them, for both formats: what such a frame holds is not for us.
const SKIPPED_MAGIC: u32 = 0x184d_2a50;

/// The most that a block of Zstandard holds, in bytes (RFC 8878, section 3.1.1.2.4).
const ZSTD_BLOCK_MAX: u64 = 128 * 1024;

/// One frame of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where the next one begins.
    pub(super) end: u64,
    /// Bytes of what it holds, where that is written down.
    pub(super) content: Option<u64>,
    /// Whether what it holds belongs to somebody else.
    pub(super) is_skipped: bool,
}

/// Reads headers of a file that has `size` bytes.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    codec: Codec,
    blocks: Blocks<'a>,
    size: u64,
}

/// How many bytes of content a file of frames has, where all of them say so.
///
/// # Errors
/// What reading gives; [`io::ErrorKind::InvalidData`] where these are no such frames, or not whole.
pub(crate) fn content_size(file: &File, codec: Codec) -> io::Result<Option<u64>> {
    let mut layout = Layout::of(file, codec)?;
    let mut sum = Some(0_u64);
    let mut at = 0;
    while let Some(frame) = layout.frame_at(at)? {
        sum = sum.zip(frame.content).and_then(|(sum, content)| sum.checked_add(content));
        at = frame.end;
    }
    Ok(sum)
}

impl<'a> Layout<'a> {
    pub(super) fn of(file: &'a File, codec: Codec) -> io::Result<Layout<'a>> {
        let size = platform::meta(file)?.size;
        if size == 0 {
            return Err(broken(codec, "it is empty"));
        }
        Ok(Layout { codec, blocks: Blocks::new(file, 4096), size })
    }

    /// The frame that begins at `at`, if the file goes on there.
    pub(super) fn frame_at(&mut self, at: u64) -> io::Result<Option<Frame>> {
        if at >= self.size {
            return Ok(None);
        }
        self.blocks.seek(at, self.size);
        let magic = self.u32()?;
        let frame = match (self.codec, magic) {
            (_, SKIPPED_MAGIC..=0x184d_2a5f) => {
                let length = self.u32()?;
                self.pass(length.into())?;
                Frame { end: self.blocks.position(), content: Some(0), is_skipped: true }
            }
            (Codec::Zstd, ZSTD_MAGIC) => self.zstd()?,
            (Codec::Lz4, LZ4_MAGIC) => self.lz4()?,
            _ if at > 0 => return Err(broken(self.codec, "something else follows a frame")),
            _ => return Err(broken(self.codec, "it does not begin as one")),
        };
        Ok(Some(frame))
    }

    fn zstd(&mut self) -> io::Result<Frame> {
        let [descriptor] = self.bytes::<1>()?;
        let is_single_segment = descriptor & 0x20 != 0;
        let has_checksum = descriptor & 0x04 != 0;
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 0x03)];
        self.pass(if is_single_segment { dictionary } else { dictionary + 1 })?;
        let content = match descriptor >> 6 {
            0 if is_single_segment => Some(u64::from(self.bytes::<1>()?[0])),
            0 => None,
            1 => Some(u64::from(u16::from_le_bytes(self.bytes()?)) + 256),
            2 => Some(u64::from(self.u32()?)),
            _ => Some(u64::from_le_bytes(self.bytes()?)),
        };
        let mut most = 0;
        loop {
            most += ZSTD_BLOCK_MAX;
            let [low, middle, high] = self.bytes::<3>()?;
            let header = u32::from_le_bytes([low, middle, high, 0]);
            let size = u64::from(header >> 3);
            match header >> 1 & 3 {
                1 => self.pass(1)?, // one byte, again and again
                3 => return Err(broken(self.codec, "it has a block of no known type")),
                _ => self.pass(size)?,
            }
            if header & 1 != 0 {
                break;
            }
        }
        self.pass(if has_checksum { 4 } else { 0 })?;
        self.refuse_more_than(most, content)?;
        Ok(Frame { end: self.blocks.position(), content, is_skipped: false })
    }

    fn lz4(&mut self) -> io::Result<Frame> {
        let [flags, sizes] = self.bytes::<2>()?;
        // From 64 KiB to 4 MiB; what is less is no size, and counts as the least.
        let block_max = 1_u64 << (8 + 2 * u32::from((sizes >> 4 & 7).max(4)));
        let mut most = 0;
        let has = |bit: u8| flags & bit != 0;
        let content = if has(0x08) { Some(u64::from_le_bytes(self.bytes()?)) } else { None };
        self.pass(if has(0x01) { 4 + 1 } else { 1 })?;
        loop {
            let size = self.u32()? & 0x7fff_ffff;
            if size == 0 {
                break;
            }
            self.pass(u64::from(size) + if has(0x10) { 4 } else { 0 })?;
            most += block_max;
        }
        self.pass(if has(0x04) { 4 } else { 0 })?;
        self.refuse_more_than(most, content)?;
        Ok(Frame { end: self.blocks.position(), content, is_skipped: false })
    }

    /// Refuse a frame that says to hold more than its blocks can: nobody should make room for that.
    fn refuse_more_than(&self, most: u64, content: Option<u64>) -> io::Result<()> {
        match content {
            Some(content) if content > most => Err(broken(self.codec, "its blocks cannot hold what it says")),
            _ => Ok(()),
        }
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        match self.blocks.read_exact(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.cut_off()),
            read => read.map(|()| bytes),
        }
    }

    fn pass(&mut self, bytes: u64) -> io::Result<()> {
        let next = self.blocks.position() + bytes;
        if next > self.size {
            return Err(self.cut_off());
        }
        self.blocks.seek(next, self.size);
        Ok(())
    }

    fn cut_off(&self) -> io::Error {
        broken(self.codec, "it ends in the middle")
    }
}

/// The error of a file that is no frame of its format.
pub(super) fn broken(codec: Codec, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("this is no whole frame of {}: {why}", codec.name()))
}
