//! What a caller may ask of a copy, in small groups.

mod compression;
mod data;
mod existing;
mod fsync;
mod limits;
mod mirror;
mod preserve;
mod retry;
mod selection;
mod verify;

pub use compression::Compression;
pub use data::{Backend, DataOptions, Reflink, Sparse, ZeroCopy};
pub use existing::Existing;
pub use fsync::Fsync;
pub use limits::Limits;
pub use mirror::{Compare, Delete, MaxDelete, Mirror};
pub use preserve::{Attributes, Preserve};
pub use retry::Retry;
pub use selection::{FollowLinks, Selection};
pub use verify::Verify;
