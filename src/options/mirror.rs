//! What becomes of what only the destination has, and how files are compared.

/// How the content of a file that is there already is compared with its source's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compare {
    /// By size and modification time. The default.
    #[default]
    Times,
    /// Byte by byte, where the sizes are equal. Where the content is, the rest is corrected, the time too.
    Content,
}

/// Deleting what the source does not have, so that the copy becomes its mirror.
///
/// Entries are deleted only where no entry of the source failed in this run (in more than its attributes),
/// and only in directories of the copy whose source was listed to its end and, looked for by name, does not
/// have them; never what the rules of a [`Selection`](crate::Selection) exclude, at whatever depth, never
/// through a symbolic link, never what is mounted there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mirror {
    pub(crate) delete: Delete,
    pub(crate) max: Option<MaxDelete>,
    pub(crate) force_empty: bool,
    pub(crate) ignore_errors: bool,
    pub(crate) delete_excluded: bool,
}

/// When entries that the source lacks are deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delete {
    /// Never. The default.
    #[default]
    Never,
    /// When everything else of the run is done.
    After,
    /// Nothing is copied, only deleted; for who wants the room before a second run copies.
    Only,
}

/// The most that a run may delete; where there is more, it deletes nothing and fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MaxDelete {
    /// This many entries.
    Entries(u64),
    /// This many of a hundred entries that the copy had when the run began.
    Percent(u8),
}

impl MaxDelete {
    /// Whether `deleted` of `there` entries are too many.
    pub(crate) fn is_exceeded(self, deleted: u64, there: u64) -> bool {
        match self {
            MaxDelete::Entries(most) => deleted > most,
            MaxDelete::Percent(most) => u128::from(deleted) * 100 > u128::from(there) * u128::from(most),
        }
    }
}

impl Mirror {
    /// When to delete; never by default.
    #[must_use]
    pub fn delete(self, delete: Delete) -> Self {
        Mirror { delete, ..self }
    }

    /// The most that may be deleted; by default there is no limit.
    #[must_use]
    pub fn max(self, max: MaxDelete) -> Self {
        Mirror { max: Some(max), ..self }
    }

    /// Whether a source that is empty empties its copy; by default that is refused, since it is more
    /// often one that is not mounted.
    #[must_use]
    pub fn force_empty(self, force_empty: bool) -> Self {
        Mirror { force_empty, ..self }
    }

    /// Whether entries are deleted although others failed, which by default keeps everything in the copy of
    /// that source.
    #[must_use]
    pub fn ignore_errors(self, ignore_errors: bool) -> Self {
        Mirror { ignore_errors, ..self }
    }

    /// Whether what the rules and ignore files of a [`Selection`](crate::Selection) exclude is deleted from
    /// the copy too, whether or not the source has it; by default it stays, and the directories above it.
    #[must_use]
    pub fn delete_excluded(self, delete_excluded: bool) -> Self {
        Mirror { delete_excluded, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_exceeded_by_more_than_they_say() {
        for (max, deleted, there, exceeds) in [
            (MaxDelete::Entries(0), 0, 9, false),
            (MaxDelete::Entries(0), 1, 9, true),
            (MaxDelete::Entries(5), 5, 9, false),
            (MaxDelete::Percent(10), 1, 10, false),
            (MaxDelete::Percent(10), 2, 10, true),
            (MaxDelete::Percent(100), 10, 10, false),
            (MaxDelete::Percent(0), 0, 0, false),
        ] {
            assert_eq!(max.is_exceeded(deleted, there), exceeds, "{max:?} {deleted} {there}");
        }
    }
}
