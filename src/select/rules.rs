//! Patterns that include or exclude paths; the first that matches decides.

use std::{path::Path, sync::Arc};

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

/// A pattern, and what becomes of the paths that match it.
///
/// Paths are those below the source. A pattern with a slash in it (other than at its end) is matched
/// against the whole of the path, one without against its last part; one that ends in a slash matches
/// directories alone. `*` and `?` do not match a slash, `**` does; `[…]` and `{a,b}` are alternatives, and
/// a backslash takes a character's meaning away. What an excluded directory holds is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// They are wanted, whatever later rules say.
    Include(String),
    /// They are not.
    Exclude(String),
}

/// A pattern that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern {pattern:?} cannot be understood: {why}")]
pub struct BadPattern {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

/// The longest pattern that is taken, in bytes.
const PATTERN_MAX: usize = 4096;

impl Rule {
    fn pattern(&self) -> &str {
        match self {
            Rule::Include(pattern) | Rule::Exclude(pattern) => pattern,
        }
    }

    /// The rules in a text of one pattern a line; empty lines and those that begin with `#` are none.
    /// A backslash makes a first `#` part of the pattern.
    pub fn lines(text: &str, rule: impl Fn(String) -> Rule) -> impl Iterator<Item = Rule> {
        let lines = text.lines().map(|line| line.strip_suffix('\r').unwrap_or(line));
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(move |line| rule(line.to_owned()))
    }
}

/// Rules in their order, compiled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules(Option<Arc<Compiled>>);

#[derive(Debug)]
struct Compiled {
    globs: GlobSet,
    rules: Vec<Compiles>,
}

#[derive(Clone, Copy, Debug)]
struct Compiles {
    includes: bool,
    for_directories: bool,
}

impl Rules {
    pub(crate) fn compile(rules: impl IntoIterator<Item = Rule>) -> Result<Rules, BadPattern> {
        let mut globs = GlobSetBuilder::new();
        let mut compiled = Vec::new();
        for rule in rules {
            let pattern = rule.pattern();
            let bad = |why: String| BadPattern { pattern: pattern.chars().take(100).collect(), why };
            if pattern.len() > PATTERN_MAX {
                return Err(bad(format!("it is longer than {PATTERN_MAX} bytes")));
            }
            let (body, for_directories) = match pattern.strip_suffix('/') {
                Some(body) => (body, true),
                None => (pattern, false),
            };
            if body.is_empty() {
                return Err(bad("it is empty".into()));
            }
            let text = match body.strip_prefix('/') {
                Some(anchored) => anchored.to_owned(),
                None if body.contains('/') => body.to_owned(),
                None => format!("**/{body}"),
            };
            let mut glob = GlobBuilder::new(&text);
            let glob = glob.literal_separator(true).backslash_escape(true).build();
            globs.add(glob.map_err(|error| bad(error.kind().to_string()))?);
            compiled.push(Compiles { includes: matches!(rule, Rule::Include(_)), for_directories });
        }
        if compiled.is_empty() {
            return Ok(Rules(None));
        }
        let all = || BadPattern { pattern: String::new(), why: String::new() };
        let globs = globs.build().map_err(|error| BadPattern { why: error.to_string(), ..all() })?;
        Ok(Rules(Some(Arc::new(Compiled { globs, rules: compiled }))))
    }

    pub(crate) fn are_none(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the entry at `path` is wanted, as far as the rules say.
    pub(crate) fn want(&self, path: &Path, is_directory: bool) -> bool {
        let Some(compiled) = &self.0 else { return true };
        let matching = compiled.globs.matches_candidate(&Candidate::new(path));
        let applies = |rule: &&Compiles| is_directory || !rule.for_directories;
        // In the order of the rules.
        let first = matching.iter().map(|index| &compiled.rules[*index]).find(applies);
        first.is_none_or(|rule| rule.includes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(text: &str) -> Rules {
        let rule = |part: &str| match part.split_at(1) {
            ("+", pattern) => Rule::Include(pattern.to_owned()),
            (_, pattern) => Rule::Exclude(pattern.to_owned()),
        };
        Rules::compile(text.split_whitespace().map(rule)).unwrap()
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        for (text, wanted, unwanted) in [
            ("-*.o", &["a", "d/a.c", "o"][..], &["a.o", "d/a.o", ".o"][..]),
            ("+keep.o -*.o", &["keep.o", "d/keep.o"], &["a.o"]),
            ("-*.o +keep.o", &["a"], &["keep.o", "d/keep.o"]),
            ("-/a", &["d/a", "b"], &["a"]),
            ("-d/a", &["a", "e/d/a"], &["d/a"]),
            ("-d/*", &["d", "d/a/b"], &["d/a"]),
            ("-d/**", &["d"], &["d/a", "d/a/b"]),
            ("-**/t/x", &["x", "t"], &["t/x", "a/t/x"]),
            ("-tmp/", &["tmp"], &["tmp/", "d/tmp/"]),
            ("-[ab]?.{x,y}", &["cc.x", "a.x"], &["ab.x", "bz.y"]),
            ("-\\*", &["a"], &["*"]),
            ("+*/ +*.rs -*", &["a/", "d/a.rs"], &["a.c", "d/b"]),
        ] {
            let want = |path: &&&str| {
                rules(text).want(Path::new(path.strip_suffix('/').unwrap_or(path)), path.ends_with('/'))
            };
            assert_eq!(wanted.iter().filter(want).count(), wanted.len(), "{text}: {wanted:?}");
            assert_eq!(unwanted.iter().filter(want).count(), 0, "{text}: {unwanted:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_no_text_match_as_bytes() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let path = Path::new(OsStr::from_bytes(b"d/\xff\n.o"));
        assert!(!rules("-*.o").want(path, false));
        assert!(rules("-*.c").want(path, false));
    }

    #[test]
    fn bad_patterns_are_refused_with_a_reason() {
        for pattern in ["", "/", "[a", "{a", &"x".repeat(5000)] {
            let refused = Rules::compile([Rule::Exclude(pattern.to_owned())]);
            assert!(refused.is_err_and(|bad| !bad.why.is_empty()), "{pattern:?}");
        }
    }

    #[test]
    fn a_text_has_a_pattern_a_line() {
        let text = "# comment\n\n*.o\r\n\\#a\n";
        let lines: Vec<_> = Rule::lines(text, Rule::Exclude).collect();
        assert_eq!(lines, [Rule::Exclude("*.o".into()), Rule::Exclude("\\#a".into())]);
    }

    proptest! {
        #[test]
        fn no_text_of_patterns_breaks_the_parser(text in "\\PC{0,40}(\n\\PC{0,40}){0,4}", path in "\\PC{0,30}") {
            if let Ok(rules) = Rules::compile(Rule::lines(&text, Rule::Exclude)) {
                rules.want(Path::new(&path), false);
            }
        }
    }
}
