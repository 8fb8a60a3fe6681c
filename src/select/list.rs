//! Lists of the names that are wanted of a source.

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString},
    io::{self, BufRead, Read},
    path::{Component, Path},
    sync::Arc,
};

use crate::platform;

/// The names below a source that are to be copied, with everything that they hold; directories that lead
/// there are created. Each name takes some 100 bytes of memory beside its text.
#[derive(Clone, Debug, Default)]
pub struct FileList(Arc<Wanted>);

/// What is wanted of a directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// All of it.
    pub(crate) whole: bool,
    pub(crate) below: BTreeMap<Box<CStr>, Arc<Wanted>>,
}

/// A name in a list that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadName {
    /// The list could not be read.
    #[error("the list cannot be read")]
    Io(#[from] io::Error),
    /// It is absolute, or leads out of the source.
    #[error("name {number} of the list leads out of the source: it must be relative, and without ..")]
    Outside {
        /// Which one, from 1.
        number: u64,
    },
    /// It is longer than any path may be.
    #[error("name {number} of the list is longer than 4096 bytes")]
    TooLong {
        /// Which one, from 1.
        number: u64,
    },
    /// It is no name on this system.
    #[error("name {number} of the list is none that this system can have")]
    NotAName {
        /// Which one, from 1.
        number: u64,
    },
}

/// The longest name, in bytes (`PATH_MAX`); it bounds the depth as well.
const NAME_MAX: u64 = 4096;

impl FileList {
    /// Read names that end in `separator`: a line feed, or NUL.
    ///
    /// # Errors
    /// Those of the reader, and for names that cannot be used: none is used then.
    pub fn read(mut from: impl BufRead, separator: u8) -> Result<FileList, BadName> {
        let mut root = Arc::new(Wanted::default());
        let mut name = Vec::new();
        let mut number = 0;
        loop {
            name.clear();
            if from.by_ref().take(NAME_MAX + 2).read_until(separator, &mut name)? == 0 {
                return Ok(FileList(root));
            }
            number += 1;
            name.pop_if(|last| *last == separator);
            if name.len() as u64 > NAME_MAX {
                return Err(BadName::TooLong { number });
            }
            if !name.is_empty() {
                let not_a_name = || BadName::NotAName { number };
                let path = platform::path_of_bytes(std::mem::take(&mut name)).ok_or_else(not_a_name)?;
                add(&mut root, &path, number)?;
            }
        }
    }

    pub(crate) fn root(&self) -> &Arc<Wanted> {
        &self.0
    }
}

fn add(root: &mut Arc<Wanted>, path: &Path, number: u64) -> Result<(), BadName> {
    let mut at = root;
    for part in path.components() {
        let name: CString = match part {
            Component::CurDir => continue,
            Component::Normal(name) => platform::to_name(name).map_err(|_| BadName::NotAName { number })?,
            _ => return Err(BadName::Outside { number }),
        };
        at = unshared(at).below.entry(name.into_boxed_c_str()).or_default();
    }
    unshared(at).whole = true;
    Ok(())
}

fn unshared(wanted: &mut Arc<Wanted>) -> &mut Wanted {
    Arc::get_mut(wanted).expect("nobody else has a list in the making")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(wanted: &Wanted) -> String {
        let below =
            wanted.below.iter().map(|(name, child)| format!("{}{}", name.to_string_lossy(), shown(child)));
        let below: Vec<_> = below.collect();
        let mark = if wanted.whole { "!" } else { "" };
        if below.is_empty() { mark.to_owned() } else { format!("{mark}({})", below.join(" ")) }
    }

    #[test]
    fn names_become_a_tree() {
        for (text, expected) in [
            (&b"a\nb/c\nb/d/e\n"[..], "(a! b(c! d(e!)))"),
            (b"./a\n\n././b//c/", "(a! b(c!))"),
            (b"b\nb/c", "(b!(c!))"),
            (b".", "!"),
            (b"", ""),
        ] {
            assert_eq!(shown(FileList::read(text, b'\n').unwrap().root()), expected);
        }
        assert_eq!(shown(FileList::read(&b"a\nb\0c"[..], 0).unwrap().root()), "(a\nb! c!)");
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for text in ["/a", "a\n..", "a/../../b"] {
            let refused = FileList::read(text.as_bytes(), b'\n');
            assert!(matches!(refused, Err(BadName::Outside { .. })), "{text}");
        }
        let long = "x/".repeat(3000);
        assert!(matches!(FileList::read(long.as_bytes(), b'\n'), Err(BadName::TooLong { number: 1 })));
    }

    proptest! {
        #[test]
        fn no_list_breaks_the_parser(bytes: Vec<u8>) {
            let _ = FileList::read(&bytes[..], b'\n');
            let _ = FileList::read(&bytes[..], 0);
        }
    }
}
