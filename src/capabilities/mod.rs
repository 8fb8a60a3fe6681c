//! What this system, and a pair of filesystems on it, can do.

mod ability;
mod probed;
mod zero_copy;

pub use ability::Ability;
pub use probed::{Capabilities, Conveniences, Filesystem, Keeps, KernelCopies, LadderOfSize};
pub use zero_copy::ZeroCopyCapabilities;
