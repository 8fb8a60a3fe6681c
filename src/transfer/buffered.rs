//! Reading into a buffer and writing it: the way that always works.

use std::{
    fs::File,
    io::{self, Read},
};

use super::{Files, Watch, cancelled};
use crate::{
    error::{During, Fault, Op},
    method::Method,
    platform,
};

/// What to do with blocks of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zeros {
    /// Write them like any other bytes.
    Write,
    /// Leave them out; the file already has its size, and they become holes.
    LeaveOut,
}

/// Blocks of zeros of this many bytes become holes with [`Zeros::LeaveOut`].
const HOLE: usize = 4096;

/// Copy the bytes from `at` to `end`; `at` stays below `end` where the source ends before.
pub(crate) fn copy_buffered(
    files: Files<'_>,
    at: &mut u64,
    end: u64,
    zeros: Zeros,
    buffer: &mut [u8],
    watch: &mut impl Watch,
) -> Result<(), Fault> {
    while *at < end {
        let want = watch.allow((end - *at).min(buffer.len() as u64)) as usize;
        if watch.is_cancelled() {
            return Err(Fault::new(Op::Copy, cancelled()));
        }
        let chunk = match platform::read_at(files.source, &mut buffer[..want], *at) {
            Ok(0) => break,
            Ok(bytes) => &buffer[..bytes],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Fault::new(Op::Read, error)),
        };
        let length = chunk.len() as u64;
        watch.saw(*at, chunk);
        let written = write_chunk(files.destination, chunk, *at, zeros).during(Op::Write)?;
        *at += length;
        watch.advanced(Method::Buffered, written);
        watch.passed_over(length - written);
    }
    Ok(())
}

/// Read until the buffer is full or the file ends.
pub(crate) fn read_full(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match platform::read_at(file, &mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Write a chunk; how much of it was not left out.
pub(crate) fn write_chunk(destination: &File, chunk: &[u8], at: u64, zeros: Zeros) -> io::Result<u64> {
    match zeros {
        Zeros::Write => platform::write_all_at(destination, chunk, at).map(|()| chunk.len() as u64),
        Zeros::LeaveOut => {
            let blocks = chunk.chunks(HOLE);
            let mut written = 0;
            for (index, block) in blocks.enumerate().filter(|(_, block)| block.iter().any(|byte| *byte != 0))
            {
                platform::write_all_at(destination, block, at + (index * HOLE) as u64)?;
                written += block.len() as u64;
            }
            Ok(written)
        }
    }
}

/// Copy a source that says it is empty, as files of procfs do, until it really ends.
///
/// Where it turns out to have a size after all, because it grows, that size is the end.
pub(crate) fn copy_unsized(
    files: Files<'_>,
    buffer: &mut [u8],
    watch: &mut impl Watch,
) -> Result<u64, Fault> {
    let mut at = 0;
    let mut end = u64::MAX;
    while at < end {
        let want = watch.allow(buffer.len() as u64) as usize;
        if watch.is_cancelled() {
            return Err(Fault::new(Op::Copy, cancelled()));
        }
        let mut source = files.source;
        let bytes = match source.read(&mut buffer[..want]) {
            Ok(0) => break,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Fault::new(Op::Read, error)),
        };
        if at == 0 {
            let size = platform::meta(files.source).during(Op::Stat)?.size;
            end = if size == 0 { u64::MAX } else { size };
        }
        watch.saw(at, &buffer[..bytes]);
        platform::write_all_at(files.destination, &buffer[..bytes], at).during(Op::Write)?;
        at += bytes as u64;
        watch.advanced(Method::Buffered, bytes as u64);
    }
    Ok(at)
}
