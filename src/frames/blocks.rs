//! Reading a part of a file by whole blocks, as direct I/O wants it (open(2)).

use std::{
    fs::File,
    io::{self, BufRead, Read},
};

use crate::platform;

/// No device wants larger blocks.
const BLOCK: usize = 4096;

/// A part of a file that is read through a buffer.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    file: &'a File,
    buffer: Vec<u8>,
    /// Where the aligned part of the buffer begins, and how much of it there is.
    skew: usize,
    room: usize,
    /// What the buffer holds of the file.
    from: u64,
    to: u64,
    /// The next byte, and where the part ends.
    next: u64,
    end: u64,
}

impl<'a> Blocks<'a> {
    /// All of a file, by `room` bytes at once, a multiple of 4096.
    pub(super) fn new(file: &'a File, room: usize) -> Blocks<'a> {
        let buffer = vec![0; room + BLOCK];
        let address = buffer.as_ptr().addr();
        let skew = address.next_multiple_of(BLOCK) - address;
        Blocks { file, buffer, skew, room, from: 0, to: 0, next: 0, end: u64::MAX }
    }

    /// Go to a part of the file.
    pub(super) fn seek(&mut self, next: u64, end: u64) {
        (self.next, self.end) = (next, end);
    }

    /// Where the next byte lies.
    pub(super) fn position(&self) -> u64 {
        self.next
    }
}

impl BufRead for Blocks<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.next < self.end && !(self.from..self.to).contains(&self.next) {
            let base = self.next / BLOCK as u64 * BLOCK as u64;
            let buffer = &mut self.buffer[self.skew..self.skew + self.room];
            let read = loop {
                match platform::read_at(self.file, buffer, base) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
            (self.from, self.to) = (base, base + read as u64);
        }
        let until = self.to.min(self.end);
        if self.next < self.from || self.next >= until {
            return Ok(&[]);
        }
        let [next, until] = [self.next, until].map(|at| self.skew + (at - self.from) as usize);
        Ok(&self.buffer[next..until])
    }

    fn consume(&mut self, bytes: usize) {
        self.next += bytes as u64;
    }
}

impl Read for Blocks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.fill_buf()?;
        let bytes = there.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&there[..bytes]);
        self.consume(bytes);
        Ok(bytes)
    }
}
