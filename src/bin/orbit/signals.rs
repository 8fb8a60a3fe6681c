//! Signals that ask the command to end.
//!
//! Until a copy begins and after it has ended they end the process as they do any other. While it goes on the
//! first of them is a wish: the copy stops, removes what is unfinished, and the process then dies of that
//! signal, so that a shell's loop and a script stop as well.

pub(crate) use imp::{Interrupts, catch, end, wished};

#[cfg(unix)]
mod imp {
    use std::{
        io,
        sync::atomic::{AtomicBool, AtomicU64, Ordering},
        time::Duration,
    };

    use nix::libc;
    use rustix::time::{ClockId, clock_gettime};
    use signal_hook::{consts, low_level};
    use tokio::time::{Interval, MissedTickBehavior, interval};

    /// Whether a copy goes on that has to be cleaned up after.
    static IS_BUSY: AtomicBool = AtomicBool::new(false);
    /// The first signal that came meanwhile, in the lowest byte, and when, in milliseconds; 0 for none.
    static WISH: AtomicU64 = AtomicU64::new(0);

    /// Two signals of a kind within this time are one wish: `timeout` of GNU signals the command and then its
    /// whole group, and a shell and a terminal may both send one. In milliseconds.
    const ONE_WISH: u64 = 1_000;

    /// Catch them, before anything is opened or begun. Those that are ignored stay so, for `nohup` and
    /// background jobs.
    ///
    /// # Errors
    /// Those of sigaction(2).
    #[allow(unsafe_code)]
    pub(crate) fn catch() -> io::Result<()> {
        for signal in [consts::SIGINT, consts::SIGTERM, consts::SIGHUP] {
            if !is_ignored(signal) {
                // SAFETY: `hear` keeps to what signal-safety(7) allows: atomics, clock_gettime(2), and what
                // signal_hook says it does for a handler that ends the process.
                unsafe { low_level::register(signal, move || hear(signal)) }?;
            }
        }
        Ok(())
    }

    /// What a signal does, called by its handler.
    fn hear(signal: libc::c_int) {
        let now = now();
        if WISH.load(Ordering::Relaxed) == 0 && !IS_BUSY.load(Ordering::Relaxed) {
            return end_by(signal);
        }
        let wish = now << 8 | u64::from(signal.unsigned_abs() & 0xff);
        if let Err(first) = WISH.compare_exchange(0, wish, Ordering::Relaxed, Ordering::Relaxed)
            && forces(signal_of(first), signal, now.saturating_sub(first >> 8))
        {
            end_by(signal);
        }
    }

    /// Whether a second signal, so many milliseconds after the first, ends the process at once. A hangup never
    /// does, because a closing terminal may send it twice.
    fn forces(first: libc::c_int, second: libc::c_int, after: u64) -> bool {
        second != consts::SIGHUP && (second != first || after >= ONE_WISH)
    }

    /// End the process as the signal does by default.
    fn end_by(signal: libc::c_int) {
        // It fails for signals alone that are none of these.
        let _ = low_level::emulate_default_handler(signal);
    }

    fn signal_of(wish: u64) -> libc::c_int {
        (wish & 0xff) as libc::c_int
    }

    /// Milliseconds from some moment on, never 0.
    fn now() -> u64 {
        let time = clock_gettime(ClockId::Monotonic);
        time.tv_sec.unsigned_abs() * 1_000 + time.tv_nsec.unsigned_abs() / 1_000_000 + 1
    }

    /// The exit status of a command that a signal has asked to end, as a shell tells it.
    pub(crate) fn wished() -> Option<u8> {
        match WISH.load(Ordering::Relaxed) {
            0 => None,
            wish => Some(128 + (wish & 0x7f) as u8),
        }
    }

    /// Everything is cleaned up: die of the signal that asked for it, if one did.
    pub(crate) fn end() {
        match WISH.load(Ordering::Relaxed) {
            0 => {}
            wish => end_by(signal_of(wish)),
        }
    }

    /// While this lives, a signal is a wish.
    pub(crate) struct Interrupts {
        looks: Interval,
        is_told: bool,
    }

    impl Interrupts {
        /// How often it is looked whether one has come. That needs neither a descriptor nor a thread.
        const LOOK: Duration = Duration::from_millis(50);

        /// Let the next signal be a wish.
        pub(crate) fn begin() -> Interrupts {
            IS_BUSY.store(true, Ordering::Relaxed);
            let mut looks = interval(Self::LOOK);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Interrupts { looks, is_told: false }
        }

        /// Wait for the first of them; there is one.
        pub(crate) async fn next(&mut self) {
            while self.is_told || wished().is_none() {
                self.looks.tick().await;
            }
            self.is_told = true;
        }

        /// From now on a signal ends the process, unless it is the first one again.
        pub(crate) fn end(self) {}
    }

    impl Drop for Interrupts {
        fn drop(&mut self) {
            IS_BUSY.store(false, Ordering::Relaxed);
        }
    }

    #[allow(unsafe_code)]
    fn is_ignored(signal: libc::c_int) -> bool {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: without a new action sigaction(2) changes nothing and fills `action`, which is
        // read only when it says that it did.
        unsafe {
            libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
                && action.assume_init().sa_sigaction == libc::SIG_IGN
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_second_signal_forces_unless_it_is_the_first_one_again() {
            let (int, term, hup) = (consts::SIGINT, consts::SIGTERM, consts::SIGHUP);
            for (first, second, after, expected) in [
                (term, term, 0, false),
                (term, term, 999, false),
                (term, term, 1_000, true),
                (int, int, 5_000, true),
                (term, int, 0, true),
                (hup, term, 0, true),
                (term, hup, 0, false),
                (hup, hup, 5_000, false),
            ] {
                assert_eq!(forces(first, second, after), expected, "{first} {second} {after}");
            }
        }
    }
}

#[cfg(not(unix))]
mod imp {
    use std::{
        io, process,
        sync::atomic::{AtomicBool, Ordering},
    };

    /// What a program ends with that Ctrl-C ended.
    const INTERRUPTED: u8 = 130;

    static IS_WISHED: AtomicBool = AtomicBool::new(false);

    /// Ctrl-C ends the process, until a copy begins.
    pub(crate) fn catch() -> io::Result<()> {
        Ok(())
    }

    /// The exit status of a command that Ctrl-C has asked to end.
    pub(crate) fn wished() -> Option<u8> {
        IS_WISHED.load(Ordering::Relaxed).then_some(INTERRUPTED)
    }

    /// Everything is cleaned up: the exit status is all that there is to say.
    pub(crate) fn end() {}

    /// From its beginning on the first Ctrl-C is a wish.
    pub(crate) struct Interrupts(());

    impl Interrupts {
        /// Let the next one be a wish; the one after it ends the process at once.
        pub(crate) fn begin() -> Interrupts {
            tokio::spawn(async {
                for is_second in [false, true] {
                    if tokio::signal::ctrl_c().await.is_err() {
                        return;
                    }
                    if is_second {
                        process::exit(INTERRUPTED.into());
                    }
                    IS_WISHED.store(true, Ordering::Relaxed);
                }
            });
            Interrupts(())
        }

        /// Wait for one.
        pub(crate) async fn next(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending().await
            }
            IS_WISHED.store(true, Ordering::Relaxed);
        }

        /// All is cleaned up.
        pub(crate) fn end(self) {}
    }
}
