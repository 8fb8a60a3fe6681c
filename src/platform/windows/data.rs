//! Moving bytes between open files: reading and writing; the rest is for whole files only.

use std::{fs::File, io, os::windows::fs::FileExt};

fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buffer, offset)
}

pub(crate) fn write_all_at(file: &File, mut buffer: &[u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.seek_write(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                buffer = &buffer[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Make a file this long; what is added reads as zeros.
pub(crate) fn set_size(file: &File, size: u64) -> io::Result<()> {
    file.set_len(size)
}

/// Close a second handle of a written file; Windows tells of no error then.
pub(crate) fn close_second(file: &File) -> io::Result<()> {
    file.try_clone().map(drop)
}

/// The next range of data: all of it, as holes are not looked for.
pub(crate) fn next_data(_: &File, from: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    Ok((from < end).then_some((from, end)))
}

/// Reserve the blocks of a range that is about to be written: left to the writes.
pub(crate) fn reserve(_: &File, _: u64) -> io::Result<()> {
    unsupported()
}

/// `CopyFileExW` opens both files itself: see [`super::Dir::create_copy`].
pub(crate) fn copy_whole(_: &File, _: &File, _: u64, _: u64) -> io::Result<u64> {
    unsupported()
}

/// Linux's `FICLONE`.
pub(crate) fn clone_file(_: &File, _: &File) -> io::Result<()> {
    unsupported()
}

/// Linux's `FICLONERANGE`.
pub(crate) fn clone_range(_: &File, _: &File, _: u64, _: u64) -> io::Result<()> {
    unsupported()
}

/// Linux's `copy_file_range`.
pub(crate) fn copy_range(_: &File, _: &File, _: u64, _: u64) -> io::Result<u64> {
    unsupported()
}

/// Linux's `sendfile`.
pub(crate) fn send_range(_: &File, _: &File, _: u64, _: u64) -> io::Result<u64> {
    unsupported()
}

/// A pipe for [`splice_range`].
#[derive(Debug)]
pub(crate) struct Pipe;

impl Pipe {
    pub(crate) fn new() -> io::Result<Pipe> {
        unsupported()
    }
}

/// Linux's `splice`.
pub(crate) fn splice_range(_: &File, _: &File, _: &Pipe, _: u64, _: u64) -> io::Result<u64> {
    unsupported()
}
