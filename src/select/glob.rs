//! Patterns of names, matched byte by byte as they are written: what they hold in memory is their text.

/// By whose rules a pattern is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Ours: `**` matches slashes wherever it stands, as for rsync.
    Rules,
    /// gitignore(5): `**` does where it is a whole part of a path.
    Git,
}

/// What `*` and its like stand for at one place of a pattern.
enum Run {
    /// Anything without a slash.
    Star,
    /// Anything.
    Deep,
    /// Nothing, or whole parts of a path with the slash behind them.
    Parts,
}

impl Dialect {
    /// What the run of asterisks is that begins at `from` and ends before `to`.
    fn run(self, pattern: &[u8], from: usize, to: usize) -> Run {
        let begins_part = from == 0 || pattern[from - 1] == b'/';
        match (to - from, &pattern[to..]) {
            (1, _) => Run::Star,
            (_, [b'/', ..]) if begins_part => Run::Parts,
            (_, [] | [b'\\', b'/', ..]) if begins_part => Run::Deep,
            _ if self == Dialect::Rules => Run::Deep,
            _ => Run::Star,
        }
    }
}

/// Whether all of `text` matches `pattern`.
///
/// Of each run of asterisks only the last is ever tried at another place: what comes before it matches as early
/// as it can, which leaves the most to what follows. So the time is bounded whatever the pattern is.
pub(super) fn matches(pattern: &[u8], text: &[u8], dialect: Dialect) -> bool {
    let (mut at, mut here) = (0, 0);
    // Where the pattern goes on behind the last run of each kind, and from where in the text that was tried.
    let mut star: Option<(usize, usize)> = None;
    let mut deep: Option<(usize, usize, bool)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            let asterisks = pattern[at..].iter().take_while(|byte| **byte == b'*').count();
            let behind = at + asterisks;
            match dialect.run(pattern, at, behind) {
                Run::Star => (at, star) = (behind, Some((behind, here))),
                Run::Deep if behind == pattern.len() => return true,
                Run::Deep => (at, star, deep) = (behind, None, Some((behind, here, false))),
                Run::Parts => (at, star, deep) = (behind + 1, None, Some((behind + 1, here, true))),
            }
            continue;
        }
        match text.get(here) {
            None if at == pattern.len() => return true,
            // Whatever began later would find even less.
            None => return false,
            Some(byte) => {
                if let Some(next) = step(pattern, at, *byte) {
                    (at, here) = (next, here + 1);
                    continue;
                }
            }
        }
        if let Some((behind, from)) = star
            && text.get(from).is_some_and(|byte| *byte != b'/')
        {
            (at, here, star) = (behind, from + 1, Some((behind, from + 1)));
            continue;
        }
        let Some((behind, from, is_parts)) = deep else { return false };
        let next = match is_parts {
            true => text[from..].iter().position(|byte| *byte == b'/').map(|slash| from + slash + 1),
            false => (from < text.len()).then_some(from + 1),
        };
        let Some(next) = next else { return false };
        (at, here, star, deep) = (behind, next, None, Some((behind, next, is_parts)));
    }
}

/// Where the pattern goes on if what it has at `at`, which is no asterisk, matches `byte`.
fn step(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => (byte != b'/').then_some(at + 1),
        b'[' => {
            let (matched, behind) = class(pattern, at, byte).ok()?;
            (matched && byte != b'/').then_some(behind)
        }
        b'\\' => (*pattern.get(at + 1)? == byte).then_some(at + 2),
        plain => (plain == byte).then_some(at + 1),
    }
}

/// Whether the class that begins at `at` has `byte`, and where the pattern goes on behind it.
fn class(pattern: &[u8], at: usize, byte: u8) -> Result<(bool, usize), &'static str> {
    const OPEN: &str = "a [ has no ] behind it";
    let get = |at: usize| pattern.get(at).copied().ok_or(OPEN);
    let escaped = |at: usize| -> Result<_, &'static str> {
        Ok(match get(at)? {
            b'\\' => (get(at + 1)?, at + 2),
            plain => (plain, at + 1),
        })
    };
    let is_negated = matches!(get(at + 1)?, b'!' | b'^');
    let first = at + 1 + usize::from(is_negated);
    let mut at = first;
    let mut has = false;
    let mut before = None;
    while at == first || get(at)? != b']' {
        match (get(at)?, pattern.get(at + 1)) {
            (b'[', Some(b':')) => {
                let name = at + 2;
                let end = name + pattern[name..].iter().position(|byte| *byte == b']').ok_or(OPEN)?;
                if end > name && pattern[end - 1] == b':' {
                    has |= is_of(&pattern[name..end - 1], byte).ok_or("there is no class of that name")?;
                    (at, before) = (end + 1, None);
                } else {
                    has |= byte == b'[';
                    (at, before) = (at + 1, Some(b'['));
                }
            }
            (b'-', Some(next)) if *next != b']' && before.is_some() => {
                let (last, behind) = escaped(at + 1)?;
                has |= before.is_some_and(|first| (first..=last).contains(&byte));
                (at, before) = (behind, None);
            }
            _ => {
                let (member, behind) = escaped(at)?;
                has |= byte == member;
                (at, before) = (behind, Some(member));
            }
        }
    }
    Ok((has != is_negated, at + 1))
}

/// Whether a class with a name has a byte; nothing where there is none of that name.
fn is_of(name: &[u8], byte: u8) -> Option<bool> {
    Some(match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => matches!(byte, b' ' | b'\t'..=b'\r'),
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

/// What is wrong with a pattern, if it is none that anything can match.
pub(super) fn check(pattern: &[u8]) -> Result<(), &'static str> {
    let mut at = 0;
    while let Some(byte) = pattern.get(at) {
        at = match byte {
            b'[' => class(pattern, at, 0)?.1,
            b'\\' if at + 1 == pattern.len() => return Err("a backslash has nothing behind it"),
            b'\\' => at + 2,
            _ => at + 1,
        };
    }
    Ok(())
}

/// Whether a byte of a pattern is more than itself.
pub(super) fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b'\\')
}

/// The one text that a pattern matches, if it is one alone; a backslash takes meanings away.
pub(super) fn literal(pattern: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(pattern.len());
    let mut bytes = pattern.iter().copied();
    while let Some(byte) = bytes.next() {
        text.push(match byte {
            b'\\' => bytes.next()?,
            special if is_special(special) => return None,
            plain => plain,
        });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn asterisks_match_slashes_as_the_dialect_says() {
        for (pattern, text, by_rules, by_git) in [
            ("*", "a", true, true),
            ("*", "a/b", false, false),
            ("a*c", "abc", true, true),
            ("a*c", "a/c", false, false),
            ("**too", "foo/too", true, false),
            ("**too", "foo/x/too", true, false),
            ("**too", "xtoo", true, true),
            ("foo**too", "foo/x/too", true, false),
            ("foo**too", "footoo", true, true),
            ("foo/**too", "foo/x/too", true, false),
            ("**/x", "x", true, true),
            ("**/x", "a/b/x", true, true),
            ("**/x", "ax", false, false),
            ("a/**/b", "a/b", true, true),
            ("a/**/b", "a/x/y/b", true, true),
            ("a/**/b", "ab", false, false),
            ("a/**", "a", false, false),
            ("a/**", "a/b/c", true, true),
            ("a**/b", "a/b", true, true),
            ("a**/b", "ax/y/b", true, false),
            ("a**/b", "ax/b", true, true),
            ("a***b", "a/b", true, false),
            ("**/a*b/**/c", "x/acb/y/z/c", true, true),
            ("**/a*b/**/c", "x/ac/b/y/c", false, false),
            ("*a/b*c*d", "xa/bycd", true, true),
            ("*a/b*c*d", "xa/by/cd", false, false),
            ("**/*.o/**", "a.o/b.o/c", true, true),
        ] {
            let does = |dialect| matches(pattern.as_bytes(), text.as_bytes(), dialect);
            assert_eq!(does(Dialect::Rules), by_rules, "{pattern} {text}");
            assert_eq!(does(Dialect::Git), by_git, "{pattern} {text} by git");
        }
    }

    #[test]
    fn classes_are_those_of_fnmatch() {
        for (pattern, has, has_not) in [
            ("[ab]", "ab", "c/["),
            ("[!ab]", "c^!", "ab/"),
            ("[^ab]", "c!", "ab/"),
            ("[]a]", "]a", "["),
            ("[!]a]", "b", "]a"),
            ("[a-c]", "abc", "d-"),
            ("[a-]", "a-", "b"),
            ("[-a]", "a-", "b"),
            ("[a-c-e]", "abc-e", "d"),
            (r"[\]]", "]", "\\"),
            (r"[a\-c]", "a-c", "b"),
            ("[[:digit:]x]", "09x", "y:["),
            ("[[:alpha:]-z]", "az-", "1"),
            ("[[:x]", "[:x", "y"),
            ("?", "a{", "/"),
            (r"\?", "?", "a"),
        ] {
            let matching = |byte: u8| matches(pattern.as_bytes(), &[byte], Dialect::Rules);
            assert!(has.bytes().all(matching), "{pattern} {has}");
            assert!(!has_not.bytes().any(matching), "{pattern} {has_not}");
        }
    }

    #[test]
    fn what_nothing_can_match_is_told() {
        for pattern in ["[a", "a[!", "[a-", "[[:nope:]]", "a\\", "[[:alpha:"] {
            assert!(check(pattern.as_bytes()).is_err(), "{pattern}");
        }
        for pattern in ["", "a", "[]]", "{a,b}", "[[:alpha:]]", "\\[", "***"] {
            assert!(check(pattern.as_bytes()).is_ok(), "{pattern}");
        }
    }

    #[test]
    fn a_text_that_stands_for_itself_is_a_literal() {
        for (pattern, expected) in
            [("a{b}", Some("a{b}")), (r"\*a\\", Some(r"*a\")), ("a*", None), ("[a]", None), ("a\\", None)]
        {
            assert_eq!(literal(pattern.as_bytes()), expected.map(|text| text.as_bytes().to_vec()));
        }
    }

    /// The same by trying everything, as slow as that is.
    fn matches_slowly(pattern: &[u8], text: &[u8], before: Option<u8>, dialect: Dialect) -> bool {
        let asterisks = pattern.iter().take_while(|byte| **byte == b'*').count();
        if asterisks == 0 {
            let Some(byte) = text.first() else { return pattern.is_empty() };
            return step(pattern, 0, *byte).is_some_and(|next| {
                matches_slowly(&pattern[next..], &text[1..], Some(pattern[next - 1]), dialect)
            });
        }
        let rest = &pattern[asterisks..];
        let begins_part = before.is_none_or(|byte| byte == b'/');
        let is_part = begins_part && (rest.is_empty() || rest[0] == b'/');
        let is_deep = asterisks > 1 && (is_part || dialect == Dialect::Rules);
        if asterisks > 1 && begins_part && rest.first() == Some(&b'/') {
            let nothing = matches_slowly(&rest[1..], text, Some(b'/'), dialect);
            return nothing
                || (0..text.len()).any(|at| {
                    text[at] == b'/' && matches_slowly(&rest[1..], &text[at + 1..], Some(b'/'), dialect)
                });
        }
        (0..=text.len())
            .take_while(|at| is_deep || !text[..*at].contains(&b'/'))
            .any(|at| matches_slowly(rest, &text[at..], Some(b'*'), dialect))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn the_fast_way_is_right(pattern in "[ab*/?]{0,9}", text in "[ab]{1,3}(/[ab]{1,3}){0,4}") {
            for dialect in [Dialect::Rules, Dialect::Git] {
                let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
                prop_assert_eq!(
                    matches(pattern, text, dialect),
                    matches_slowly(pattern, text, None, dialect)
                );
            }
        }

        #[test]
        fn no_pattern_breaks_the_matcher(pattern: Vec<u8>, text: Vec<u8>) {
            let _ = check(&pattern);
            let _ = literal(&pattern);
            for dialect in [Dialect::Rules, Dialect::Git] {
                matches(&pattern, &text, dialect);
            }
        }
    }
}
