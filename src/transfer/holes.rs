//! Holes that two files have in common, which need not be read to be known for equal.

use std::{fs::File, io, iter};

use crate::{entry::Meta, platform};

/// The next range at or after `from`, and before `end`, in which either of two files has data; `None` when
/// only a hole of both is left.
pub(crate) fn next_data_of(files: [&File; 2], from: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    let [one, other] = files;
    let first = platform::next_data(one, from, end)?;
    if first.is_some_and(|(data, _)| data == from) {
        return Ok(first);
    }
    // Where one has data there is no need to know of the other's beyond that.
    let second = platform::next_data(other, from, first.map_or(end, |(data, _)| data))?;
    Ok(second.or(first))
}

/// Looks for holes that two files have in common, while both are read from one place on.
#[derive(Debug, Default)]
pub(crate) struct CommonHoles {
    /// What is asked again only from here on, where an answer may save more than it takes.
    next_look: u64,
}

impl CommonHoles {
    const STEP: u64 = 1 << 20;

    /// Where the reading of two files goes on that has come to `at`; at most `end`.
    ///
    /// What cannot be told is read.
    pub(crate) fn pass(&mut self, files: [&File; 2], at: u64, end: u64) -> u64 {
        if at < self.next_look || end - at < Self::STEP {
            return at;
        }
        let next = match next_data_of(files, at, end) {
            Ok(next) => next.map_or(end, |(data, _)| data),
            Err(_) => at,
        };
        self.next_look = next.saturating_add(Self::STEP);
        next
    }
}

/// From this size on, a file that looks dense is asked for holes.
pub(crate) const ASK_MIN: u64 = 64 * 1024;

/// Whether a file has holes.
///
/// Blocks that were reserved and never written are holes too, though they count as allocated;
/// they are asked for only in files that are large against the cost of asking.
pub(crate) fn is_sparse(source: &File, meta: &Meta) -> bool {
    let all = Some((0, meta.size));
    meta.is_sparse()
        || meta.size >= ASK_MIN && platform::next_data(source, 0, meta.size).is_ok_and(|data| data != all)
}

/// How many of a file's first `size` bytes are data.
pub(crate) fn data_within(file: &File, size: u64) -> u64 {
    let ranges = iter::successors(platform::next_data(file, 0, size).ok().flatten(), |(_, end)| {
        platform::next_data(file, *end, size).ok().flatten()
    });
    ranges.map(|(begin, end)| end - begin).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn sparse(data: &[u64], size: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        for at in data {
            platform::write_all_at(&file, &[1; 4096], *at).unwrap();
        }
        file
    }

    #[test]
    fn what_both_lack_is_passed_over_and_nothing_else() {
        let size = 1 << 40;
        let one = sparse(&[0, 5 * MIB, 1 << 39], size);
        let other = sparse(&[3 * MIB], size);
        if platform::next_data(&other, 0, size).unwrap() == Some((0, size)) {
            return eprintln!("skipped: the directory for temporary files knows of no holes");
        }
        let mut holes = CommonHoles::default();
        let mut from = |at| holes.pass([&one, &other], at, size);
        assert_eq!(from(0), 0);
        assert_eq!(from(4096), 4096, "not asked again so soon");
        assert_eq!(from(MIB), 3 * MIB);
        assert_eq!(from(4 * MIB), 5 * MIB);
        assert_eq!(from(6 * MIB), 1 << 39);
        assert_eq!(from((1 << 39) + MIB), size);
        assert_eq!(next_data_of([&one, &other], 4096, size).unwrap(), Some((3 * MIB, 3 * MIB + 4096)));
    }
}
