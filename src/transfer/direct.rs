//! Trying the methods of a ladder in turn on one range of a file.

use std::{io, time::Instant};

use super::{
    Files, Scratch, Watch, ZeroCopyResult,
    buffered::{Zeros, copy_buffered},
    cancelled,
    pace::Pace,
};
use crate::{
    error::{Fault, Op},
    learned::Pair,
    method::Method,
    plan::Ladder,
    platform::{self, Verdict},
};

/// One file's copy: what is open, how to move its bytes, and what is known of the filesystems.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer<'a> {
    pub(crate) files: Files<'a>,
    pub(crate) ladder: &'a Ladder,
    pub(crate) pair: &'a Pair,
    pub(crate) zeros: Zeros,
}

/// Copy the bytes from `at` to `end`, by the first method of the ladder that works.
///
/// On success `at` is `end`, or less where the source ended before.
pub(crate) fn copy_direct(
    transfer: Transfer<'_>,
    at: &mut u64,
    end: u64,
    scratch: &mut Scratch,
    watch: &mut impl Watch,
) -> Result<(), Fault> {
    for method in transfer.ladder.methods() {
        match method {
            Method::Reflink | Method::IoUring => {} // of whole files or ranges, and tried before
            Method::Buffered => {
                return copy_buffered(transfer.files, at, end, transfer.zeros, scratch.buffer(), watch);
            }
            _ if transfer.pair.refuses(method) => {}
            _ => match try_zero_copy_direct(method, transfer, at, end, scratch, watch) {
                ZeroCopyResult::Success(bytes) => {
                    tracing::trace!(method = method.name(), bytes, "range copied");
                    return Ok(());
                }
                ZeroCopyResult::Unsupported => {}
                ZeroCopyResult::Failed(error) => return Err(Fault::new(Op::Copy, error)),
            },
        }
    }
    unreachable!("every ladder ends with the buffered copy")
}

/// Let the kernel move the bytes from `at` to `end` by one method.
pub(crate) fn try_zero_copy_direct(
    method: Method,
    transfer: Transfer<'_>,
    at: &mut u64,
    end: u64,
    scratch: &mut Scratch,
    watch: &mut impl Watch,
) -> ZeroCopyResult {
    let start = *at;
    // What splices without a page reads as a program would. It stays so: other workers may be reading as well.
    if transfer.pair.must_be_direct(method) && platform::stay_direct(transfer.files.source).is_err() {
        return ZeroCopyResult::Unsupported;
    }
    let mut pace = Pace::new();
    while *at < end {
        let bytes = watch.allow(pace.bytes().min(end - *at));
        if watch.is_cancelled() {
            return ZeroCopyResult::Failed(cancelled());
        }
        let started = Instant::now();
        match call(method, transfer.files, scratch, *at, bytes) {
            // The source ended, or a filesystem (procfs, overlayfs, CIFS) that says so without
            // reason: only a read can tell.
            Ok(0) => return ZeroCopyResult::Unsupported,
            Ok(bytes) => {
                *at += bytes;
                watch.advanced(method, bytes);
                pace.learn(started, bytes);
            }
            Err(error) => match platform::verdict_on_copy(&error) {
                Verdict::Again => {}
                Verdict::Fatal => return ZeroCopyResult::Failed(error),
                Verdict::NeverHere => {
                    transfer.pair.refuse(method, error.raw_os_error());
                    return ZeroCopyResult::Unsupported;
                }
                Verdict::NotThisFile => return ZeroCopyResult::Unsupported,
            },
        }
    }
    ZeroCopyResult::Success(*at - start)
}

fn call(method: Method, files: Files<'_>, scratch: &mut Scratch, at: u64, bytes: u64) -> io::Result<u64> {
    let Files { source, destination } = files;
    match method {
        Method::CopyFileRange => platform::copy_range(source, destination, at, bytes),
        Method::Sendfile => platform::send_range(source, destination, at, bytes),
        Method::Splice => {
            let pipe = match scratch.pipe.take() {
                Some(pipe) => pipe,
                None => platform::Pipe::new()?,
            };
            let spliced = platform::splice_range(source, destination, &pipe, at, bytes)?;
            scratch.pipe = Some(pipe); // kept only while it is known to be empty
            Ok(spliced)
        }
        Method::System => platform::copy_whole(source, destination, at, bytes),
        Method::Reflink | Method::IoUring | Method::Buffered => unreachable!("not a kernel copy"),
    }
}
