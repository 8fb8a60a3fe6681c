//! Whether the kernel should move the bytes of one file: the founding document's conditions, less those
//! of a limited bandwidth and of resuming.

use crate::{capabilities::ZeroCopyCapabilities, method::Declined, options::ZeroCopy};

/// What decides about zero-copy for one file.
#[derive(Clone, Copy, Debug)]
pub struct ZeroCopyRequest {
    /// Size of the source in bytes.
    pub size: u64,
    /// Smallest size in bytes for which zero-copy is worth its overhead.
    pub threshold: u64,
    /// Whether source and destination lie on one filesystem.
    pub same_filesystem: bool,
    /// What the caller wants.
    pub zero_copy: ZeroCopy,
    /// Whether the copy continues an earlier one inside the file; that is no reason against it, since it does
    /// so by whole ranges.
    pub resume: bool,
    /// Whether the bytes are compressed on their way.
    pub compression: bool,
    /// Whether the copy is held to a bandwidth; that is no reason against it, since calls are cut to what
    /// the bandwidth allows.
    pub throttled: bool,
}

/// Decide whether `copy_file_range`, `sendfile` or `splice` should move the bytes of one file.
///
/// Reflinks are decided before this and apart from it: they are worth having at any size.
///
/// # Errors
/// The first condition that speaks against it. [`ZeroCopy::Force`] lifts the size condition only.
pub fn should_use_zero_copy(
    capabilities: &ZeroCopyCapabilities,
    request: &ZeroCopyRequest,
) -> Result<(), Declined> {
    if !capabilities.available {
        return Err(Declined::Platform);
    }
    if request.zero_copy == ZeroCopy::Forbid {
        return Err(Declined::Configuration);
    }
    if request.compression {
        return Err(Declined::Compression);
    }
    if !request.same_filesystem && !capabilities.cross_filesystem {
        return Err(Declined::Filesystems);
    }
    if request.size < request.threshold && request.zero_copy != ZeroCopy::Force {
        return Err(Declined::BelowThreshold);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_alone_declines_and_neither_a_bandwidth_nor_resuming_is_one() {
        let able = ZeroCopyCapabilities { available: true, cross_filesystem: false, methods: &[] };
        let good = ZeroCopyRequest {
            size: 64 * 1024,
            threshold: 64 * 1024,
            same_filesystem: true,
            zero_copy: ZeroCopy::Auto,
            resume: false,
            compression: false,
            throttled: false,
        };
        let small = ZeroCopyRequest { size: 64 * 1024 - 1, ..good };
        let elsewhere = ZeroCopyRequest { same_filesystem: false, ..good };
        let forbidden = ZeroCopyRequest { zero_copy: ZeroCopy::Forbid, ..good };
        let forced = ZeroCopy::Force;
        let crossing = ZeroCopyCapabilities { cross_filesystem: true, ..able };
        let none = ZeroCopyCapabilities { available: false, ..able };
        for (capabilities, request, expected) in [
            (able, good, Ok(())),
            (none, good, Err(Declined::Platform)),
            (able, small, Err(Declined::BelowThreshold)),
            (able, ZeroCopyRequest { zero_copy: forced, ..small }, Ok(())),
            (able, elsewhere, Err(Declined::Filesystems)),
            (able, ZeroCopyRequest { zero_copy: forced, ..elsewhere }, Err(Declined::Filesystems)),
            (crossing, elsewhere, Ok(())),
            (able, forbidden, Err(Declined::Configuration)),
            (able, ZeroCopyRequest { resume: true, ..good }, Ok(())),
            (able, ZeroCopyRequest { compression: true, ..good }, Err(Declined::Compression)),
            (able, ZeroCopyRequest { throttled: true, ..good }, Ok(())),
        ] {
            assert_eq!(
                should_use_zero_copy(&capabilities, &request),
                expected,
                "{capabilities:?} {request:?}"
            );
        }
    }
}
