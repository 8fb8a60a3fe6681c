//! How urgent a thread's I/O is (ioprio_set(2)).

#![allow(unsafe_code)]

use nix::libc::{SYS_ioprio_get, SYS_ioprio_set, c_int, syscall};

/// `IOPRIO_WHO_PROCESS` of linux/ioprio.h; a process of 0 is the calling thread.
const THREAD: c_int = 1;
/// `IOPRIO_CLASS_IDLE` in its place.
const IDLE: c_int = 3 << 13;

/// Let this thread's I/O wait for everybody else's; what it was before.
pub(crate) fn begin_idle_io() -> c_int {
    // SAFETY: both calls take and give numbers alone.
    unsafe {
        let was = syscall(SYS_ioprio_get, THREAD, 0);
        syscall(SYS_ioprio_set, THREAD, 0, IDLE);
        c_int::try_from(was).unwrap_or(0)
    }
}

/// Let this thread's I/O be as urgent as it was.
pub(crate) fn end_idle_io(was: c_int) {
    // SAFETY: as above.
    unsafe {
        syscall(SYS_ioprio_set, THREAD, 0, was.max(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_idle_for_as_long_as_it_is_told_to_be() {
        // SAFETY: as above.
        let now = || unsafe { syscall(SYS_ioprio_get, THREAD, 0) };
        let before = now();
        let was = begin_idle_io();
        assert_eq!(now(), i64::from(IDLE));
        end_idle_io(was);
        assert_eq!(now(), before);
    }
}
