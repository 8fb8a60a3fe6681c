//! Names that the copy's filesystem holds for equal though they are spelled otherwise, as FAT does.
//!
//! Inodes tell that two names are one file, except where a filesystem numbers its files by their names, or anew each
//! time. There names are compared by what they have in common: of those of one directory that the filesystem holds
//! for equal, the one that the copy already is spelled as is copied, or else the first to come; the others fail.

use std::{
    ffi::{CStr, CString},
    io,
    mem::MaybeUninit,
};

use crate::{
    cancel::Cancel,
    entry::Kind,
    error::{During, Fault, Op, Sided},
    platform::{self, Dir},
    refusal::Refusal,
    tree::{
        CreatedByDirectory, EntryRef, KnownSpellings, Spellings, TemporaryNames, each_name, folded,
        is_internal,
    },
};

/// The name with its ASCII letters in the other case, if it has any.
fn swapped(name: &CStr) -> Option<CString> {
    let other = |byte: &u8| {
        if byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
    };
    let swapped: Vec<u8> = name.to_bytes().iter().map(other).collect();
    (swapped != name.to_bytes()).then(|| CString::new(swapped).expect("no letter becomes a NUL"))
}

/// Whether a directory's filesystem folds case, by a file that is there for as long as the question takes.
fn try_folding(dir: &Dir, temporaries: &TemporaryNames) -> io::Result<bool> {
    let name = temporaries.next();
    // Not opened: what is removed while it is open changes its directory later on NFS and FUSE.
    dir.create_closed(&name, 0o600)?;
    let found = dir.stat(&swapped(&name).expect("it has letters"));
    dir.remove(&name)?; // one that is gone by now has told nothing
    match found {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Compares names as the copy's filesystem does.
pub(crate) struct Speller<'a> {
    pub(crate) cancel: &'a Cancel,
    pub(crate) temporaries: &'a TemporaryNames,
    /// Whether the run changes nothing.
    pub(crate) is_dry: bool,
    pub(crate) listing: &'a mut [MaybeUninit<u8>],
}

impl Speller<'_> {
    /// Refuse an entry whose name the copy's filesystem holds for equal to that of another one which the source has.
    ///
    /// `is_linked` says whether what is there under the name has others, so that its inode does not tell.
    pub(crate) fn claim_name(
        &mut self,
        at: EntryRef<'_>,
        target_name: &CStr,
        is_linked: bool,
    ) -> Result<(), Fault> {
        let EntryRef { node, dirs, .. } = at;
        let Some(made) = node.made.as_deref().filter(|_| !node.target_dir.is_absent()) else { return Ok(()) };
        if node.pair.is_numbered && !is_linked {
            return Ok(());
        }
        let Some(spellings) = self.spellings(at, made) else { return Ok(()) };
        let mut known = spellings.lock();
        let key = folded(target_name);
        let there = known.there.get(&key).map(Vec::as_slice).unwrap_or_default();
        if there.iter().any(|name| **name == *target_name) && there.len() > 1 {
            return Ok(()); // it holds them for different, since it has both
        }
        let other = match known.claimed.get(&key) {
            Some(other) if **other == *target_name => return Ok(()),
            Some(other) => Some(other.clone()),
            None if there.is_empty() || there.iter().any(|name| **name == *target_name) => None,
            // A file that was renamed in the source goes by its new name; its old one may be another's.
            None => self.find_in_source(at, there)?,
        };
        let Some(other) = other else {
            known.claimed.insert(key, target_name.into());
            return Ok(());
        };
        match dirs.target.stat(target_name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Fault::new(Op::Replace, error)),
            Ok(_) => {
                let other = platform::to_os(&other);
                let why = format!(
                    "the destination holds its name and {other:?}, which the source has too, for equal: \
                     give one of them another name"
                );
                Err(Fault::refused(Op::Replace, Refusal::EqualNames(why)))
            }
        }
    }

    /// The spellings of a directory of the copy, if its filesystem folds case.
    fn spellings<'a>(&mut self, at: EntryRef<'_>, made: &'a CreatedByDirectory) -> Option<&'a Spellings> {
        let EntryRef { node, dirs, .. } = at;
        let ask = || {
            let folds = if node.pair.is_numbered {
                platform::folds_case(&dirs.target) // each directory may do as it likes
            } else {
                match node.pair.folds.get() {
                    Some(folds) => *folds,
                    // Where it cannot be told, it may.
                    None => self
                        .ask_folding(&dirs.target)
                        .is_none_or(|folds| *node.pair.folds.get_or_init(|| folds)),
                }
            };
            folds.then(|| self.spellings_of(&dirs.target))
        };
        made.spellings.get_or_init(ask).as_ref()
    }

    fn spellings_of(&mut self, dir: &Dir) -> Spellings {
        let mut known = KnownSpellings::default();
        let listed = dir.open_dir(c".").and_then(|dir| {
            each_name(&dir, self.listing, self.cancel, |name| {
                if !is_internal(name) {
                    known.there.entry(folded(name)).or_default().push(name.into());
                }
                Ok(())
            })
        });
        if let Err(error) = listed {
            tracing::debug!(%error, "a directory whose filesystem folds case cannot be listed");
        }
        Spellings::new(known)
    }

    /// Whether a directory's filesystem folds case, if that can be told.
    fn ask_folding(&mut self, dir: &Dir) -> Option<bool> {
        let mut sample = None;
        // The first name with a letter is enough; a wrong kind of error ends the listing there.
        let _ = dir.open_dir(c".").and_then(|dir| {
            each_name(&dir, self.listing, self.cancel, |name| {
                sample = swapped(name).map(|swapped| (name.to_owned(), swapped));
                if sample.is_some() { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
            })
        });
        if let Some((name, swapped)) = sample
            && dir.stat(&swapped).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            && dir.stat(&name).is_ok()
        {
            return Some(false);
        }
        if self.is_dry {
            return None; // which changes nothing
        }
        try_folding(dir, self.temporaries).ok()
    }

    /// Which of these names of copies belongs to an entry that the source's directory has now.
    fn find_in_source(&mut self, at: EntryRef<'_>, names: &[Box<CStr>]) -> Result<Option<Box<CStr>>, Fault> {
        let EntryRef { node, dirs, .. } = at;
        if node.source.is_none() {
            return Ok(None); // what else lies beside the source is no part of it
        }
        let mut found = None;
        let listed = dirs.source.open_dir(c".").and_then(|dir| {
            each_name(&dir, self.listing, self.cancel, |name| {
                let copies = [Kind::File, Kind::Directory].map(|kind| node.place.target_name(name, kind));
                let mut its = names.iter().filter(|copy| copies.iter().any(|name| **name == ***copy));
                found = found.take().or_else(|| its.next().cloned());
                Ok(())
            })
        });
        listed.during(Op::List).in_source()?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_filesystem_holds_for_equal_have_one_key() {
        for (one, other) in [
            (c"readme", c"README"),
            (c"Straße", c"STRASSE"),
            (c"ÅÉÎ", c"åéî"),
            (c"σς", c"ΣΣ"),
            (c"name", c"name. ."),
            (c"a\xff", c"A\xff"),
        ] {
            assert_eq!(folded(one), folded(other), "{one:?} {other:?}");
        }
        assert_ne!(folded(c"a"), folded(c"b"));
        assert_ne!(folded(c".a"), folded(c"a"));
        assert_ne!(folded(c"a.b"), folded(c"ab"));
    }

    #[test]
    fn letters_are_swapped_where_there_are_any() {
        assert_eq!(swapped(c"aB-1").as_deref(), Some(c"Ab-1"));
        assert_eq!(swapped(c"1-2"), None);
    }

    #[test]
    fn a_filesystem_that_does_not_fold_is_told_and_nothing_is_left() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let folds = try_folding(&dir, &TemporaryNames::new()).unwrap();
        assert_eq!(folds, cfg!(not(target_os = "linux")));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
