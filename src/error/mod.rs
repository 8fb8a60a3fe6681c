//! Failures: an operation, the path it failed on, and why.

mod op;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

pub use op::Op;

use crate::{platform, refusal::Refusal};

/// What a call was made on: an entry of the source, or its copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Side {
    /// The source.
    Source,
    /// The copy, or the directory that is to hold it.
    Copy,
}

/// What the source did meanwhile that made an entry fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// Nothing that is known of.
    #[default]
    Nothing,
    /// The entry was listed, and was gone when it was to be copied.
    Vanished,
    /// It became another, or got other content.
    Changed,
}

/// One entry that could not be copied: the operation, the path, and the cause.
///
/// As text it is one line, whatever the name: control characters are escaped as `\u{1b}`.
#[derive(Debug, thiserror::Error)]
#[error("cannot {op} {}", shown(path))]
pub struct Failure {
    meanwhile: Meanwhile,
    side: Side,
    op: Op,
    path: PathBuf,
    source: io::Error,
}

impl Failure {
    pub(crate) fn new(op: Op, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Failure {
        Fault::new(op, source).at(path)
    }

    /// What was being done.
    #[must_use]
    pub fn op(&self) -> Op {
        self.op
    }

    /// Whether it was done to the source or to the copy.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }

    /// The entry it was done to: that of the [`side`](Self::side) it failed on.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it failed, as the operating system or Orbit says it.
    #[must_use]
    pub fn cause(&self) -> &io::Error {
        &self.source
    }

    /// What Orbit itself refused, where no call failed.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        refusal_in(&self.source)
    }

    /// The operating system's number for the cause, where it has one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// Whether the entry was listed in the source and was gone when it was to be copied.
    ///
    /// A source that the caller names and that is not there has not vanished.
    #[must_use]
    pub fn has_vanished(&self) -> bool {
        self.meanwhile == Meanwhile::Vanished
    }

    /// Whether it failed because the source changed meanwhile: the next run copies what it is then.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.meanwhile == Meanwhile::Changed
    }

    /// The same, of an entry that the walk came across: where it is not there now, it has vanished.
    pub(crate) fn of_listed(self) -> Failure {
        let is_gone =
            matches!(self.source.kind(), io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle);
        let meanwhile = match self.meanwhile {
            Meanwhile::Nothing if is_gone && self.side == Side::Source => Meanwhile::Vanished,
            known => known,
        };
        Failure { meanwhile, ..self }
    }

    /// Whether the copy's content turned out not to be what was copied.
    #[must_use]
    pub fn is_mismatch(&self) -> bool {
        self.op == Op::Verify && self.source.kind() == io::ErrorKind::InvalidData
    }

    /// Whether the same may work when it is tried again: what a device, a network or a lack of resources is
    /// the cause of, and a copy that was not what was copied.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.is_mismatch() || platform::is_transient(&self.source)
    }

    /// What may be done about it, where that is known and nothing that the cause says; part of a sentence.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        const MORE_FILES: &str = "raise the limit of open files (ulimit -n, or fs.file-max of the system), \
                                  or run it again when others have closed some";
        platform::is_out_of_descriptors(&self.source).then_some(MORE_FILES)
    }

    /// The same, of the copy.
    pub(crate) fn in_copy(self) -> Failure {
        Failure { side: Side::Copy, ..self }
    }

    /// A copy for the event stream; `io::Error` itself cannot be cloned.
    pub(crate) fn duplicate(&self) -> Failure {
        let source = match (self.source.raw_os_error(), self.refusal()) {
            (Some(errno), _) => io::Error::from_raw_os_error(errno),
            (None, Some(refusal)) => io::Error::new(self.source.kind(), refusal.clone()),
            (None, None) => io::Error::new(self.source.kind(), self.source.to_string()),
        };
        Failure { meanwhile: self.meanwhile, side: self.side, op: self.op, path: self.path.clone(), source }
    }
}

/// A failed call whose path the caller knows: half of a [`Failure`].
///
/// It knows which path that is, the source's or the copy's: the side on which its operation is usually done,
/// unless [`in_copy`](Fault::in_copy) or [`in_source`](Fault::in_source) say otherwise.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) side: Side,
    pub(crate) op: Op,
    pub(crate) cause: io::Error,
    pub(crate) meanwhile: Meanwhile,
    /// Whether the entry has its content all the same, and lacks nothing but attributes.
    pub(crate) leaves_content: bool,
}

impl Fault {
    pub(crate) fn new(op: Op, cause: impl Into<io::Error>) -> Fault {
        let side = op.usual_side();
        Fault { side, op, cause: cause.into(), meanwhile: Meanwhile::Nothing, leaves_content: false }
    }

    /// A fault that Orbit itself finds, in words for the user.
    pub(crate) fn refused(op: Op, why: impl Into<Refusal>) -> Fault {
        Fault::new(op, io::Error::other(why.into()))
    }

    /// As [`refused`](Self::refused), where the source is not any more what it was.
    pub(crate) fn changed(op: Op, why: impl Into<Refusal>) -> Fault {
        Fault { meanwhile: Meanwhile::Changed, ..Fault::refused(op, why) }
    }

    /// The same, of the copy.
    pub(crate) fn in_copy(self) -> Fault {
        Fault { side: Side::Copy, ..self }
    }

    /// The same, of the source.
    pub(crate) fn in_source(self) -> Fault {
        Fault { side: Side::Source, ..self }
    }

    /// The same, of an entry that has its content, or what it holds, where no more than an attribute was to be set.
    pub(crate) fn of_attributes(self) -> Fault {
        Fault { leaves_content: self.op.sets_attributes(), ..self }
    }

    /// A fault for another type of entry that stands where one is to be put.
    pub(crate) fn in_the_way(op: Op, why: impl Into<String>) -> Fault {
        Fault::new(op, io::Error::other(Refusal::InTheWay(why.into())))
    }

    /// Whether it is one of those.
    pub(crate) fn is_in_the_way(&self) -> bool {
        matches!(refusal_in(&self.cause), Some(Refusal::InTheWay(_)))
    }

    /// Whether the same may work when it is tried again.
    pub(crate) fn is_transient(&self) -> bool {
        let is_mismatch = self.op == Op::Verify && self.cause.kind() == io::ErrorKind::InvalidData;
        is_mismatch || platform::is_transient(&self.cause)
    }

    pub(crate) fn at(self, path: impl Into<PathBuf>) -> Failure {
        let Fault { side, op, cause, meanwhile, .. } = self;
        Failure { meanwhile, side, op, path: path.into(), source: cause }
    }
}

/// The refusal that a cause is, if it is no system's.
fn refusal_in(cause: &io::Error) -> Option<&Refusal> {
    cause.get_ref().and_then(|cause| cause.downcast_ref())
}

/// A path as text in which no character controls anything: such a one is escaped, as `\u{1b}`.
pub(crate) fn shown(path: &Path) -> impl fmt::Display {
    let mut text = String::new();
    for letter in path.to_string_lossy().chars() {
        if letter.is_control() { text.extend(letter.escape_unicode()) } else { text.push(letter) }
    }
    text
}

/// Says what was being done when an I/O call failed.
pub(crate) trait During<T> {
    fn during(self, op: Op) -> Result<T, Fault>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, op: Op) -> Result<T, Fault> {
        self.map_err(|cause| Fault::new(op, cause))
    }
}

/// Says on which side a call failed, where that is not the usual one of its operation.
pub(crate) trait Sided {
    fn in_copy(self) -> Self;
    fn in_source(self) -> Self;
}

impl<T> Sided for Result<T, Fault> {
    fn in_copy(self) -> Result<T, Fault> {
        self.map_err(Fault::in_copy)
    }

    fn in_source(self) -> Result<T, Fault> {
        self.map_err(Fault::in_source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_that_controls_no_terminal() {
        let failure = Failure::new(Op::Open, "a\x1b[31m\nb\u{9b}c d", io::ErrorKind::NotFound);
        assert_eq!(failure.to_string(), r"cannot open a\u{1b}[31m\u{a}b\u{9b}c d");
    }

    #[test]
    fn a_fault_is_on_the_usual_side_of_its_operation_unless_it_says_otherwise() {
        let side = |fault: Fault| fault.at("x").side();
        for op in [Op::Open, Op::Stat, Op::List, Op::Read, Op::ReadSymlink, Op::ReadXattrs, Op::Copy] {
            assert_eq!(side(Fault::refused(op, "no")), Side::Source, "{op}");
            assert_eq!(side(Fault::refused(op, "no").in_copy()), Side::Copy, "{op}");
        }
        for op in [Op::CreateFile, Op::Write, Op::Replace, Op::SetMode, Op::Sync, Op::Remove, Op::Verify] {
            assert_eq!(side(Fault::refused(op, "no")), Side::Copy, "{op}");
            assert_eq!(side(Fault::refused(op, "no").in_source()), Side::Source, "{op}");
        }
    }

    #[test]
    fn only_a_listed_entry_of_the_source_vanishes() {
        let gone = || Fault::new(Op::Stat, io::ErrorKind::NotFound);
        assert!(gone().at("x").of_listed().has_vanished());
        assert!(!gone().at("x").has_vanished(), "one that was named was never there");
        assert!(!gone().in_copy().at("x").of_listed().has_vanished());
        assert!(!Fault::new(Op::Stat, io::ErrorKind::Other).at("x").of_listed().has_vanished());
        let changed = Fault::changed(Op::Copy, "it changed").at("x").of_listed();
        assert!(changed.has_changed() && changed.duplicate().has_changed() && !changed.has_vanished());
    }
}
