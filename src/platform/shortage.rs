//! What a thread does where no descriptor is left for it.

use std::{cell::RefCell, marker::PhantomData};

/// Waits for a descriptor that is given back; told how often it did so for the same call, it says whether that call
/// is to be made again.
type Wait = Box<dyn FnMut(u32) -> bool>;

thread_local! {
    static WAIT: RefCell<Option<Wait>> = const { RefCell::new(None) };
}

/// For as long as this lives, calls of its thread wait where the process, or the system, has no descriptor left.
#[must_use]
pub(crate) struct WaitsInShortage {
    before: Option<Wait>,
    /// It is about this thread.
    _stays: PhantomData<*const ()>,
}

/// Let calls of this thread `wait` where no descriptor is left.
pub(crate) fn wait_in_shortage(wait: impl FnMut(u32) -> bool + 'static) -> WaitsInShortage {
    WaitsInShortage { before: WAIT.replace(Some(Box::new(wait))), _stays: PhantomData }
}

impl Drop for WaitsInShortage {
    fn drop(&mut self) {
        WAIT.replace(self.before.take());
    }
}

/// A call found no descriptor, and waited for one `waited` times: whether to make it again.
#[cfg(unix)]
pub(super) fn is_worth_another_try(waited: u32) -> bool {
    // Taken out, since waiting may come to calls of its own.
    let Some(mut wait) = WAIT.take() else { return false };
    let goes_on = wait(waited);
    WAIT.replace(Some(wait));
    goes_on
}
