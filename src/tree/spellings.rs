//! Names of a directory that its filesystem holds for equal though they are spelled otherwise.

use std::{
    collections::HashMap,
    ffi::CStr,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How names are spelled in a directory whose filesystem folds case, by what equal ones have in common.
#[derive(Debug, Default)]
pub(crate) struct Spellings(Mutex<KnownSpellings>);

/// Names by what equal ones have in common.
#[derive(Debug, Default)]
pub(crate) struct KnownSpellings {
    /// What the copy's directory had before this run put anything into it.
    pub(crate) there: HashMap<Box<[u8]>, Vec<Box<CStr>>>,
    /// What this run answers for.
    pub(crate) claimed: HashMap<Box<[u8]>, Box<CStr>>,
}

impl Spellings {
    pub(crate) fn new(known: KnownSpellings) -> Spellings {
        Spellings(Mutex::new(known))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, KnownSpellings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an entry of this run has a name that may be equal to `name`.
    pub(crate) fn answer_for(&self, name: &CStr) -> bool {
        self.lock().claimed.contains_key(&folded(name))
    }
}

/// What all names have in common that some filesystem may hold for equal: rather too many than too few, since the
/// filesystem itself is asked before anything follows from it.
pub(crate) fn folded(name: &CStr) -> Box<[u8]> {
    let bytes = name.to_bytes();
    let is_cut = |byte: &u8| matches!(byte, b'.' | b' '); // FAT leaves them out at the end
    let kept = bytes.len() - bytes.iter().rev().take_while(|byte| is_cut(byte)).count();
    match std::str::from_utf8(&bytes[..kept]) {
        Ok(text) => {
            let upper = text.chars().flat_map(char::to_uppercase);
            upper.flat_map(char::to_lowercase).collect::<String>().into_bytes().into()
        }
        Err(_) => bytes[..kept].to_ascii_lowercase().into(),
    }
}
