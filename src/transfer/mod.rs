//! Moving the bytes of one file: reflink, kernel copies, buffered reads and writes.

mod buffered;
mod clone;
mod direct;
mod fill;
mod holes;
mod pace;

use std::{fs::File, io};

pub(crate) use buffered::{Zeros, copy_unsized, read_full, write_chunk};
pub(crate) use clone::try_reflink;
pub(crate) use direct::{Transfer, copy_direct};
pub(crate) use fill::{FillResult, RESERVE_MIN};
pub(crate) use holes::{ASK_MIN, CommonHoles, data_within, is_sparse, next_data_of};

use crate::{method::Method, platform};

/// How an attempt to let the kernel move bytes ended.
#[derive(Debug)]
pub(crate) enum ZeroCopyResult {
    /// Everything asked for is in place; this many bytes.
    Success(u64),
    /// This way does not work here; what it did is accounted for, and another can go on from there.
    Unsupported,
    /// A real error, which another way would meet as well.
    Failed(io::Error),
}

/// Whoever waits for the bytes: told how far a copy has come, and able to stop it.
pub(crate) trait Watch {
    /// Whether to stop before the next call.
    fn is_cancelled(&self) -> bool;
    /// How many of `bytes` the next call may move; waits until it may.
    fn allow(&mut self, bytes: u64) -> u64;
    /// `bytes` more are in place.
    fn advanced(&mut self, method: Method, bytes: u64);
    /// `bytes` more are a hole, in the copy as well.
    fn passed_over(&mut self, bytes: u64);
    /// These bytes of the source, which lie at `at`, were read on their way to the copy.
    fn saw(&mut self, at: u64, bytes: &[u8]);
}

/// Buffers that a worker keeps from one file to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    buffer: Vec<u8>,
    pub(crate) pipe: Option<platform::Pipe>,
}

impl Scratch {
    /// Bytes moved by one read and one write.
    ///
    /// Measured: larger buffers fall out of the processor's cache; 4 MiB is five times slower.
    const BUFFER: usize = 256 * 1024;
    /// No device wants more than that.
    const BLOCK: usize = 4096;

    /// The buffer, made first where a worker has none yet: most files need none.
    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut [u8] {
        if self.buffer.is_empty() {
            self.buffer.resize(Self::BUFFER, 0);
        }
        &mut self.buffer
    }

    /// The part of the buffer that begins at the boundary of a block and consists of whole blocks, as
    /// direct I/O wants it (open(2)).
    pub(crate) fn aligned(&mut self) -> &mut [u8] {
        let buffer = self.buffer();
        let address = buffer.as_ptr().addr();
        let skew = address.next_multiple_of(Self::BLOCK) - address;
        &mut buffer[skew..skew + Self::BUFFER - Self::BLOCK]
    }
}

/// The error of a copy that was told to stop.
pub(crate) fn cancelled() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "cancelled")
}

/// The two open files of one copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files<'a> {
    pub(crate) source: &'a File,
    pub(crate) destination: &'a File,
}
