//! Waiting for descriptors: a process that has none left now may have some soon.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use super::{NAP, Permit};
use crate::{
    cancel::Cancel,
    platform::{self, WaitsInShortage},
};

/// For as long as what is returned lives, let calls of this thread wait where no descriptor is left.
///
/// Whoever waits may hold a lock that others wait for with permits of theirs, so its own is not waited for here:
/// where others have it the thread goes on without, until its worker takes it again where nothing is held.
///
/// `wait_after` says how long to wait after so many waits in vain, at this time; nothing where that is not worth it.
pub(crate) fn wait_in_shortage(
    permit: &Rc<RefCell<Permit>>,
    cancel: &Cancel,
    wait_after: impl Fn(u32, Instant) -> Option<Duration> + 'static,
) -> WaitsInShortage {
    let (permit, cancel) = (permit.clone(), cancel.clone());
    platform::wait_in_shortage(move |waited| wait(&permit, &wait_after, &cancel, waited))
}

/// Wait after `waited` times in vain; whether that was worth it.
fn wait(
    permit: &RefCell<Permit>,
    wait_after: &impl Fn(u32, Instant) -> Option<Duration>,
    cancel: &Cancel,
    waited: u32,
) -> bool {
    let began = Instant::now();
    let Some(wait) = wait_after(waited, began).filter(|_| !cancel.is_cancelled()) else {
        return false;
    };
    let mut permit = permit.borrow_mut();
    if wait > NAP {
        permit.give_back();
    }
    loop {
        let rings = cancel.bell().rings();
        let left = wait.saturating_sub(began.elapsed());
        if left.is_zero() || cancel.is_cancelled() {
            break;
        }
        cancel.bell().sleep(rings, left);
    }
    permit.take_if_free();
    permit.slept += began.elapsed();
    !cancel.is_cancelled()
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, mpsc},
        thread,
    };

    use futures::FutureExt;

    use super::*;
    use crate::scheduler::Permits;

    #[test]
    fn whoever_waits_leaves_its_permit_to_others_and_goes_on_without_where_they_keep_it() {
        let permits = Arc::new(Permits::new(1));
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let permit = RefCell::new(runtime().block_on(permits.acquire()));
        let (cancel, soon) = (Cancel::default(), |_, _| Some(NAP * 2));
        let (others, taken) = mpsc::channel();
        thread::scope(|scope| {
            let other = scope.spawn(|| others.send(runtime().block_on(permits.acquire())).unwrap());
            for waited in 0.. {
                assert!(wait(&permit, &soon, &cancel, waited));
                if other.is_finished() {
                    break;
                }
            }
        });
        assert!(permit.borrow().slept > Duration::ZERO);
        drop(taken.recv().unwrap());
        permit.borrow_mut().take_again(&cancel);
        assert!(permits.acquire().now_or_never().is_none(), "it has it again");
    }

    #[test]
    fn whoever_is_cancelled_waits_no_longer() {
        let permit = RefCell::new(Arc::new(Permits::new(1)).none());
        let (cancel, soon) = (Cancel::default(), |_, _| Some(NAP * 2));
        thread::scope(|scope| {
            scope.spawn(|| cancel.cancel());
            while wait(&permit, &soon, &cancel, 5) {}
        });
        assert!(!wait(&permit, &soon, &cancel, 0));
    }
}
