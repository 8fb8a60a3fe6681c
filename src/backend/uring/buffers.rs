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

/// Lock as many buffers in memory as the process may (`RLIMIT_MEMLOCK`, setrlimit(2)), and make them
/// known to the ring of the runtime that this is called in.
pub(super) fn registered() -> io::Result<Vec<FixedBuf>> {
    let mut count = LANES;
    loop {
        // One block more than is used, to begin at the boundary of one.
        let buffers = FixedBufRegistry::new((0..count).map(|_| vec![0_u8; CHUNK + BLOCK as usize]));
        match buffers.register() {
            Ok(()) => {
                let all = (0..count).map(|index| buffers.check_out(index));
                return Ok(all.map(|buffer| buffer.expect("nobody else has it")).collect());
            }
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory && count > 1 => count /= 2,
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                return Err(io::Error::other("too little memory may be locked for it (ulimit -l)"));
            }
            Err(error) => return Err(error),
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
