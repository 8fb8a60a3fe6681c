//! Where the data of a sparse file lies.

use std::{fs::File, io};

use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};

use super::retried;

/// The next range of data at or after `from`, and before `end`; `None` when only a hole is left.
///
/// A filesystem that cannot tell answers with the whole range.
pub(crate) fn next_data(file: &File, from: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    if from >= end {
        return Ok(None);
    }
    let start = match retried(|| seek(file, SeekFrom::Data(from))) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::NOTSUP) => return Ok(Some((from, end))),
        Err(errno) => return Err(errno.into()),
    };
    if start >= end {
        return Ok(None);
    }
    let stop = match retried(|| seek(file, SeekFrom::Hole(start))) {
        Ok(stop) => stop.min(end),
        Err(Errno::NXIO) => start, // the file shrank behind `start` meanwhile
        Err(errno) => return Err(errno.into()),
    };
    Ok((stop > start).then_some((start, stop)))
}
