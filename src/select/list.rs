//! Lists of the names that are wanted of a source.

use std::{
    collections::BTreeMap,
    ffi::CStr,
    fs,
    io::{self, BufRead, Read},
    path::{self, Component, Path, PathBuf},
    sync::Arc,
};

use crate::platform;

/// The names below a source that are to be copied, with everything that they hold; directories that lead
/// there are created. Each name takes some 100 bytes of memory beside its text.
#[derive(Clone, Debug, Default)]
pub struct FileList {
    root: Arc<Wanted>,
    carriage_returns: u64,
}

/// What is wanted of a directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// All of it.
    pub(crate) whole: bool,
    /// It was named as a directory, with a slash at the end.
    as_directory: bool,
    pub(crate) below: BTreeMap<Box<CStr>, Arc<Wanted>>,
}

impl Wanted {
    /// Why this has to be a directory, if it has to.
    pub(crate) fn behind(&self) -> Option<String> {
        let mut names = self.below.keys();
        match names.next() {
            Some(first) => {
                let first = platform::to_os(first);
                let others = match names.len() {
                    0 => String::new(),
                    others => format!(" and {others} more"),
                };
                Some(format!("the list names {first:?}{others} in it"))
            }
            None => self.as_directory.then(|| "the list names it as a directory".to_owned()),
        }
    }
}

/// A name in a list that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadName {
    /// The list could not be read.
    #[error("the list cannot be read")]
    Io(#[from] io::Error),
    /// It is absolute and not below the source, or leads out of that.
    #[error(
        "name {number} of the list, {name:?}, leads out of the source: it must lie below it, and be without .."
    )]
    Outside {
        /// Which one, from 1.
        number: u64,
        /// The name.
        name: PathBuf,
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
    /// Read names that end in `separator`: a line feed, or NUL. A byte order mark before the first line is no part
    /// of it.
    ///
    /// # Errors
    /// Those of the reader, and for names that cannot be used, such as absolute ones: none is used then.
    pub fn read(from: impl BufRead, separator: u8) -> Result<FileList, BadName> {
        Self::read_with(from, separator, &mut Base::default())
    }

    /// The same, where absolute names are those of entries below the one `source`, and lose what leads there.
    ///
    /// # Errors
    /// As those of [`FileList::read`]; for absolute names that are not below the source, too.
    pub fn read_below(source: &Path, from: impl BufRead, separator: u8) -> Result<FileList, BadName> {
        Self::read_with(from, separator, &mut Base::of(source))
    }

    fn read_with(mut from: impl BufRead, separator: u8, base: &mut Base) -> Result<FileList, BadName> {
        let mut list = FileList::default();
        let mut name = Vec::new();
        let mut number = 0;
        loop {
            name.clear();
            if from.by_ref().take(NAME_MAX + 2).read_until(separator, &mut name)? == 0 {
                return Ok(list);
            }
            number += 1;
            name.pop_if(|last| *last == separator);
            if name.len() as u64 > NAME_MAX {
                return Err(BadName::TooLong { number });
            }
            if separator == b'\n' {
                if number == 1 && name.starts_with(b"\xef\xbb\xbf") {
                    name.drain(..3);
                }
                list.carriage_returns += u64::from(name.ends_with(b"\r"));
            }
            if !name.is_empty() {
                let as_directory = name.ends_with(b"/") || name.ends_with(b"/.");
                let not_a_name = || BadName::NotAName { number };
                let path = platform::path_of_bytes(std::mem::take(&mut name)).ok_or_else(not_a_name)?;
                let below = match path.has_root() || path.is_absolute() {
                    true => base.strip(&path),
                    false => Some(path.clone()),
                };
                let outside = || BadName::Outside { number, name: path.clone() };
                let below = below.ok_or_else(outside)?;
                if below.components().any(|part| !matches!(part, Component::CurDir | Component::Normal(_))) {
                    return Err(outside());
                }
                let wanted = find(&mut list.root, &below).map_err(|_| not_a_name())?;
                wanted.whole = true;
                wanted.as_directory |= as_directory;
            }
        }
    }

    /// How many lines end in a carriage return, which is then part of their names: a list that was written on
    /// Windows has one in each.
    #[must_use]
    pub fn carriage_returns(&self) -> u64 {
        self.carriage_returns
    }

    pub(crate) fn root(&self) -> &Arc<Wanted> {
        &self.root
    }
}

/// What absolute names lose.
#[derive(Default)]
struct Base {
    /// The source, without links.
    real: Option<PathBuf>,
    /// Paths by which it is known.
    known: Vec<PathBuf>,
}

impl Base {
    fn of(source: &Path) -> Base {
        let real = fs::canonicalize(source).ok();
        let known = path::absolute(source).ok().into_iter().chain(real.clone()).collect();
        Base { real, known }
    }

    /// What of an absolute path is below the source.
    fn strip(&mut self, path: &Path) -> Option<PathBuf> {
        if let Some(below) = self.known.iter().find_map(|known| path.strip_prefix(known).ok()) {
            return Some(below.to_owned());
        }
        let real = self.real.as_deref()?;
        let above: Vec<_> = path.ancestors().collect();
        // From the top, as the names below may be links that lead back.
        let known =
            above.into_iter().rev().find(|above| fs::canonicalize(above).is_ok_and(|above| above == real))?;
        self.known.push(known.to_owned());
        path.strip_prefix(known).ok().map(Path::to_owned)
    }
}

/// What is wanted of the entry at `path`, which is wanted somehow from now on.
fn find<'a>(root: &'a mut Arc<Wanted>, path: &Path) -> io::Result<&'a mut Wanted> {
    let mut at = root;
    for part in path.components().filter(|part| *part != Component::CurDir) {
        let name = platform::to_name(part.as_os_str())?;
        at = unshared(at).below.entry(name.into_boxed_c_str()).or_default();
    }
    Ok(unshared(at))
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
            (b"\xef\xbb\xbfa\nb/\n", "(a! b!)"),
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

    #[test]
    fn absolute_names_below_the_source_lose_what_leads_there() {
        let source = std::env::current_dir().unwrap();
        let text = format!("{0}/a/b\n{0}/./c/\nd\n", source.display());
        for from in [&source, Path::new("."), &source.join("src/..")] {
            let list = FileList::read_below(from, text.as_bytes(), b'\n').unwrap();
            assert_eq!(shown(list.root()), "(a(b!) c! d!)", "{}", from.display());
        }
        let above = format!("{}\n", source.parent().unwrap().display());
        for text in ["/nowhere/a", &above, &format!("{}/../a", source.display())] {
            let refused = FileList::read_below(&source, text.as_bytes(), b'\n');
            assert!(matches!(refused, Err(BadName::Outside { number: 1, .. })), "{text}");
        }
        assert!(FileList::read(text.as_bytes(), b'\n').is_err());
    }

    #[test]
    fn carriage_returns_are_counted() {
        let list = FileList::read(&b"a\r\nb\r\nc\n"[..], b'\n').unwrap();
        assert_eq!((list.carriage_returns(), shown(list.root())), (2, "(a\r! b\r! c!)".to_owned()));
        assert_eq!(FileList::read(&b"a\r\0"[..], 0).unwrap().carriage_returns(), 0);
    }

    #[test]
    fn names_that_have_to_be_directories_say_why() {
        let list = FileList::read(&b"a\nb/\nc/x\nc/y\nd/."[..], b'\n').unwrap();
        let behind = |name: &CStr| list.root().below[name].behind();
        assert_eq!(behind(c"a"), None);
        assert_eq!(behind(c"b").as_deref(), Some("the list names it as a directory"));
        assert_eq!(behind(c"c").as_deref(), Some("the list names \"x\" and 1 more in it"));
        assert!(behind(c"d").is_some());
    }

    proptest! {
        #[test]
        fn no_list_breaks_the_parser(bytes: Vec<u8>) {
            let _ = FileList::read(&bytes[..], b'\n');
            let _ = FileList::read(&bytes[..], 0);
        }
    }
}
