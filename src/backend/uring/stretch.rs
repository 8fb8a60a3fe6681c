//! A range of a file that a ring copies.

use std::{
    cell::{Cell, RefCell},
    fs::File as StdFile,
    io::{self, ErrorKind},
    ops::Range,
    sync::Arc,
};

use tokio_uring::{
    BufResult,
    buf::{BoundedBuf, fixed::FixedBuf},
    fs::File,
};

use super::{
    buffers::{CHUNK, aligned},
    progress::Progress,
};
use crate::backend::{BLOCK, Ringed};

/// A range that a worker wants copied, and waits for.
pub(super) struct Request {
    pub(super) source: StdFile,
    pub(super) destination: StdFile,
    pub(super) range: Range<u64>,
    /// Asked before each chunk.
    pub(super) is_cancelled: Box<dyn Fn() -> bool + Send>,
    pub(super) progress: Arc<Progress>,
}

/// A request that is being served; who lets go of it last tells the worker.
pub(super) struct Stretch {
    source: File,
    destination: File,
    is_cancelled: Box<dyn Fn() -> bool + Send>,
    progress: Arc<Progress>,
    end: u64,
    /// Where the next chunk begins.
    next: Cell<u64>,
    /// Everything below is in place.
    low: Cell<u64>,
    /// Chunks that are in place before others below them are.
    ahead: RefCell<Vec<Range<u64>>>,
    is_broken: Cell<bool>,
    refusal: Cell<Option<i32>>,
}

impl Stretch {
    pub(super) fn of(request: Request) -> Stretch {
        let Request { source, destination, range, is_cancelled, progress } = request;
        Stretch {
            source: File::from_std(source),
            destination: File::from_std(destination),
            is_cancelled,
            progress,
            end: range.end,
            next: Cell::new(range.start),
            low: Cell::new(range.start),
            ahead: RefCell::default(),
            is_broken: Cell::new(false),
            refusal: Cell::new(None),
        }
    }

    /// The next chunk to copy.
    pub(super) fn take(&self) -> Option<Range<u64>> {
        let start = self.next.get();
        let must_stop = self.progress.must_stop() || (self.is_cancelled)();
        if start >= self.end || self.is_broken.get() || must_stop {
            return None;
        }
        let end = self.end.min(start + CHUNK as u64);
        self.next.set(end);
        Some(start..end)
    }

    /// Copy one chunk by way of a buffer, which comes back.
    pub(super) async fn copy(&self, chunk: Range<u64>, buffer: FixedBuf) -> FixedBuf {
        let bytes = (chunk.end - chunk.start) as usize;
        let (read, buffer) = self.read(chunk.start, bytes, buffer).await;
        let (copied, buffer) = match read {
            Ok(()) => self.write(chunk.start, bytes, buffer).await,
            failed => (failed, buffer),
        };
        match copied {
            Ok(()) => self.advance(chunk),
            Err(error) => self.broke(chunk.start, &error),
        }
        buffer
    }

    async fn read(&self, at: u64, bytes: usize, mut buffer: FixedBuf) -> BufResult<(), FixedBuf> {
        let mut done = 0;
        while done < bytes {
            let rest = aligned(buffer, bytes).slice(done..);
            let (read, rest) = self.source.read_fixed_at(rest, at + done as u64).await;
            buffer = rest.into_inner();
            match whole_blocks(read) {
                Ok(more) => done += more,
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(()), buffer)
    }

    async fn write(&self, at: u64, bytes: usize, mut buffer: FixedBuf) -> BufResult<(), FixedBuf> {
        let mut done = 0;
        while done < bytes {
            let rest = aligned(buffer, bytes).slice(done..);
            let (written, rest) = self.destination.write_fixed_at(rest, at + done as u64).await;
            buffer = rest.into_inner();
            match whole_blocks(written) {
                Ok(more) => done += more,
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(()), buffer)
    }

    /// A chunk is in place: what is so without a gap is told, and never copied again.
    fn advance(&self, chunk: Range<u64>) {
        let mut ahead = self.ahead.borrow_mut();
        ahead.push(chunk);
        let before = self.low.get();
        while let Some(next) = ahead.iter().position(|chunk| chunk.start == self.low.get()) {
            self.low.set(ahead.swap_remove(next).end);
        }
        self.progress.advanced(self.low.get() - before);
    }

    fn broke(&self, at: u64, error: &io::Error) {
        tracing::debug!(%error, at, "the ring leaves the rest of a file to other methods");
        self.is_broken.set(true);
        if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) {
            self.refusal.set(error.raw_os_error());
        }
    }

    /// Close the files and tell the worker.
    pub(super) fn finish(self) {
        let Stretch { source, destination, progress, low, refusal, .. } = self;
        // At once, and without the ring, which learned to close files in Linux 5.6 only.
        drop((source, destination));
        progress.finish(Ringed { upto: low.get(), refusal: refusal.get() });
    }
}

/// What a request did, where that allows going on: a part of a block is the end of a file, or of the
/// room for it, which the other methods are better at.
fn whole_blocks(done: io::Result<usize>) -> io::Result<usize> {
    match done? {
        bytes if bytes > 0 && bytes.is_multiple_of(BLOCK as usize) => Ok(bytes),
        _ => Err(ErrorKind::UnexpectedEof.into()),
    }
}
