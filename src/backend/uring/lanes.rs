//! What happens on the ring's thread: each lane reads a chunk, writes it, and takes the next.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    ops::Range,
    rc::Rc,
    time::Duration,
};

use futures::future::{join, join_all};
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};
use tokio_uring::buf::fixed::FixedBuf;

use super::stretch::{Request, Stretch};

/// The requests that are being served, each in its turn.
#[derive(Default)]
struct Served {
    stretches: RefCell<VecDeque<Rc<Stretch>>>,
    changed: Notify,
    has_ended: Cell<bool>,
    at_work: Cell<usize>,
}

impl Served {
    /// The next chunk of anything; none once nobody can ask any more.
    async fn next(&self) -> Option<(Rc<Stretch>, Range<u64>)> {
        loop {
            while let Some(stretch) = self.take_first() {
                if let Some(chunk) = stretch.take() {
                    // In turns: nobody waits for the whole of another's file.
                    self.stretches.borrow_mut().push_back(stretch.clone());
                    return Some((stretch, chunk));
                }
                let_go(stretch);
            }
            if self.has_ended.get() {
                return None;
            }
            self.changed.notified().await;
        }
    }

    fn take_first(&self) -> Option<Rc<Stretch>> {
        self.stretches.borrow_mut().pop_front()
    }

    fn add(&self, request: Request) {
        self.stretches.borrow_mut().push_back(Rc::new(Stretch::of(request)));
        self.changed.notify_waiters();
    }

    fn end(&self) {
        self.has_ended.set(true);
        self.changed.notify_waiters();
    }
}

fn let_go(stretch: Rc<Stretch>) {
    if let Some(stretch) = Rc::into_inner(stretch) {
        stretch.finish();
    }
}

/// Serve requests until nobody can make any more.
pub(super) async fn serve(mut requests: mpsc::Receiver<Request>, buffers: Vec<FixedBuf>) {
    /// While there is work the thread wakes so often, and each time hands the kernel what it would
    /// not take the last time, for want of memory.
    const TICK: Duration = Duration::from_millis(100);
    let served = Served::default();
    let lanes = join_all(buffers.into_iter().map(|buffer| lane(&served, buffer)));
    let reception = async {
        loop {
            let request = if served.at_work.get() > 0 {
                let Ok(request) = timeout(TICK, requests.recv()).await else { continue };
                request
            } else {
                requests.recv().await
            };
            match request {
                Some(request) => served.add(request),
                None => return served.end(),
            }
            // The lanes have it now, and are at work when this looks again.
            tokio::task::yield_now().await;
        }
    };
    join(reception, lanes).await;
}

async fn lane(served: &Served, mut buffer: FixedBuf) {
    while let Some((stretch, chunk)) = served.next().await {
        served.at_work.set(served.at_work.get() + 1);
        buffer = stretch.copy(chunk, buffer).await;
        served.at_work.set(served.at_work.get() - 1);
        let_go(stretch);
    }
}
