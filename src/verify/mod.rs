//! Whether two files hold the same: digests of both sides, and contents side by side.

mod digests;
mod same_content;
mod trailing;
mod zeros;

pub(crate) use digests::{Digests, is_hollow, no_digest};
pub(crate) use same_content::{if_whole, what_differs};
pub(crate) use trailing::{TrailingDigests, TrailingState};

use crate::{outcomes::Teller, setting::Setting, transfer::Scratch};

/// Reads files to see what they hold.
pub(crate) struct Verifier<'a> {
    setting: &'a Setting,
    pub(crate) teller: &'a mut Teller,
    pub(crate) scratch: &'a mut Scratch,
}

impl<'a> Verifier<'a> {
    /// One that reads with these buffers.
    pub(crate) fn new(
        setting: &'a Setting,
        teller: &'a mut Teller,
        scratch: &'a mut Scratch,
    ) -> Verifier<'a> {
        Verifier { setting, teller, scratch }
    }
}
