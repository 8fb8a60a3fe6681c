//! Reading what a file holds, in frames or as it is.

use std::{
    fs::File,
    io::{self, Read},
};

use lz4_flex::frame::FrameDecoder;
use zstd::stream::read::Decoder;

use super::{
    Codec,
    blocks::Blocks,
    layout::{Frame, Layout, broken},
};
use crate::platform;

/// What a file holds, from its beginning to its end.
pub(crate) enum Content<'a> {
    Plain { file: &'a File, at: u64 },
    Frames(Box<Frames<'a>>),
}

/// The content of a file's frames.
pub(crate) struct Frames<'a> {
    codec: Codec,
    layout: Layout<'a>,
    /// Where the next frame begins.
    at: u64,
    state: State<'a>,
}

enum State<'a> {
    Between(Blocks<'a>),
    Zstd(Decoder<'static, Blocks<'a>>),
    Lz4(FrameDecoder<Blocks<'a>>),
    /// It is over, or has failed.
    Ended,
}

impl<'a> Content<'a> {
    /// The content of a file, which is in frames of `codec`, if that is any.
    pub(crate) fn of(file: &'a File, codec: Option<Codec>) -> io::Result<Content<'a>> {
        let Some(codec) = codec else { return Ok(Content::Plain { file, at: 0 }) };
        Ok(Content::Frames(Box::new(Frames {
            codec,
            layout: Layout::of(file, codec)?,
            at: 0,
            state: State::Between(Blocks::new(file, Frames::ROOM)),
        })))
    }

    /// Read until the buffer is full or nothing is left.
    ///
    /// # Errors
    /// What reading gives; [`io::ErrorKind::InvalidData`] where frames are not what they should be.
    pub(crate) fn read_full(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_some(&mut buffer[filled..])? {
                0 => break,
                bytes => filled += bytes,
            }
        }
        Ok(filled)
    }

    /// Read what comes next, at least a byte unless nothing is left.
    ///
    /// # Errors
    /// As of [`read_full`](Self::read_full), which come after whatever can be read before them.
    pub(crate) fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Content::Plain { file, at } => {
                    platform::read_at(file, buffer, *at).inspect(|read| *at += *read as u64)
                }
                Content::Frames(frames) => frames.read(buffer),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Frames<'_> {
    /// Bytes of the file that are read at once.
    const ROOM: usize = 128 * 1024;
    /// Frames that want more memory than 128 MiB are refused, as `zstd -d` does; RFC 8878 (section 5)
    /// warns of them.
    const WINDOW_LOG_MAX: u32 = 27;

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &mut self.state {
                State::Ended => return Ok(0),
                State::Between(_) => {
                    if !self.begin()? {
                        return Ok(0);
                    }
                    continue;
                }
                State::Zstd(decoder) => decoder.read(buffer),
                State::Lz4(decoder) => decoder.read(buffer),
            };
            match read {
                Ok(0) => self.end()?,
                Ok(bytes) => return Ok(bytes),
                Err(error) => {
                    self.state = State::Ended;
                    // What the system itself says of the file is something else.
                    let is_format = error.raw_os_error().is_none();
                    return Err(if is_format { broken(self.codec, &error.to_string()) } else { error });
                }
            }
        }
    }

    /// Begin the next frame, if there is one.
    fn begin(&mut self) -> io::Result<bool> {
        let State::Between(mut blocks) = std::mem::replace(&mut self.state, State::Ended) else {
            return Ok(false);
        };
        while let Some(Frame { end, is_skipped, .. }) = self.layout.frame_at(self.at)? {
            let begin = std::mem::replace(&mut self.at, end);
            if is_skipped {
                continue;
            }
            blocks.seek(begin, end);
            self.state = match self.codec {
                Codec::Zstd => {
                    let mut decoder = Decoder::with_buffer(blocks)?.single_frame();
                    decoder.window_log_max(Self::WINDOW_LOG_MAX)?;
                    State::Zstd(decoder)
                }
                Codec::Lz4 => State::Lz4(FrameDecoder::new(blocks)),
            };
            return Ok(true);
        }
        Ok(false)
    }

    /// A frame is over.
    fn end(&mut self) -> io::Result<()> {
        let blocks = match std::mem::replace(&mut self.state, State::Ended) {
            State::Zstd(decoder) => decoder.finish(),
            State::Lz4(decoder) => decoder.into_inner(),
            State::Between(_) | State::Ended => return Ok(()),
        };
        if blocks.position() != self.at {
            return Err(broken(self.codec, "it ends before its end"));
        }
        self.state = State::Between(blocks);
        Ok(())
    }
}
