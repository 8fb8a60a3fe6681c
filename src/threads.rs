//! Whether this process may have another thread.

use std::{io, thread};

/// Try whether there can be a thread more, where one is about to be needed.
///
/// Tokio's blocking pool panics where it cannot have its first; this says so as an error.
///
/// # Errors
/// Those of the system: a limit of processes (`RLIMIT_NPROC`, `pids.max`), or no memory.
pub(crate) fn try_one() -> io::Result<()> {
    let thread = thread::Builder::new().name("orbit-try".into()).spawn(|| {})?;
    // It does nothing that could panic.
    let _ = thread.join();
    Ok(())
}

/// What is said where there can be none.
pub(crate) fn refused(error: &io::Error) -> String {
    format!("no thread can be had: {error}")
}
