//! Sleeping as a worker: the bell ends it, and a longer sleep leaves the permit to others.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use super::Permit;
use crate::cancel::Cancel;

/// During a sleep that is longer than this others have the permit.
pub(crate) const NAP: Duration = Duration::from_millis(20);

/// Sleep until then, until the run is cancelled, or until it `is_off`, whose change rings the bell.
pub(crate) fn sleep_until(
    permit: &RefCell<Permit>,
    cancel: &Cancel,
    moment: Instant,
    is_off: impl Fn() -> bool,
) {
    loop {
        let rings = cancel.bell().rings();
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() || cancel.is_cancelled() || is_off() {
            return permit.borrow_mut().take_again(cancel);
        }
        if left > NAP {
            permit.borrow_mut().give_back();
        }
        cancel.bell().sleep(rings, left);
    }
}
