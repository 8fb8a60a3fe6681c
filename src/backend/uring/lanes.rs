//! What happens on the ring's thread: each lane reads a chunk, writes it, and takes the next.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fs::File as StdFile,
    io::{self, ErrorKind},
    ops::Range,
    rc::Rc,
    sync::Arc,
};

use futures::future::{join, join_all};
use tokio::sync::{Notify, mpsc};
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
#[derive(Debug)]
pub(super) struct Request {
    pub(super) source: StdFile,
    pub(super) destination: StdFile,
    pub(super) range: Range<u64>,
    pub(super) progress: Arc<Progress>,
}

/// A request that is being served; who lets go of it last tells the worker.
struct Stretch {
    source: File,
    destination: File,
    progress: Arc<Progress>,
    end: u64,
    /// Where the next chunk begins.
    next: Cell<u64>,
    /// The first place where something went wrong.
    broken: Cell<Option<u64>>,
    is_refused: Cell<bool>,
}

impl Stretch {
    fn of(request: Request) -> Stretch {
        let Request { source, destination, range, progress } = request;
        Stretch {
            source: File::from_std(source),
            destination: File::from_std(destination),
            progress,
            end: range.end,
            next: Cell::new(range.start),
            broken: Cell::new(None),
            is_refused: Cell::new(false),
        }
    }

    /// The next chunk to copy.
    fn take(&self) -> Option<Range<u64>> {
        let start = self.next.get();
        if start >= self.end || self.broken.get().is_some() || self.progress.must_stop() {
            return None;
        }
        let end = self.end.min(start + CHUNK as u64);
        self.next.set(end);
        Some(start..end)
    }

    /// Copy one chunk by way of a buffer, which comes back.
    async fn copy(&self, chunk: Range<u64>, buffer: FixedBuf) -> FixedBuf {
        let bytes = (chunk.end - chunk.start) as usize;
        let (read, buffer) = self.read(chunk.start, bytes, buffer).await;
        let (copied, buffer) = match read {
            Ok(()) => self.write(chunk.start, bytes, buffer).await,
            failed => (failed, buffer),
        };
        match copied {
            Ok(()) => self.progress.advanced(bytes as u64),
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

    fn broke(&self, at: u64, error: &io::Error) {
        tracing::debug!(%error, at, "the ring leaves the rest of a file to other methods");
        if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) {
            self.is_refused.set(true);
        }
        self.broken.set(Some(self.broken.get().map_or(at, |first| first.min(at))));
    }

    /// Close the files and tell the worker.
    async fn finish(self) {
        let upto = self.broken.get().unwrap_or(self.next.get());
        // They are duplicates of what the worker has; it hears of errors from its own.
        let _ = join(self.source.close(), self.destination.close()).await;
        self.progress.finish(Ringed { upto, is_refused: self.is_refused.get() });
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

/// The requests that are being served, in the order in which they came.
#[derive(Default)]
struct Served {
    stretches: RefCell<VecDeque<Rc<Stretch>>>,
    changed: Notify,
    has_ended: Cell<bool>,
}

impl Served {
    /// The next chunk of anything; none once nobody can ask any more.
    async fn next(&self) -> Option<(Rc<Stretch>, Range<u64>)> {
        loop {
            while let Some(stretch) = self.first() {
                if let Some(chunk) = stretch.take() {
                    return Some((stretch, chunk));
                }
                self.stretches.borrow_mut().pop_front();
                let_go(stretch).await;
            }
            if self.has_ended.get() {
                return None;
            }
            self.changed.notified().await;
        }
    }

    fn first(&self) -> Option<Rc<Stretch>> {
        self.stretches.borrow().front().cloned()
    }
}

async fn let_go(stretch: Rc<Stretch>) {
    if let Some(stretch) = Rc::into_inner(stretch) {
        stretch.finish().await;
    }
}

/// Serve requests until nobody can make any more.
pub(super) async fn serve(mut requests: mpsc::Receiver<Request>, buffers: Vec<FixedBuf>) {
    let served = Served::default();
    let lanes = join_all(buffers.into_iter().map(|buffer| lane(&served, buffer)));
    let reception = async {
        while let Some(request) = requests.recv().await {
            served.stretches.borrow_mut().push_back(Rc::new(Stretch::of(request)));
            served.changed.notify_waiters();
        }
        served.has_ended.set(true);
        served.changed.notify_waiters();
    };
    join(reception, lanes).await;
}

async fn lane(served: &Served, mut buffer: FixedBuf) {
    while let Some((stretch, chunk)) = served.next().await {
        buffer = stretch.copy(chunk, buffer).await;
        let_go(stretch).await;
    }
}
