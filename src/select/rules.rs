//! Patterns that include or exclude paths; the first that matches decides.

use std::sync::Arc;

use super::{
    glob::{self, Dialect},
    globs::{Against, Globs},
};

/// A pattern, and what becomes of the paths that match it.
///
/// Paths are those below the source. A pattern with a slash in it (other than at its end) is matched
/// against the whole of the path, one without against its last part, or where it has a `**` against any last
/// parts; one that ends in a slash matches directories alone. `*` and `?` do not match a slash, `**` does wherever
/// it stands, and `**/` where a part begins may also match nothing; `/***` at the end is `/**` and the directory
/// itself. `[…]` is any of some bytes, of those between two (`a-z`), or of a class (`[:alpha:]`), and of all
/// others after a `!` or `^`. A backslash takes a character's meaning away. Braces mean nothing. Names are
/// compared byte by byte. What an excluded directory holds is not looked at.
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
    /// The pattern.
    #[must_use]
    pub fn pattern(&self) -> &str {
        match self {
            Rule::Include(pattern) | Rule::Exclude(pattern) => pattern,
        }
    }

    /// Add the rules in a text of one a line to those that come before, as rsync reads such files.
    ///
    /// A line is a pattern for `rule`, behind `+ ` one to include and behind `- ` one to exclude. Empty lines and
    /// those that begin with `#` or `;` are none. A line of nothing but `!` takes back all rules so far, also
    /// those in `rules`. A backslash makes a first `#`, `;`, `!`, `+` or `-` part of the pattern.
    pub fn add_lines(rules: &mut Vec<Rule>, text: &str, rule: impl Fn(String) -> Rule) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for line in text.lines().map(|line| line.strip_suffix('\r').unwrap_or(line)) {
            match line.as_bytes() {
                [] | [b'#' | b';', ..] => {}
                b"!" => rules.clear(),
                [b'+', b' ', ..] => rules.push(Rule::Include(line[2..].to_owned())),
                [b'-', b' ', ..] => rules.push(Rule::Exclude(line[2..].to_owned())),
                _ => rules.push(rule(line.to_owned())),
            }
        }
    }
}

/// Rules in their order, compiled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules(Option<Arc<Compiled>>);

#[derive(Debug)]
struct Compiled {
    globs: Globs,
    /// Which rule each pattern is of.
    of: Vec<u32>,
    rules: Vec<Rule>,
}

impl Rules {
    pub(crate) fn compile(rules: impl IntoIterator<Item = Rule>) -> Result<Rules, BadPattern> {
        let rules: Vec<Rule> = rules.into_iter().collect();
        if rules.is_empty() {
            return Ok(Rules(None));
        }
        let mut globs = Globs::new(Dialect::Rules);
        let mut of = Vec::new();
        for (index, rule) in (0..).zip(&rules) {
            let pattern = rule.pattern();
            let bad = |why: String| BadPattern { pattern: pattern.chars().take(100).collect(), why };
            if pattern.len() > PATTERN_MAX {
                return Err(bad(format!("it is longer than {PATTERN_MAX} bytes")));
            }
            if pattern.starts_with('!') {
                let why = "a ! takes an exclusion back in a .gitignore file, and is part of the name for rsync; \
                           write an --include (in a file of rules, a line that begins with `+ `) before the rule \
                           that excludes, or \\! for the name";
                return Err(bad(why.to_owned()));
            }
            let (body, for_directories) = match pattern.strip_suffix('/') {
                Some(body) => (body, true),
                None => (pattern, false),
            };
            let is_anchored = body.contains('/');
            let body = body.strip_prefix('/').unwrap_or(body);
            if body.is_empty() {
                return Err(bad("it is empty".into()));
            }
            glob::check(body.as_bytes()).map_err(|why| bad(why.to_owned()))?;
            let mut add = |body: &str, for_directories| {
                let against = match is_anchored {
                    true => Against::Path,
                    false if body.contains("**") => Against::Tail,
                    false => Against::Name,
                };
                let added = globs.add(body.as_bytes(), against, for_directories);
                added.map_err(|_| bad("there are too many".into()))?;
                of.push(index);
                Ok(())
            };
            add(body, for_directories)?;
            if let Some(itself) = body.strip_suffix("/***").filter(|itself| !itself.is_empty()) {
                add(itself, true)?;
            }
        }
        Ok(Rules(Some(Arc::new(Compiled { globs: globs.finish(), of, rules }))))
    }

    pub(crate) fn are_none(&self) -> bool {
        self.0.is_none()
    }

    /// The rules as they were given.
    pub(crate) fn all(&self) -> &[Rule] {
        self.0.as_ref().map_or(&[], |compiled| &compiled.rules)
    }

    /// Which rule decides about the entry at `path`, relative to the source.
    pub(crate) fn decides(&self, path: &[u8], is_directory: bool) -> Option<usize> {
        let compiled = self.0.as_ref()?;
        compiled.globs.first(path, is_directory).map(|index| compiled.of[index] as usize)
    }

    /// Whether the entry at `path` is wanted, as far as the rules say.
    pub(crate) fn want(&self, path: &[u8], is_directory: bool) -> bool {
        self.decides(path, is_directory).is_none_or(|rule| self.includes(rule))
    }

    /// Whether the rule of number `index` includes.
    pub(crate) fn includes(&self, index: usize) -> bool {
        matches!(self.all()[index], Rule::Include(_))
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
            ("-[ab]?.[xy]", &["cc.x", "a.x"], &["ab.x", "bz.y"]),
            ("-{x}.dat -a.{b,c}", &["x.dat", "a.b", "a.c"], &["{x}.dat", "d/{x}.dat", "a.{b,c}"]),
            ("-/**too", &["toot", "foo/tool"], &["too", "foo/too", "foo/x/too"]),
            ("-foo**too", &["d/xfoo/too", "foo/to"], &["footoo", "foo/too", "d/foo/x/too"]),
            ("-a/**/b", &["a", "ab", "d/a/b"], &["a/b", "a/x/y/b"]),
            ("-d/***", &["da", "e/d/"], &["d/", "d/a", "d/a/b"]),
            ("-d/***", &["d"], &[]),
            ("-[[:upper:]]*.[!ab]", &["a.c", "A.a"], &["A.c", "Zx.z"]),
            ("-\\*", &["a"], &["*"]),
            ("+*/ +*.rs -*", &["a/", "d/a.rs"], &["a.c", "d/b"]),
        ] {
            let want = |path: &&&str| {
                rules(text).want(path.strip_suffix('/').unwrap_or(path).as_bytes(), path.ends_with('/'))
            };
            assert_eq!(wanted.iter().filter(want).count(), wanted.len(), "{text}: {wanted:?}");
            assert_eq!(unwanted.iter().filter(want).count(), 0, "{text}: {unwanted:?}");
        }
    }

    #[test]
    fn names_that_are_no_text_match_as_bytes() {
        assert!(!rules("-*.o").want(b"d/\xff\n.o", false));
        assert!(rules("-*.c").want(b"d/\xff\n.o", false));
    }

    #[test]
    fn bad_patterns_are_refused_with_a_reason() {
        for pattern in ["", "/", "[a", "a\\", "[[:word:]]", "!a", &"x".repeat(5000)] {
            let refused = Rules::compile([Rule::Exclude(pattern.to_owned())]);
            assert!(refused.is_err_and(|bad| !bad.why.is_empty()), "{pattern:?}");
        }
    }

    #[test]
    fn a_text_has_a_rule_a_line() {
        let added = |text: &str| {
            let mut rules = vec![Rule::Include("first".into())];
            Rule::add_lines(&mut rules, text, Rule::Exclude);
            let shown = |rule: &Rule| match rule {
                Rule::Include(pattern) => format!("+{pattern}"),
                Rule::Exclude(pattern) => format!("-{pattern}"),
            };
            rules.iter().map(shown).collect::<Vec<_>>().join(" ")
        };
        for (text, expected) in [
            ("# comment\n\n; another\n*.o\r\n\\#a\n", r"+first -*.o -\#a"),
            ("+ keep\n- drop\nplain\n", "+first +keep -drop -plain"),
            ("+keep\n-drop\n", "+first -+keep --drop"),
            ("a\n!\nb\n", "-b"),
            ("\u{feff}a", "+first -a"),
        ] {
            assert_eq!(added(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_of_patterns_breaks_the_parser(text in "\\PC{0,40}(\n\\PC{0,40}){0,4}", path in "\\PC{0,30}") {
            let mut rules = Vec::new();
            Rule::add_lines(&mut rules, &text, Rule::Exclude);
            if let Ok(rules) = Rules::compile(rules) {
                rules.want(path.as_bytes(), false);
            }
        }
    }
}
