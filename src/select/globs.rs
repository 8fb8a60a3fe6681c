//! Many patterns, of which the first that matches is asked for.

use std::cmp::Ordering;

use super::glob::{Dialect, is_special, literal, matches};

/// Patterns in the order of their precedence.
///
/// A pattern takes its text and 16 bytes. Those that are literals are found by searching, and so are those of an
/// asterisk and a literal; the others are tried one after the other.
#[derive(Debug)]
pub(super) struct Globs {
    dialect: Dialect,
    text: Vec<u8>,
    items: Vec<Item>,
    /// Literals for the last part of a path, by their text.
    names: Vec<u32>,
    /// Literals for a whole path, by their text.
    paths: Vec<u32>,
    /// Literals for the end of the last part (`*.o`), by their text, which is without the asterisk.
    ends: Vec<u32>,
    /// How long the shortest of these is, and the longest.
    end_lengths: [usize; 2],
    /// All others, in their order.
    others: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    from: u32,
    len: u32,
    against: Against,
    for_directories: bool,
}

/// What of a path a pattern is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// The last part.
    Name,
    /// All of it.
    Path,
    /// All that follows any slash of it, and itself.
    Tail,
}

/// There is no room for more patterns.
#[derive(Debug)]
pub(super) struct TooMany;

impl Globs {
    pub(super) fn new(dialect: Dialect) -> Globs {
        Globs {
            dialect,
            text: Vec::new(),
            items: Vec::new(),
            names: Vec::new(),
            paths: Vec::new(),
            ends: Vec::new(),
            end_lengths: [usize::MAX, 0],
            others: Vec::new(),
        }
    }

    /// Add the pattern that comes next.
    pub(super) fn add(
        &mut self,
        pattern: &[u8],
        against: Against,
        for_directories: bool,
    ) -> Result<(), TooMany> {
        let plain = literal(pattern).filter(|_| against != Against::Tail);
        let end = pattern.strip_prefix(b"*").and_then(literal).filter(|_| against == Against::Name);
        let text = plain.as_deref().or(end.as_deref()).unwrap_or(pattern);
        let fits = |count: usize| u32::try_from(count).map_err(|_| TooMany);
        let item = Item { from: fits(self.text.len())?, len: fits(text.len())?, against, for_directories };
        let index = fits(self.items.len())?;
        self.text.extend_from_slice(text);
        self.items.push(item);
        match (plain, end, against) {
            (None, Some(end), _) => {
                let [shortest, longest] = self.end_lengths;
                self.end_lengths = [shortest.min(end.len()), longest.max(end.len())];
                self.ends.push(index);
            }
            (None, None, _) => self.others.push(index),
            (Some(_), _, Against::Name) => self.names.push(index),
            (Some(_), ..) => self.paths.push(index),
        }
        Ok(())
    }

    /// All are added.
    pub(super) fn finish(mut self) -> Globs {
        let lists = [&mut self.names, &mut self.paths, &mut self.ends];
        let [mut names, mut paths, mut ends] = lists.map(std::mem::take);
        for literals in [&mut names, &mut paths, &mut ends] {
            // One text's stay in their order.
            literals.sort_by(|one, other| self.text_of(*one).cmp(self.text_of(*other)));
            literals.shrink_to_fit();
        }
        (self.names, self.paths, self.ends) = (names, paths, ends);
        self.text.shrink_to_fit();
        self.items.shrink_to_fit();
        self.others.shrink_to_fit();
        self
    }

    fn text_of(&self, index: u32) -> &[u8] {
        let Item { from, len, .. } = self.items[index as usize];
        &self.text[from as usize..][..len as usize]
    }

    /// Which pattern is the first to match `path`.
    pub(super) fn first(&self, path: &[u8], is_directory: bool) -> Option<usize> {
        let name = path.iter().rposition(|byte| *byte == b'/').map_or(path, |slash| &path[slash + 1..]);
        let concerns = |index: &u32| is_directory || !self.items[*index as usize].for_directories;
        let equal = |literals: &[u32], text: &[u8]| {
            let begins = literals.partition_point(|index| self.text_of(*index).cmp(text) == Ordering::Less);
            literals[begins..].iter().copied().take_while(|index| self.text_of(*index) == text).find(concerns)
        };
        let [shortest, longest] = self.end_lengths;
        let ends = (shortest..=longest.min(name.len())).map(|length| &name[name.len() - length..]);
        let literal = [equal(&self.names, name), equal(&self.paths, path)];
        let literal = literal.into_iter().chain(ends.map(|end| equal(&self.ends, end))).flatten().min();
        let before =
            self.others.iter().copied().take_while(|index| literal.is_none_or(|found| *index < found));
        let other = before.filter(concerns).find(|index| self.matches(*index, name, path));
        other.or(literal).map(|index| index as usize)
    }

    fn matches(&self, index: u32, name: &[u8], path: &[u8]) -> bool {
        let pattern = self.text_of(index);
        let does = |text: &[u8]| matches(pattern, text, self.dialect);
        match self.items[index as usize].against {
            Against::Name => does(name),
            Against::Tail => {
                let after = |at: &usize| *at == 0 || path[*at - 1] == b'/';
                (0..path.len()).filter(after).any(|at| does(&path[at..]))
            }
            Against::Path if self.dialect == Dialect::Git => {
                // What comes before the first special byte is compared apart from the rest, which then begins
                // anew: git takes `a**/b` for `a` and `**/b`.
                let plain = pattern.iter().position(|byte| is_special(*byte)).unwrap_or(pattern.len());
                path.strip_prefix(&pattern[..plain])
                    .is_some_and(|rest| matches(&pattern[plain..], rest, self.dialect))
            }
            Against::Path => does(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_matches_is_found_among_literals_and_others() {
        let mut globs = Globs::new(Dialect::Rules);
        for (pattern, against, for_directories) in [
            ("b", Against::Name, true),
            ("*.o", Against::Name, false),
            ("a/b", Against::Path, false),
            ("b", Against::Name, false),
            ("a/*", Against::Path, false),
            ("x**y", Against::Tail, false),
            ("a/k.o", Against::Path, false),
            ("*.tar.gz", Against::Name, true),
            ("*\\*", Against::Name, false),
            ("*gz", Against::Name, false),
            ("e.gz", Against::Name, false),
            ("*", Against::Name, true),
        ] {
            globs.add(pattern.as_bytes(), against, for_directories).unwrap();
        }
        let globs = globs.finish();
        for (path, is_directory, expected) in [
            ("b", true, Some(0)),
            ("b", false, Some(3)),
            ("a/b", true, Some(0)),
            ("a/b", false, Some(2)),
            ("a/k.o", false, Some(1)),
            ("a/c", false, Some(4)),
            ("d/x1/2y", false, Some(5)),
            ("d/ax1/2y", false, None),
            ("a", true, Some(11)),
            ("a", false, None),
            ("d/x.tar.gz", true, Some(7)),
            ("d/x.tar.gz", false, Some(9)),
            ("gz", false, Some(9)),
            ("d/e.gz", false, Some(9)),
            ("a*", false, Some(8)),
            ("o.", false, None),
        ] {
            assert_eq!(globs.first(path.as_bytes(), is_directory), expected, "{path}");
        }
    }
}
