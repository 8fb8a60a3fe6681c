//! Calls that a signal interrupted.

use std::io;

/// Make a call, again and again for as long as a signal interrupts it.
///
/// For every call but two kinds: those that move bytes, whose callers look at `EINTR` themselves, and
/// close(2), after which the descriptor is gone all the same.
pub(crate) fn retried<T, E: Copy + Into<io::Error>>(mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    loop {
        match call() {
            Err(error) if error.into().kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
