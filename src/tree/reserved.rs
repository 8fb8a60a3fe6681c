//! Names that only Orbit's own files have: they are never copied, deleted as extraneous, or compared.

use std::{
    ffi::{CStr, CString, OsStr},
    ops::RangeInclusive,
};

use super::marker_name::is_mark;

const PREFIX: &[u8] = b".orbit-";
/// We give out names of as many as a number takes, and know those of whoever writes it in tens.
const DIGITS: RangeInclusive<usize> = 16..=20;

/// Whether `name` is one that only an unfinished copy has.
pub(crate) fn is_temporary(name: &CStr) -> bool {
    is_numbered(name, b".tmp")
}

/// Whether `name` is one that only a journal has.
pub(crate) fn is_journal(name: &CStr) -> bool {
    is_numbered(name, b".journal")
}

/// Whether a name is one that only Orbit's own files have.
#[inline]
pub(crate) fn is_internal(name: &CStr) -> bool {
    // Asked of every entry, and true of hardly any.
    name.to_bytes().starts_with(PREFIX) && (is_temporary(name) || is_mark(name) || is_journal(name))
}

/// Whether a name is one that only Orbit's own files have: unfinished copies, journals, and marks of runs.
#[must_use]
pub fn is_own_name(name: &OsStr) -> bool {
    CString::new(name.as_encoded_bytes()).is_ok_and(|name| is_internal(&name))
}

fn is_numbered(name: &CStr, suffix: &[u8]) -> bool {
    let digits = name.to_bytes().strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(suffix));
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    digits.is_some_and(|digits| DIGITS.contains(&digits.len()) && digits.iter().all(is_hex))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::TemporaryNames;

    #[test]
    fn what_is_ours_is_told_by_the_whole_name() {
        let names = TemporaryNames::new();
        let (first, second) = (names.next(), names.next());
        assert_ne!(first, second);
        assert!(is_temporary(&first) && is_journal(c".orbit-0123456789abcdef.journal"));
        assert!(is_temporary(c".orbit-18446744073709551615.tmp"));
        for other in [
            c".orbit-.tmp",
            c".orbit-0123456789abcde.tmp",
            c".orbit-118446744073709551615.tmp",
            c".orbit-0123456789abcdeg.tmp",
            c"orbit-0123456789abcdef.tmp",
            c".orbit-1",
            c".orbit-0123456789abcdef",
            c".orbit-0123456789abcdef.journal.tmp",
        ] {
            assert!(!is_internal(other), "{other:?}");
        }
    }
}
