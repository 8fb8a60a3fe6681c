//! What this system, and a pair of filesystems on it, can do.

mod zero_copy;

pub use zero_copy::ZeroCopyCapabilities;
