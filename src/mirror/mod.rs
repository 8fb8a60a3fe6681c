//! What only the copy has: found when its directory is done, and deleted when everything is.

mod delete;
mod extraneous;
mod respelled;

use std::mem::MaybeUninit;

pub(crate) use delete::Does;
pub(crate) use extraneous::{Extraneous, extraneous_in};

use crate::{choice::Choice, error::Failure, outcomes::Teller, setting::Setting, space::Space};

/// Finds what only the copy has, and deletes it.
pub(crate) struct Deleter<'a> {
    pub(crate) setting: &'a Setting,
    pub(crate) choice: &'a Choice,
    pub(crate) extraneous: &'a Extraneous,
    pub(crate) space: &'a Space,
    pub(crate) teller: &'a mut Teller,
    pub(crate) listing: &'a mut [MaybeUninit<u8>],
}

impl Deleter<'_> {
    /// Note that something could not be deleted.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.space.stop_if_hopeless(self.teller, None, &failure);
        self.teller.fail_to_delete(failure);
    }
}
