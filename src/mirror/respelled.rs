//! Names of the copy that are its filesystem's spellings of names that the source has.
//!
//! Where case is folded `README` is found as `Readme`, and nothing in the source has the name that is listed.

use std::{
    collections::HashSet,
    ffi::{CStr, CString},
    io,
};

use super::Deleter;
use crate::{
    entry::FileId,
    error::{During, Fault, Op, Sided},
    options::Compression,
    platform::{Dir, Names},
    tree::names_in,
};

impl Deleter<'_> {
    /// Those of `names`, which the directory `to` of the copy has and `from` of the source lacks, that the
    /// copy answers with where it is asked for a name of the source.
    ///
    /// Where a filesystem takes names as they are, that costs a look for each of them.
    pub(crate) fn respelled(
        &mut self,
        (from, to): (&Dir, &Dir),
        names: &Names,
    ) -> Result<HashSet<CString>, Fault> {
        let mut respelled = HashSet::new();
        let mut may_be = false;
        for name in (0..names.len()).map(|index| names.get(index).0) {
            may_be = may_be || takes_other_spelling(to, name).during(Op::Stat).in_copy()?;
        }
        if !may_be {
            return Ok(respelled);
        }
        let there = names_in(to, self.listing).during(Op::List).in_copy()?;
        let there: HashSet<&CStr> = (0..there.len()).map(|index| there.get(index).0).collect();
        let wanted = names_in(from, self.listing).during(Op::List)?;
        for name in (0..wanted.len()).map(|index| wanted.get(index).0) {
            for copy_name in copy_names(self.setting.job.compression, name) {
                if there.contains(&*copy_name) {
                    continue;
                }
                let found = match to.stat(&copy_name) {
                    Err(error) if is_none(&error) => continue,
                    found => found.during(Op::Stat).in_copy()?,
                };
                let before = respelled.len();
                respelled.extend(
                    there.iter().filter(|name| are_alike(name, &copy_name)).map(|name| (*name).to_owned()),
                );
                if respelled.len() == before {
                    respelled.extend(names_of(to, &there, found.id)?);
                }
                if respelled.len() == before {
                    let why = "this filesystem takes one name for another, and does not show which; \
                               nothing in it is deleted";
                    return Err(Fault::refused(Op::Remove, why));
                }
            }
        }
        Ok(respelled)
    }
}

/// The names that the copy of what the source calls `name` may have.
fn copy_names(compression: Compression, name: &CStr) -> Vec<CString> {
    let mut names = vec![name.to_owned()];
    let copy_name = compression.copy_name(name);
    if *copy_name != *name {
        names.push(copy_name.into_owned());
    }
    names
}

/// Whether a directory may answer with `name` where another name is asked for.
fn takes_other_spelling(dir: &Dir, name: &CStr) -> io::Result<bool> {
    let Some(other) = other_spelling(name) else { return Ok(true) };
    match dir.stat(&other) {
        Err(error) if is_none(&error) => Ok(false),
        found => found.map(|_| true),
    }
}

/// A name that is the same as this one wherever any two are; only that of plain letters is known.
fn other_spelling(name: &CStr) -> Option<CString> {
    let mut bytes = name.to_bytes().to_vec();
    if !bytes.is_ascii() {
        return None; // accents may be letters of their own, or be in two orders
    }
    match bytes.iter_mut().find(|byte| byte.is_ascii_alphabetic()) {
        Some(letter) => *letter ^= 0x20,
        // FAT takes no account of it.
        None => bytes.push(b'.'),
    }
    CString::new(bytes).ok()
}

fn is_none(error: &io::Error) -> bool {
    // What has another letter is as long as what is there, and what has a dot more may be too long.
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename)
}

/// Whether two names differ in case alone, where inodes cannot tell.
fn are_alike(one: &CStr, other: &CStr) -> bool {
    let [one, other] = [one, other].map(|name| name.to_string_lossy().to_lowercase());
    one.trim_end_matches(['.', ' ']) == other.trim_end_matches(['.', ' '])
}

/// The names of an inode in a directory.
fn names_of(dir: &Dir, names: &HashSet<&CStr>, id: FileId) -> Result<Vec<CString>, Fault> {
    let mut found = Vec::new();
    for name in names {
        match dir.stat(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            there => {
                if there.during(Op::Stat).in_copy()?.id == id {
                    found.push((*name).to_owned());
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_spelling_differs_in_one_letter() {
        for (name, other) in [
            (c"readme", Some(c"Readme")),
            (c"-X1", Some(c"-x1")),
            (c"123", Some(c"123.")),
            (c"\xc3\xa9", None),
        ] {
            assert_eq!(other_spelling(name).as_deref(), other);
        }
    }

    #[test]
    fn names_are_alike_that_differ_in_case_alone() {
        assert!(
            are_alike(c"README.md", c"Readme.md") && are_alike(c"\xc3\x89t\xc3\xa9", c"\xc3\xa9t\xc3\xa9")
        );
        assert!(are_alike(c"a.", c"A") && !are_alike(c"a", c"b"));
    }
}
