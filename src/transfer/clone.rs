//! Sharing blocks instead of copying them.

use std::time::Instant;

use super::{Files, Verdict, Watch, ZeroCopyResult, cancelled, pace::Pace};
use crate::{method::Method, plan::Pair, platform};

/// Files up to this size are cloned by one call; larger ones in pieces, so that cancelling works.
const WHOLE_MAX: u64 = 1 << 30;

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
