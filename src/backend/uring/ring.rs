//! A ring on a thread of its own, and the handle by which workers use it.

use std::{
    fs::File,
    io,
    ops::Range,
    sync::{Arc, mpsc::SyncSender},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::mpsc;

use super::{
    buffers::Buffers,
    lanes::serve,
    progress::{Progress, StopOnDrop},
    stretch::Request,
};
use crate::backend::{Ringed, try_ring};

/// A ring on a thread of its own, which ends with this handle.
///
/// One serves all workers: its locked memory and its descriptors are bounded, and it has enough
/// requests in flight for all of them.
#[derive(Debug)]
pub(crate) struct Ring {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Ring {
    /// Requests of workers that wait to be taken up.
    const WAITING: usize = 64;
    /// How often the one who waits for a request says how far it has come.
    const TELL: Duration = Duration::from_millis(5);

    /// Start one.
    ///
    /// # Errors
    /// Why the kernel refuses.
    pub(in crate::backend) fn start() -> Result<Ring, String> {
        try_ring()?;
        let (requests, waiting) = mpsc::channel(Self::WAITING);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let body = move || {
            if let Err(error) = run(waiting, &ready) {
                // Nobody else is told twice: the first word is the one that is waited for.
                let _ = ready.try_send(Err(error.to_string()));
            }
        };
        let thread = thread::Builder::new().name("orbit-ring".into()).spawn(body);
        let thread = thread.map_err(|error| error.to_string())?;
        match started.recv() {
            Ok(Ok(())) => Ok(Ring { requests: Some(requests), thread: Some(thread) }),
            Ok(Err(why)) => Err(why),
            Err(_) => Err("its thread ended unexpectedly".to_owned()),
        }
    }

    /// Copy a range of a file, whose bounds are multiples of [`crate::backend::BLOCK`].
    ///
    /// `is_cancelled` is asked before each request. `advance` hears now and then of bytes that were
    /// moved, and says whether to go on. When to stop, what is under way is completed.
    pub(crate) fn copy(
        &self,
        source: &File,
        destination: &File,
        range: Range<u64>,
        is_cancelled: impl Fn() -> bool + Send + 'static,
        mut advance: impl FnMut(u64) -> bool,
    ) -> Ringed {
        let nothing = Ringed { upto: range.start, refusal: None };
        let progress = Arc::new(Progress::default());
        let _stop = StopOnDrop(&progress);
        let request = source.try_clone().and_then(|source| {
            Ok(Request {
                source,
                destination: destination.try_clone()?,
                range,
                is_cancelled: Box::new(is_cancelled),
                progress: progress.clone(),
            })
        });
        let requests = self.requests.as_ref().expect("taken only when the ring is dropped");
        if !request.is_ok_and(|request| requests.blocking_send(request).is_ok()) {
            return nothing;
        }
        loop {
            let outcome = progress.wait(Self::TELL);
            if !advance(progress.take_moved()) {
                progress.stop();
            }
            match outcome {
                Some(outcome) => return outcome,
                None if self.thread.as_ref().is_none_or(JoinHandle::is_finished) => return nothing,
                None => {}
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing more to say than it did.
            let _ = thread.join();
        }
    }
}

/// The life of the ring's thread.
fn run(requests: mpsc::Receiver<Request>, ready: &SyncSender<Result<(), String>>) -> io::Result<()> {
    let runtime = tokio_uring::Runtime::new(tokio_uring::builder().entries(64))?;
    runtime.block_on(async {
        let (registered, buffers) = Buffers::register()?;
        if ready.send(Ok(())).is_ok() {
            serve(requests, buffers).await;
        }
        registered.unregister();
        Ok(())
    })
}
