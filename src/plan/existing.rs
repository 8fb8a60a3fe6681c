//! What to do with an entry, given what the destination has under its name.

use crate::{
    entry::{Granularity, Kind, Meta},
    options::Existing,
    refusal::Refusal,
};

/// What to do with one entry that is not a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Put a finished copy in place of what is there.
    Replace,
    /// Size and time say that it is the same content: leave the data alone.
    Unchanged,
    /// Leave it alone because the caller said so.
    Skip,
    /// Leave it alone and report why.
    Refuse(Refused),
    /// The same, where it is of another type, which a mirror deletes first.
    InTheWay(&'static str),
}

/// Why an entry is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    SameFile,
    Exists,
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        match refused {
            Refused::SameFile => Refusal::SameFile,
            Refused::Exists => Refusal::Exists,
        }
    }
}

/// Whether `found` has the content of `source`, by size and time.
pub(crate) fn looks_same(source: &Meta, found: &Meta, granularity: Granularity) -> bool {
    source.kind == found.kind
        && match source.kind {
            Kind::File => {
                source.size == found.size
                    && source.modified.truncated_to(granularity) == found.modified.truncated_to(granularity)
            }
            kind => kind.is_special(),
        }
}

/// Whether what is `found` is of a type that a copy of `source` does not take the place of.
pub(crate) fn is_in_the_way(source: &Meta, found: &Meta) -> bool {
    let are_directories = [source, found].map(|meta| meta.kind == Kind::Directory);
    let is_other_special = found.kind != source.kind || found.rdev != source.rdev;
    are_directories[0] != are_directories[1] || found.kind.is_special() && is_other_special
}

/// Decide what to do with `source` where the destination already has `found`.
pub(crate) fn decide(source: &Meta, found: &Meta, policy: Existing, granularity: Granularity) -> Action {
    if source.id == found.id {
        return Action::Refuse(Refused::SameFile);
    }
    if is_in_the_way(source, found) {
        return Action::InTheWay(match found.kind {
            Kind::Directory => "a directory is in the way",
            _ => "a special file is in the way",
        });
    }
    let same = looks_same(source, found, granularity);
    match policy {
        Existing::Update if same => Action::Unchanged,
        Existing::Update | Existing::Replace => Action::Replace,
        Existing::Newer if source.modified.truncated_to(granularity) > found.modified => Action::Replace,
        Existing::Newer | Existing::Skip => Action::Skip,
        Existing::Fail => Action::Refuse(Refused::Exists),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{FileId, Stamp};

    fn file(ino: u64, size: u64, secs: i64) -> Meta {
        let stamp = Stamp { secs, nanos: 500 };
        Meta {
            kind: Kind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size,
            allocated: size,
            accessed: stamp,
            modified: stamp,
            changed: stamp,
            id: FileId { dev: 1, ino },
            nlink: 1,
            rdev: 0,
        }
    }

    #[test]
    fn the_policy_decides_between_files() {
        use Existing::*;
        let exact = Granularity::Nanos(1);
        let refused = Action::Refuse(Refused::Exists);
        for (policy, same, older_there, newer_there) in [
            (Update, Action::Unchanged, Action::Replace, Action::Replace),
            (Replace, Action::Replace, Action::Replace, Action::Replace),
            (Newer, Action::Skip, Action::Replace, Action::Skip),
            (Skip, Action::Skip, Action::Skip, Action::Skip),
            (Fail, refused, refused, refused),
        ] {
            let source = file(1, 10, 100);
            assert_eq!(decide(&source, &file(2, 10, 100), policy, exact), same, "{policy:?}");
            assert_eq!(decide(&source, &file(2, 10, 99), policy, exact), older_there, "{policy:?}");
            assert_eq!(decide(&source, &file(2, 10, 101), policy, exact), newer_there, "{policy:?}");
        }
    }

    #[test]
    fn a_coarser_clock_at_the_destination_is_no_difference() {
        let there = Meta { modified: Stamp { secs: 100, nanos: 0 }, ..file(2, 10, 100) };
        let decide = |granularity| decide(&file(1, 10, 100), &there, Existing::Update, granularity);
        assert_eq!(decide(Granularity::Nanos(1)), Action::Replace);
        assert_eq!(decide(Granularity::Seconds(1)), Action::Unchanged);
    }

    #[test]
    fn directories_devices_and_the_source_itself_are_never_replaced() {
        let source = file(1, 10, 100);
        for there in [
            Meta { kind: Kind::Directory, ..file(2, 10, 100) },
            Meta { kind: Kind::CharDevice, rdev: 0x103, ..file(2, 0, 100) },
            Meta { kind: Kind::Fifo, ..file(2, 0, 100) },
            file(1, 10, 100),
        ] {
            let action = decide(&source, &there, Existing::Replace, Granularity::Nanos(1));
            let is_itself = there.id == source.id;
            let expected = if is_itself { "Refuse" } else { "InTheWay" };
            assert!(format!("{action:?}").starts_with(expected), "{there:?}: {action:?}");
        }
    }
}
