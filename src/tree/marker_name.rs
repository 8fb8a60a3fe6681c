//! What the name of a run's mark says.

use std::{
    ffi::{CStr, CString},
    fmt::{self, Write as _},
    path::Path,
};

use crate::job::CopyJob;

const PREFIX: &[u8] = b".orbit-";
const SUFFIX: &[u8] = b".run";
const SITTING: usize = 16;
const TIME: usize = 10;
const PART: usize = 8;

/// What the name of a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MarkerName {
    /// Which boot and mount its run was in, hashed; 0 where that is not known.
    pub(crate) sitting: u64,
    /// When its run began, in seconds since 1970.
    pub(crate) began: i64,
    /// What its run copied, if it says so.
    pub(crate) of: Option<Of>,
}

/// What a run copies, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Of {
    /// The path of the source.
    pub(crate) source: u32,
    /// Which of its entries.
    pub(crate) choice: u32,
}

impl MarkerName {
    pub(crate) fn in_name(name: &CStr) -> Option<MarkerName> {
        let said = name.to_bytes().strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        let number = |digits: &[u8], length: usize| {
            let digits = Some(digits).filter(|digits| digits.len() == length && digits.iter().all(is_hex))?;
            u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        let mut parts = said.split(|byte| *byte == b'-');
        let (sitting, began) = (number(parts.next()?, SITTING)?, number(parts.next()?, TIME)?);
        let of = match parts.next() {
            None => None,
            Some(both) => {
                let (source, choice) = both.split_at_checked(PART)?;
                let part = |digits| u32::try_from(number(digits, PART)?).ok();
                Some(Of { source: part(source)?, choice: part(choice)? })
            }
        };
        parts.next().is_none().then_some(MarkerName { sitting, began: i64::try_from(began).ok()?, of })
    }

    pub(crate) fn name(self) -> CString {
        let MarkerName { sitting, began, of } = self;
        let mut name = format!(".orbit-{sitting:016x}-{:010x}", began.clamp(0, (1 << 40) - 1));
        if let Some(Of { source, choice }) = of {
            let _ = write!(name, "-{source:08x}{choice:08x}");
        }
        CString::new(name + ".run").expect("digits hold no NUL")
    }
}

impl Of {
    /// All of the directory `source`.
    pub(crate) fn source(source: &Path) -> Of {
        let source = source.canonicalize().unwrap_or_else(|_| source.to_owned());
        Of { source: short(&blake3::hash(source.as_os_str().as_encoded_bytes())), choice: 0 }
    }

    /// What a job copies of its sources.
    pub(crate) fn choice(job: &CopyJob) -> u32 {
        let mut choice = Hashing(blake3::Hasher::new());
        let _ = job.selection.say(&mut choice).and_then(|()| write!(choice, "{:?}", job.compression));
        short(&choice.0.finalize())
    }
}

fn short(hash: &blake3::Hash) -> u32 {
    u32::from_le_bytes(hash.as_bytes()[..4].try_into().expect("4 bytes"))
}

/// Hashes what is written to it, which may be a long list.
struct Hashing(blake3::Hasher);

impl fmt::Write for Hashing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// Whether `name` is one that only a mark has.
pub(crate) fn is_mark(name: &CStr) -> bool {
    MarkerName::in_name(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rule, Selection};

    #[test]
    fn a_mark_says_in_its_name_when_its_run_began_and_where_and_of_what() {
        for (sitting, began) in [(0, 0), (u64::MAX, (1 << 40) - 1), (0x1234_5678_9abc_def0, 1_800_000_000)] {
            for of in [None, Some(Of { source: 7, choice: u32::MAX })] {
                let said = MarkerName { sitting, began, of };
                assert_eq!(MarkerName::in_name(&said.name()), Some(said));
            }
        }
        for other in [
            c".orbit-.run",
            c".orbit-0123456789abcdef.tmp",
            c".orbit-0123456789abcdef-0123456789.tmp",
            c".orbit-0123456789abcdef-012345678G.run",
            c".orbit-+123456789abcdef-0123456789.run",
            c".orbit-0123456789abcdef-01234567891.run",
            c".orbit-0123456789abcdef-0123456789-.run",
            c".orbit-0123456789abcdef-0123456789-0123456789abcde.run",
            c".orbit-0123456789abcdef-0123456789-0123456789abcdef-.run",
        ] {
            assert!(!is_mark(other), "{other:?}");
        }
    }

    #[test]
    fn what_a_run_copies_is_told_by_its_source_and_its_rules() {
        let job = |pattern: &str| {
            let rules = Selection::default().rules([Rule::Exclude(pattern.to_owned())]).unwrap();
            CopyJob::new("a", "b").select(rules)
        };
        assert_eq!(Of::choice(&job("x")), Of::choice(&job("x")));
        assert_ne!(Of::choice(&job("x")), Of::choice(&job("y")));
        assert_ne!(Of::source(Path::new("/a")), Of::source(Path::new("/b")));
    }
}
