//! `.gitignore` files of directories, the deepest deciding first (gitignore(5)).

use std::{path::Path, sync::Arc};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

/// The ignore files that hold in a directory: its own, and those above.
#[derive(Debug)]
pub(crate) struct Ignores {
    above: Option<Arc<Ignores>>,
    /// How many parts of a path lead from the source to the directory that this lies in.
    depth: usize,
    patterns: Gitignore,
}

impl Ignores {
    /// The name of an ignore file.
    pub(crate) const NAME: &std::ffi::CStr = c".gitignore";
    /// The longest ignore file that is read, in bytes.
    pub(crate) const SIZE_MAX: u64 = 8 << 20;

    /// Add the ignore file `text` of a directory `depth` parts below the source; lines that git would not
    /// understand are passed over, as git does.
    pub(crate) fn with(above: Option<Arc<Ignores>>, depth: usize, text: &[u8]) -> Arc<Ignores> {
        let mut builder = GitignoreBuilder::new("");
        for line in text.split(|byte| *byte == b'\n') {
            if let Ok(line) = std::str::from_utf8(line) {
                let _ = builder.add_line(None, line.strip_suffix('\r').unwrap_or(line));
            }
        }
        let patterns = builder.build().unwrap_or_else(|_| Gitignore::empty());
        Arc::new(Ignores { above, depth, patterns })
    }

    /// Whether the entry at `path`, relative to the source, is wanted.
    pub(crate) fn want(&self, path: &Path, is_directory: bool) -> bool {
        let mut at = Some(self);
        while let Some(ignores) = at {
            let below: &Path = &path.components().skip(ignores.depth).collect::<std::path::PathBuf>();
            match ignores.patterns.matched(below, is_directory) {
                Match::Ignore(_) => return false,
                Match::Whitelist(_) => return true,
                Match::None => at = ignores.above.as_deref(),
            }
        }
        true
    }
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
            assert_eq!(top.want(Path::new(path), is_directory), by_top, "{path}");
            assert_eq!(below.want(Path::new(path), is_directory), by_both, "{path}");
        }
    }
}
