//! Files that are compressed on their way, or brought back.

use std::fs::File;

use super::{FileInProgress, Filler};
use crate::{
    entry::Meta,
    error::{During, Fault, Op},
    frames::{Codec, Coding, Content, Encoder, content_size},
    method::Method,
    platform,
    transfer::{Files, FillResult, RESERVE_MIN, Watch, Zeros, cancelled, read_full, write_chunk},
    tree::DirNode,
};

impl Filler<'_> {
    /// Put the content in place in its other form.
    pub(crate) fn fill_coded(
        &mut self,
        node: &DirNode,
        filling: &FileInProgress,
        coding: Coding,
    ) -> Result<FillResult, Fault> {
        let files = Files { source: &filling.source, destination: &filling.staged.file };
        self.teller.take_moved();
        self.begin_passing();
        match coding {
            Coding::Encode(codec, level) => self.encode(files, &filling.meta, codec, level),
            Coding::Decode(codec) => self.decode(files, node, &filling.meta, codec),
        }
    }

    fn encode(
        &mut self,
        files: Files<'_>,
        meta: &Meta,
        codec: Codec,
        level: i32,
    ) -> Result<FillResult, Fault> {
        let Filler { space, teller, scratch, encoders, .. } = self;
        let mut encoders = Some(&mut **encoders);
        let mut encoder = None;
        // Files of procfs say that they are empty, and end where they end.
        let mut end = if meta.size == 0 { u64::MAX } else { meta.size };
        let mut at = 0;
        while at < end {
            let most = (scratch.buffer().len() as u64).min(end - at);
            let want = teller.allow(most) as usize;
            if teller.is_cancelled() {
                return Err(Fault::new(Op::Copy, cancelled()));
            }
            let read = read_full(files.source, &mut scratch.buffer()[..want], at).during(Op::Read)?;
            let has_ended = read < want;
            if let Some(encoders) = encoders.take() {
                if meta.size == 0 && !has_ended {
                    let size = platform::meta(files.source).during(Op::Stat)?.size;
                    end = if size == 0 { u64::MAX } else { size };
                }
                // What is all in the buffer is known to be that, whatever size the file says it has.
                let size =
                    if has_ended { Some(read as u64) } else { Some(end).filter(|end| *end < u64::MAX) };
                let begun = Encoder::new(codec, level, size, files.destination, encoders);
                encoder = Some(begun.during(Op::Write)?);
            } else if has_ended && end < u64::MAX {
                let why = "it became shorter while it was compressed; the next run copies what it is then";
                return Err(Fault::changed(Op::Read, why));
            }
            let chunk = &scratch.buffer()[..read];
            let encoder = encoder.as_mut().expect("it was begun above");
            if let Err(error) = encoder.write(chunk) {
                space.lacks(encoder.needs());
                return Err(Fault::new(Op::Write, error));
            }
            teller.saw(at, chunk);
            at += read as u64;
            teller.advanced(Method::Buffered, read as u64);
            if has_ended {
                break;
            }
        }
        let stored = encoder.expect("even an empty file is read once").finish().during(Op::Write)?;
        teller.outcomes.totals.bytes_in_frames += stored;
        Ok(FillResult::Coded { content: at, stored })
    }

    fn decode(
        &mut self,
        files: Files<'_>,
        node: &DirNode,
        meta: &Meta,
        codec: Codec,
    ) -> Result<FillResult, Fault> {
        let content = content_size(files.source, codec).during(Op::Read)?;
        let zeros = self.setting.zeros();
        if let Some(content) = content.filter(|content| *content >= RESERVE_MIN && zeros == Zeros::Write) {
            self.space.reserve(&node.pair, files.destination, content)?;
        }
        // What it holds is what is copied.
        let found = &mut self.teller.outcomes.totals.bytes_found;
        *found = found.saturating_sub(meta.size).saturating_add(content.unwrap_or(0));
        let mut source = Content::of(files.source, Some(codec)).during(Op::Read)?;
        let mut at = 0;
        let Filler { teller, scratch, .. } = self;
        loop {
            let want = teller.allow(scratch.buffer().len() as u64) as usize;
            if teller.is_cancelled() {
                return Err(Fault::new(Op::Copy, cancelled()));
            }
            let read = source.read_full(&mut scratch.buffer()[..want]).during(Op::Read)?;
            if read == 0 {
                break;
            }
            let chunk = &scratch.buffer()[..read];
            teller.saw(at, chunk);
            let written = write_chunk(files.destination, chunk, at, zeros).during(Op::Write)?;
            at += read as u64;
            if content.is_none() {
                teller.outcomes.totals.bytes_found += read as u64;
            }
            teller.advanced(Method::Buffered, written);
            teller.passed_over(read as u64 - written);
        }
        if zeros == Zeros::LeaveOut {
            platform::set_size(files.destination, at).during(Op::Write)?;
        }
        self.teller.outcomes.totals.bytes_in_frames += meta.size;
        Ok(FillResult::Coded { content: at, stored: at })
    }
}

/// How many bytes a file of the source holds, as far as that can be told without reading it.
pub(crate) fn bytes_held(source: &File, meta: &Meta, coding: Option<Coding>) -> u64 {
    let codec = coding.and_then(Coding::source_codec);
    codec.and_then(|codec| content_size(source, codec).ok().flatten()).unwrap_or(meta.size)
}
