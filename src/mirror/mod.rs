//! What only the copy has: found when its directory is done, and deleted when everything is.

mod delete;
mod extraneous;
mod respelled;

use std::mem::MaybeUninit;

pub(crate) use delete::Does;
pub(crate) use extraneous::{Extraneous, extraneous_in};

use crate::{choice::Choice, outcomes::Teller, setting::Setting};

/// Finds what only the copy has, and deletes it.
pub(crate) struct Deleter<'a> {
    pub(crate) setting: &'a Setting,
    pub(crate) choice: &'a Choice,
    pub(crate) extraneous: &'a Extraneous,
    pub(crate) teller: &'a mut Teller,
    pub(crate) listing: &'a mut [MaybeUninit<u8>],
}
