//! `.gitignore` files of directories, the deepest deciding first (gitignore(5)).

use std::sync::Arc;

use super::{
    glob::Dialect,
    globs::{Against, Globs},
};

/// The ignore files that hold in a directory: its own, and those above.
#[derive(Debug)]
pub(crate) struct Ignores {
    above: Option<Arc<Ignores>>,
    /// How many parts of a path lead from the source to the directory that this lies in.
    depth: usize,
    /// How many bytes this file and those above have.
    bytes: u64,
    /// The last line comes first.
    patterns: Globs,
    /// For each, whether it takes back what others ignore.
    takes_back: Vec<bool>,
}

impl Ignores {
    /// The name of an ignore file.
    pub(crate) const NAME: &std::ffi::CStr = c".gitignore";
    /// The most bytes that ignore files may have which hold in one directory; they take some nine times as much
    /// memory where every line is a single letter, and little more than their text where lines are as long as usual.
    pub(crate) const SIZE_MAX: u64 = 16 << 20;

    /// How many bytes the file of a directory below may have.
    pub(crate) fn room_below(above: Option<&Ignores>) -> u64 {
        Self::SIZE_MAX - above.map_or(0, |ignores| ignores.bytes)
    }

    /// Add the ignore file `text` of a directory `depth` parts below the source.
    ///
    /// It is read byte by byte as git reads it, so it need not be UTF-8.
    pub(crate) fn with(above: Option<Arc<Ignores>>, depth: usize, text: &[u8]) -> Arc<Ignores> {
        let bytes = Self::SIZE_MAX.min(text.len() as u64 + above.as_ref().map_or(0, |above| above.bytes));
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut patterns = Globs::new(Dialect::Git);
        let mut takes_back = Vec::new();
        for line in text.rsplit(|byte| *byte == b'\n').filter_map(Line::of) {
            let added = patterns.add(line.pattern, line.against, line.for_directories);
            added.expect("a file of that size has no more patterns than can be counted");
            takes_back.push(line.takes_back);
        }
        takes_back.shrink_to_fit();
        Arc::new(Ignores { above, depth, bytes, patterns: patterns.finish(), takes_back })
    }

    /// Whether the entry at `path`, relative to the source, is wanted.
    pub(crate) fn want(&self, path: &[u8], is_directory: bool) -> bool {
        let mut at = Some(self);
        while let Some(ignores) = at {
            let mut below = path;
            for _ in 0..ignores.depth {
                let slash = below.iter().position(|byte| *byte == b'/');
                below = slash.map_or(&[][..], |slash| &below[slash + 1..]);
            }
            if let Some(first) = ignores.patterns.first(below, is_directory) {
                return ignores.takes_back[first];
            }
            at = ignores.above.as_deref();
        }
        true
    }
}

/// A pattern of an ignore file.
struct Line<'a> {
    pattern: &'a [u8],
    against: Against,
    for_directories: bool,
    takes_back: bool,
}

impl Line<'_> {
    fn of(line: &[u8]) -> Option<Line<'_>> {
        if line.first() == Some(&b'#') {
            return None;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = without_spaces(line.split(|byte| *byte == 0).next().unwrap_or_default());
        let (line, takes_back) = match line.strip_prefix(b"!") {
            Some(line) => (line, true),
            None => (line, false),
        };
        let (line, for_directories) = match line.strip_suffix(b"/") {
            Some(line) => (line, true),
            None => (line, false),
        };
        let against = if line.contains(&b'/') { Against::Path } else { Against::Name };
        let pattern = line.strip_prefix(b"/").unwrap_or(line);
        (!pattern.is_empty()).then_some(Line { pattern, against, for_directories, takes_back })
    }
}

/// Without the spaces at its end that no backslash keeps.
fn without_spaces(line: &[u8]) -> &[u8] {
    let kept = line.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    let backslashes = line[..kept].iter().rev().take_while(|byte| **byte == b'\\').count();
    &line[..(kept + backslashes % 2).min(line.len())]
}

/// Read a file of any bytes, and ask it for a path.
#[cfg(fuzzing)]
pub fn fuzz(text: &[u8], path: &[u8]) {
    let above = Ignores::with(None, 0, text);
    let both = Ignores::with(Some(above), 1, text);
    both.want(path, path.len() % 2 == 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_file_that_says_anything_decides() {
        let top = Ignores::with(None, 0, b"*.o\n/only-top\nbuild/\n# comment\n");
        let below = Ignores::with(Some(top.clone()), 1, b"!keep.o\nd/inner\n");
        for (path, is_directory, by_top, by_both) in [
            ("d/a.o", false, false, false),
            ("d/keep.o", false, false, true),
            ("only-top", false, false, false),
            ("d/only-top", false, true, true),
            ("d/build", true, false, false),
            ("d/build", false, true, true),
            ("d/d/inner", false, true, false),
        ] {
            assert_eq!(top.want(path.as_bytes(), is_directory), by_top, "{path}");
            assert_eq!(below.want(path.as_bytes(), is_directory), by_both, "{path}");
        }
    }

    #[test]
    fn lines_are_read_as_git_reads_them() {
        for (text, unwanted, wanted) in [
            (&b"\xef\xbb\xbfa\nb"[..], &[&b"a"[..], b"b"][..], &[&b"c"[..]][..]),
            (b"caf\xe9\n", &[b"caf\xe9"], &[b"caf"]),
            (b"a\r\nb\r", &[b"a", b"b"], &[b"a\r"]),
            (b"a\r\r\n", &[b"a\r"], &[b"a"]),
            (b"a  \nb\\ \nc\\\\ \n", &[b"a", b"b ", b"c\\"], &[b"a ", b"b", b"c"]),
            (b"\\#a\n\\!b\n#c\n", &[b"#a", b"!b"], &[b"c", b"#c"]),
            (b"a\0b\n", &[b"a"], &[b"ab"]),
            (b"a\n!a\nb\n", &[b"b"], &[b"a"]),
            (b"!a\na\n", &[b"a"], &[b"b"]),
            (b"{a,b}\n", &[b"{a,b}"], &[b"a"]),
            (b"[\n\\\n/\n!\n\na", &[b"a"], &[b"[", b"\\"]),
            (b"a**/b\n", &[b"ab", b"a/x/b"], &[b"x/ab"]),
        ] {
            let ignores = Ignores::with(None, 0, text);
            for path in unwanted {
                assert!(!ignores.want(path, false), "{text:?} {path:?}");
            }
            for path in wanted {
                assert!(ignores.want(path, false), "{text:?} {path:?}");
            }
        }
    }

    #[test]
    fn files_together_are_no_larger_than_one_may_be() {
        let above = Ignores::with(None, 0, &[b'\n'; 100]);
        assert_eq!(Ignores::room_below(None), Ignores::SIZE_MAX);
        assert_eq!(Ignores::room_below(Some(&above)), Ignores::SIZE_MAX - 100);
    }

    #[test]
    fn tens_of_thousands_of_patterns_hold() {
        let mut text = b"secret.key\n".to_vec();
        (0..60_000).for_each(|number| text.extend(format!("*x{number}*y*z*\n").bytes()));
        let ignores = Ignores::with(None, 0, &text);
        assert!(!ignores.want(b"secret.key", false) && !ignores.want(b"ax59999yz", false));
        assert!(ignores.want(b"secret.keys", false));
    }
}
