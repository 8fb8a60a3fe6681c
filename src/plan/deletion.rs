//! Whether entries of the copy that a source lacks may be deleted, now that all of it was dealt with.

/// What becomes of what only the copy of one source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deletion {
    /// It is deleted.
    Goes,
    /// It stays, and why was said already.
    Stays,
    /// It stays, since this many entries of the source failed: any of them may be the same thing under
    /// another name, and its copy the only one that can be read.
    StaysBeside(u64),
}

/// Decide about one source, of which `failed` entries failed, whether or not that is to matter.
pub(crate) fn deletion(failed: u64, ignores_errors: bool, is_refused: bool) -> Deletion {
    match failed {
        _ if is_refused => Deletion::Stays,
        1.. if !ignores_errors => Deletion::StaysBeside(failed),
        _ => Deletion::Goes,
    }
}

/// What is said where `extraneous` entries stay since `failed` others failed.
pub(crate) fn why_it_stays(extraneous: u64, failed: u64) -> String {
    let entries = |count: u64| format!("{count} {}", if count == 1 { "entry" } else { "entries" });
    let (one, stay) = if extraneous == 1 {
        ("1 extraneous entry".to_owned(), "stays")
    } else {
        (format!("{extraneous} extraneous entries"), "stay")
    };
    format!(
        "{one} {stay}, because {} failed; a run without failures deletes what is extraneous then, \
         --ignore-errors does it all the same",
        entries(failed)
    )
}

/// Whether so much of what the copy had is deleted that a limit is worth a word.
pub(crate) fn is_most(deleted: u64, there: u64) -> bool {
    u128::from(deleted) * 2 > u128::from(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_failure_keeps_everything_unless_failures_are_ignored() {
        for (failed, ignores_errors, is_refused, expected) in [
            (0, false, false, Deletion::Goes),
            (0, true, false, Deletion::Goes),
            (1, false, false, Deletion::StaysBeside(1)),
            (7, true, false, Deletion::Goes),
            (0, false, true, Deletion::Stays),
            (7, false, true, Deletion::Stays),
            (7, true, true, Deletion::Stays),
        ] {
            let decided = deletion(failed, ignores_errors, is_refused);
            assert_eq!(decided, expected, "{failed} {ignores_errors} {is_refused}");
        }
    }

    #[test]
    fn what_stays_is_said_in_numbers() {
        assert!(why_it_stays(3, 1).starts_with("3 extraneous entries stay, because 1 entry failed;"));
        assert!(why_it_stays(1, 20).starts_with("1 extraneous entry stays, because 20 entries failed;"));
    }

    #[test]
    fn most_is_more_than_half() {
        assert!(!is_most(0, 0) && !is_most(5, 10) && is_most(6, 10) && is_most(1, 1));
    }
}
