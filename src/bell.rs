//! What wakes the threads of one run that sleep.

use std::{
    pin::pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// Wakes every thread of a run that sleeps, so that each looks around: the run was cancelled, its rates
/// were changed, or a permit came.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// How often it rang.
    rings: Mutex<u64>,
    rang: Condvar,
}

impl Bell {
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ring(&self) {
        let mut rings = self.lock();
        *rings = rings.wrapping_add(1);
        self.rang.notify_all();
    }

    /// How often it rang until now: asked before looking around, so that no ring after that is missed.
    pub(crate) fn rings(&self) -> u64 {
        *self.lock()
    }

    /// Sleep for so long, or until it rings once more than `rings` times.
    pub(crate) fn sleep(&self, rings: u64, time: Duration) {
        let woken = self.rang.wait_timeout_while(self.lock(), time, |now| *now == rings);
        drop(woken.unwrap_or_else(PoisonError::into_inner));
    }

    /// Wait for a future, and ask at every ring and once in `time` whether it is still `wanted`.
    pub(crate) fn wait_for<F: Future>(
        self: &Arc<Self>,
        time: Duration,
        future: F,
        mut wanted: impl FnMut() -> bool,
    ) -> Option<F::Output> {
        let mut future = pin!(future);
        let waker = Waker::from(self.clone());
        loop {
            let rings = self.rings();
            if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(done);
            }
            if !wanted() {
                return None;
            }
            self.sleep(rings, time);
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Instant};

    use tokio::sync::Semaphore;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_ring_after_the_look_around_is_not_slept_through() {
        let bell = Bell::default();
        let rings = bell.rings();
        bell.ring();
        let began = Instant::now();
        bell.sleep(rings, LONG);
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn a_future_is_waited_for_until_it_is_ready_or_not_wanted_any_more() {
        let (bell, permits) = (Arc::new(Bell::default()), Semaphore::new(0));
        thread::scope(|scope| {
            scope.spawn(|| permits.add_permits(1));
            assert!(bell.wait_for(LONG, permits.acquire(), || true).is_some());
        });
        let held = permits.try_acquire().unwrap();
        assert!(bell.wait_for(LONG, permits.acquire(), || false).is_none());
        drop(held);
    }
}
