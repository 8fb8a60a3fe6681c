//! Putting the content of one file in place: what of it is data, which way it goes, and in which form.

mod backlog;
mod compressed;
mod content;
mod in_progress;
mod native_copy;

pub(crate) use backlog::{Backlog, Trace};
pub(crate) use compressed::bytes_held;
pub(crate) use in_progress::{FileInProgress, lies_elsewhere};

use crate::{frames::Encoders, outcomes::Teller, setting::Setting, space::Space, transfer::Scratch};

/// Puts the content of files in place.
pub(crate) struct Filler<'a> {
    pub(crate) setting: &'a Setting,
    pub(crate) space: &'a Space,
    pub(crate) teller: &'a mut Teller,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) encoders: &'a mut Encoders,
}
