//! Buffers and caches that a worker keeps from one entry to the next.

use std::{mem::MaybeUninit, sync::Arc};

use crate::{backend::Ring, fidelity::XattrBuffers, frames::Encoders, transfer::Scratch, tree::LinkCache};

/// Buffers and caches that a worker keeps from one entry to the next.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) scratch: Scratch,
    pub(crate) listing: Box<[MaybeUninit<u8>]>,
    pub(crate) attributes: XattrBuffers,
    pub(crate) link_cache: LinkCache,
    pub(crate) encoders: Encoders,
    /// The engine's ring, once this worker has used it.
    pub(crate) ring: Option<Arc<Ring>>,
}

impl Tools {
    /// Bytes of a directory listing that are asked for at once.
    const LISTING: usize = 64 * 1024;

    pub(crate) fn new() -> Tools {
        Tools {
            scratch: Scratch::default(),
            listing: vec![MaybeUninit::uninit(); Self::LISTING].into_boxed_slice(),
            attributes: XattrBuffers::default(),
            link_cache: LinkCache::default(),
            encoders: Encoders::default(),
            ring: None,
        }
    }
}
