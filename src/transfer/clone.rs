//! Sharing blocks instead of copying them.

use std::{io, time::Instant};

use super::{Files, Watch, ZeroCopyResult, cancelled, pace::Pace};
use crate::{
    learned::Pair,
    method::Method,
    platform::{self, Verdict},
};

/// Files up to this size are cloned by one call; larger ones in pieces, so that cancelling works.
const WHOLE_MAX: u64 = 1 << 30;
/// Holes in pieces of this many bytes and more are passed over; clones of smaller ones cost as little.
const HOLE_MIN: u64 = 1 << 30;
/// A multiple of every filesystem's block, which ranges of clones begin at.
const ALIGNMENT: u64 = 1 << 20;

/// Let the new file share all blocks of its source; `at` says how far that came.
pub(crate) fn try_reflink(
    files: Files<'_>,
    pair: &Pair,
    size: u64,
    at: &mut u64,
    watch: &mut impl Watch,
) -> ZeroCopyResult {
    let mut pace = Pace::new();
    while *at < size {
        if watch.is_cancelled() {
            return ZeroCopyResult::Failed(cancelled());
        }
        // Not before one piece has shown that these filesystems share blocks at all.
        if *at > 0 {
            match skip_hole(files, size, *at) {
                Ok(Some(data)) => {
                    watch.passed_over(data - *at);
                    *at = data;
                    continue;
                }
                Ok(None) => {}
                Err(error) => return ZeroCopyResult::Failed(error),
            }
        }
        let started = Instant::now();
        let (bytes, cloned) = if size <= WHOLE_MAX {
            (size, platform::clone_file(files.source, files.destination))
        } else {
            let bytes = pace.bytes().min(size - *at);
            (bytes, platform::clone_range(files.source, files.destination, *at, bytes))
        };
        match cloned {
            Ok(()) => {
                *at += bytes;
                watch.advanced(Method::Reflink, bytes);
                pace.learn(started, bytes);
            }
            Err(error) => match platform::verdict_on_clone(&error) {
                Verdict::Again => {}
                Verdict::Fatal => return ZeroCopyResult::Failed(error),
                Verdict::NeverHere => {
                    pair.refuse(Method::Reflink, error.raw_os_error());
                    return ZeroCopyResult::Unsupported;
                }
                Verdict::NotThisFile => return ZeroCopyResult::Unsupported,
            },
        }
    }
    ZeroCopyResult::Success(size)
}

/// Where a clone goes on that has come to a large hole; there the copy has its size.
fn skip_hole(files: Files<'_>, size: u64, at: u64) -> io::Result<Option<u64>> {
    // A filesystem that cannot tell has no holes; one that fails to will fail to clone as well.
    let next = match platform::next_data(files.source, at, size) {
        Ok(next) => next.map_or(size, |(data, _)| data - data % ALIGNMENT),
        Err(_) => return Ok(None),
    };
    if next.saturating_sub(at) < HOLE_MIN {
        return Ok(None);
    }
    platform::set_size(files.destination, size)?;
    Ok(Some(next))
}
