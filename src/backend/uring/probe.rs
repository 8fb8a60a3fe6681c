//! Whether the kernel lets this process have a ring.

use std::{io, mem, sync::OnceLock, thread, time::Duration};

/// Set up a ring and run one operation on it, once in the life of the process.
///
/// The answer is kept because a refused `tokio_uring::Runtime` leaves descriptors behind.
pub(in crate::backend) fn try_ring() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    let ask = || {
        // The runtime panics where it cannot have the descriptors that it wants beside those of the ring.
        let spare: io::Result<Vec<_>> = (0..8).map(|_| io::pipe()).collect();
        drop(spare.map_err(|error| error.to_string())?);
        // On a thread of its own: the runtime must not meet the one that we may run in.
        let asking = thread::Builder::new().name("orbit-ring-probe".into()).spawn(run_one_operation);
        match asking.map(thread::JoinHandle::join) {
            Ok(Ok(answer)) => answer.map_err(|error| error.to_string()),
            Ok(Err(_)) => Err("it failed unexpectedly".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    };
    ANSWER.get_or_init(ask).clone()
}

fn run_one_operation() -> io::Result<()> {
    /// Far longer than an operation without effect can take.
    const PATIENCE: Duration = Duration::from_secs(2);
    let runtime = tokio_uring::Runtime::new(tokio_uring::builder().entries(4))?;
    match runtime.block_on(async { tokio::time::timeout(PATIENCE, tokio_uring::no_op()).await }) {
        Ok(done) => done,
        Err(_) => {
            // A filter that allows to set up a ring and not to enter it: dropping the runtime
            // would enter it again, and panic.
            mem::forget(runtime);
            Err(io::Error::other("a ring can be set up, and then not be used"))
        }
    }
}
