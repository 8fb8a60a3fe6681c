//! What the system offers for zero-copy, whatever the filesystems.

use crate::{method::Method, platform};

/// What this system's kernel offers for moving bytes without a buffer of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZeroCopyCapabilities {
    /// Whether there is any such call.
    pub available: bool,
    /// Whether one of them works between different filesystems.
    pub cross_filesystem: bool,
    /// The calls that exist, in the order in which they are tried.
    pub methods: &'static [Method],
}

impl ZeroCopyCapabilities {
    /// What this system offers; what a pair of filesystems refuses is learned by trying.
    #[must_use]
    pub fn detect() -> Self {
        let methods = platform::KERNEL_METHODS;
        let crosses = |method: &Method| matches!(method, Method::Sendfile | Method::Splice | Method::System);
        ZeroCopyCapabilities {
            available: !methods.is_empty(),
            cross_filesystem: methods.iter().any(crosses),
            methods,
        }
    }
}
