//! Memory that the kernel knows beforehand, and that direct I/O takes.

use std::{io, ops::Range};

use tokio_uring::buf::{
    BoundedBuf, Slice,
    fixed::{FixedBuf, FixedBufRegistry},
};

use crate::backend::BLOCK;

/// Bytes of one request.
pub(super) const CHUNK: usize = 1 << 20;
/// Requests in flight at most; as many buffers are locked in memory.
const LANES: usize = 8;

/// Buffers that a ring knows.
pub(super) struct Buffers(FixedBufRegistry<Vec<u8>>);

impl Buffers {
    /// Lock as many buffers in memory as the process may (`RLIMIT_MEMLOCK`, setrlimit(2)), and make
    /// them known to the ring of the runtime that this is called in.
    pub(super) fn register() -> io::Result<(Buffers, Vec<FixedBuf>)> {
        for count in (1..=LANES).rev() {
            // One block more than is used, to begin at the boundary of one.
            let registry = FixedBufRegistry::new((0..count).map(|_| vec![0; CHUNK + BLOCK as usize]));
            match registry.register() {
                Ok(()) => {
                    let all = (0..count).map(|index| registry.check_out(index));
                    let all = all.map(|buffer| buffer.expect("nobody else has it")).collect();
                    return Ok((Buffers(registry), all));
                }
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("too little memory may be locked for it (ulimit -l)"))
    }

    /// Give the locked memory back now: the kernel takes its time with a ring that is closed.
    pub(super) fn unregister(self) {
        if let Err(error) = self.0.unregister() {
            tracing::debug!(%error, "buffers of a ring stay registered until it is gone");
        }
    }
}

/// The part of a buffer that begins at the boundary of a block.
pub(super) fn aligned(buffer: FixedBuf, bytes: usize) -> Slice<FixedBuf> {
    let skew = skew(&buffer);
    buffer.slice(Range { start: skew, end: skew + bytes })
}

fn skew(buffer: &FixedBuf) -> usize {
    let address = buffer.as_ptr().addr();
    address.next_multiple_of(BLOCK as usize) - address
}
