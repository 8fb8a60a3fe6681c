//! Calls that are made again: a signal interrupted them, or no descriptor was left for them.

use std::io;

use crate::platform::shortage::is_worth_another_try;

/// Make a call, again and again for as long as a signal interrupts it, or it is worth waiting for a descriptor.
///
/// For every call but two kinds: those that move bytes, whose callers look at `EINTR` themselves, and
/// close(2), after which the descriptor is gone all the same.
#[inline]
pub(crate) fn retried<T, E: Copy + Into<io::Error>>(mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let mut waited = 0;
    loop {
        match call() {
            Err(error) if is_to_be_made_again(&error.into(), &mut waited) => {}
            done => return done,
        }
    }
}

#[cold]
fn is_to_be_made_again(error: &io::Error, waited: &mut u32) -> bool {
    if error.kind() == io::ErrorKind::Interrupted {
        return true;
    }
    super::is_out_of_descriptors(error) && {
        *waited += 1;
        is_worth_another_try(*waited - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use nix::Error as Errno;

    use super::*;
    use crate::platform::wait_in_shortage;

    /// Make a call that fails so often; how many waits there were, and what came of it.
    fn failing(errno: Errno, times: u32, patience: u32) -> (u32, Result<(), Errno>) {
        let waits = Rc::new(Cell::new(0));
        let counted = waits.clone();
        let _waiting = wait_in_shortage(move |waited| {
            assert_eq!(waited, counted.replace(waited + 1));
            waited < patience
        });
        let mut left = times;
        let done = retried(|| {
            if left == 0 {
                return Ok(());
            }
            left -= 1;
            Err(errno)
        });
        (waits.get(), done)
    }

    #[test]
    fn what_finds_no_descriptor_waits_for_one_as_long_as_it_is_worth_it() {
        for errno in [Errno::EMFILE, Errno::ENFILE] {
            assert_eq!(failing(errno, 3, 10), (3, Ok(())));
            assert_eq!(failing(errno, 30, 10), (11, Err(errno)));
        }
        assert_eq!(failing(Errno::EINTR, 30, 10), (0, Ok(())));
        assert_eq!(failing(Errno::EIO, 1, 10), (0, Err(Errno::EIO)));
    }

    #[test]
    fn nobody_waits_before_or_after() {
        drop(wait_in_shortage(|_| panic!("it is over")));
        assert_eq!(retried(|| Err::<(), _>(Errno::EMFILE)), Err(Errno::EMFILE));
    }
}
