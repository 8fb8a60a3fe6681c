//! What one copy took.

use serde::{Deserialize, Serialize};

/// What one copy took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) wall_s: f64,
    /// User and system.
    pub(crate) cpu_s: f64,
    pub(crate) rss_kib: i64,
    /// CPU seconds that all others used meanwhile, the kernel's own threads included.
    pub(crate) others_cpu_s: f64,
}
