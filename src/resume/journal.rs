//! The journal of a run that can be resumed: which ranges of which unfinished files are in place.
//!
//! Lines of text, each with a check at its end, so that what a crash has torn is told from what was
//! written; a line that is not whole says nothing. It is never believed: what it says is checked against
//! the files, which is why it need not be durable.
//!
//! ```text
//! orbit journal 1
//! file NUMBER SIZE MODIFIED CHANGED INODE COPY TEMPORARY PATH #CHECK
//! range NUMBER FROM TO DIGEST #CHECK
//! ```

use std::{
    collections::HashMap,
    ffi::{CStr, CString},
    fmt::Write as _,
    io::{self, BufRead, Read},
};

use crate::entry::{Meta, Stamp};
use crate::tree::is_temporary;

/// What a journal says of an unfinished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    pub(crate) number: u64,
    pub(crate) source: SourceState,
    /// The inode of what is there of the copy.
    pub(crate) copy: u64,
    /// What that is called, in the directory that the copy is to be in.
    pub(crate) temporary: CString,
    pub(crate) ranges: Vec<InPlace>,
}

/// What tells that a source is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceState {
    size: u64,
    modified: Stamp,
    changed: Stamp,
    inode: u64,
}

/// A range of a file that is in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InPlace {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// BLAKE3 of its data, with the offsets of it.
    pub(crate) digest: [u8; 32],
}

impl SourceState {
    /// Whether a source has the size and the modification time that it had.
    pub(crate) fn looks_like(&self, meta: &Meta) -> bool {
        self.size == meta.size && self.modified == meta.modified
    }

    pub(crate) fn of(meta: &Meta) -> SourceState {
        let Meta { size, modified, changed, id, .. } = *meta;
        SourceState { size, modified, changed, inode: id.ino }
    }
}

const HEAD: &str = "orbit journal 1";
/// The longest line that is read: four times the longest path, in hexadecimal digits.
const LINE_MAX: u64 = 64 * 1024;
/// The longest journal that is read, in bytes: some 30 TB in ranges of 8 MiB.
const JOURNAL_MAX: u64 = 512 << 20;

/// The line that a journal begins with.
pub(crate) fn head() -> String {
    format!("{HEAD}\n")
}

/// The line of a file that was begun; `path` leads from the journal's directory to the copy.
pub(crate) fn file_line(file: &Unfinished, path: &[&CStr]) -> String {
    let Unfinished { number, source, copy, temporary, .. } = file;
    let SourceState { size, modified, changed, inode } = source;
    let [modified, changed] = [modified, changed].map(|stamp| format!("{}.{:09}", stamp.secs, stamp.nanos));
    let path: Vec<_> = path.iter().map(|name| hex(name.to_bytes())).collect();
    let temporary = temporary.to_str().expect("a temporary's name is ASCII");
    checked(format!(
        "file {number} {size} {modified} {changed} {inode} {copy} {temporary} {}",
        path.join("/")
    ))
}

/// The line of a range that is in place.
pub(crate) fn range_line(number: u64, range: &InPlace) -> String {
    let InPlace { from, to, digest } = range;
    checked(format!("range {number} {from} {to} {}", hex(digest)))
}

/// With a line end before it, too: what a crash has torn off must not swallow it.
fn checked(text: String) -> String {
    let check = check(&text);
    format!("\n{text} #{check}\n")
}

fn check(text: &str) -> String {
    hex(&blake3::hash(text.as_bytes()).as_bytes()[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pair = |pair: &[u8]| Some(value(pair[0])? << 4 | value(pair[1])?);
    digits.len().is_multiple_of(2).then_some(())?;
    digits.chunks_exact(2).map(pair).collect()
}

/// Read what a journal says, by the path from its directory; with the greatest number that it gave.
///
/// What is not whole, or makes no sense, is passed over.
///
/// # Errors
/// Those of reading.
pub(crate) fn read(journal: impl Read) -> io::Result<(HashMap<Vec<u8>, Unfinished>, u64)> {
    let mut reader = io::BufReader::new(journal.take(JOURNAL_MAX));
    let mut files = HashMap::new();
    let mut by_number: HashMap<u64, Vec<u8>> = HashMap::new();
    let mut last = 0;
    let mut line = Vec::new();
    let mut is_first = true;
    loop {
        line.clear();
        if reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok((files, last));
        }
        let text = std::str::from_utf8(&line).unwrap_or_default().trim_end_matches('\n');
        if std::mem::take(&mut is_first) && text != HEAD {
            return Ok((files, last)); // of another kind, or of a later version
        }
        match said(text) {
            Some(Said::File(path, file)) => {
                last = last.max(file.number);
                // The later of two is what is there.
                by_number.insert(file.number, path.clone());
                files.insert(path, file);
            }
            Some(Said::Range(number, range)) => {
                let file = by_number.get(&number).and_then(|path| files.get_mut(path));
                if let Some(file) = file.filter(|file| file.number == number && range.to <= file.source.size)
                {
                    file.ranges.push(range);
                }
            }
            None => {}
        }
    }
}

enum Said {
    File(Vec<u8>, Unfinished),
    Range(u64, InPlace),
}

fn said(line: &str) -> Option<Said> {
    let (text, sum) = line.rsplit_once(" #")?;
    // Whoever tries all texts would never come to one with the right check.
    if check(text) != sum && !cfg!(fuzzing) {
        return None;
    }
    let mut words = text.split(' ');
    let kind = words.next()?;
    let mut number = || words.next()?.parse::<u64>().ok();
    match kind {
        "file" => {
            let (number, size) = (number()?, number()?);
            let (modified, changed) = (stamp(words.next()?)?, stamp(words.next()?)?);
            let (inode, copy) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let temporary = CString::new(words.next()?).ok().filter(|name| is_temporary(name))?;
            let path = path_key(words.next()?)?;
            let source = SourceState { size, modified, changed, inode };
            Some(Said::File(path, Unfinished { number, source, copy, temporary, ranges: Vec::new() }))
        }
        "range" => {
            let (number, from, to) = (number()?, number()?, number()?);
            let digest = unhex(words.next()?)?.try_into().ok()?;
            (from < to).then_some(Said::Range(number, InPlace { from, to, digest }))
        }
        _ => None,
    }
}

fn stamp(text: &str) -> Option<Stamp> {
    let (secs, nanos) = text.split_once('.')?;
    Some(Stamp {
        secs: secs.parse().ok()?,
        nanos: nanos.parse().ok().filter(|nanos| *nanos < 1_000_000_000)?,
    })
}

/// A path in a journal as a key: its names, which lead down and nowhere else, with a NUL after each.
fn path_key(text: &str) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    for name in text.split('/') {
        let name = unhex(name)?;
        let is_name = !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/');
        if !is_name || name.contains(&0) {
            return None;
        }
        key.extend(name);
        key.push(0);
    }
    Some(key)
}

/// The names of a path as a key.
pub(crate) fn key(path: &[&CStr]) -> Vec<u8> {
    path.iter().flat_map(|name| name.to_bytes_with_nul()).copied().collect()
}

/// The names that a key is made of.
pub(crate) fn names(key: &[u8]) -> Vec<&CStr> {
    key.split_inclusive(|byte| *byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok()).collect()
}

/// What of a file is in place by the journal, without overlaps, in order; and the gaps between.
pub(crate) fn pieces(mut ranges: Vec<InPlace>, size: u64) -> Vec<(u64, u64, Option<[u8; 32]>)> {
    ranges.sort_by_key(|range| (range.from, range.to));
    let mut pieces = Vec::new();
    let mut at = 0;
    for range in ranges.into_iter().filter(|range| range.to <= size) {
        if range.from < at {
            continue; // of another run's division of the file
        }
        if range.from > at {
            pieces.push((at, range.from, None));
        }
        pieces.push((range.from, range.to, Some(range.digest)));
        at = range.to;
    }
    if at < size {
        pieces.push((at, size, None));
    }
    pieces
}

/// What must hold of a journal of any bytes.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let Ok((files, _)) = read(bytes) else { return };
    for (path, file) in files {
        assert!(names(&path).iter().all(|name| ![c"", c".", c".."].contains(name)));
        assert!(is_temporary(&file.temporary));
        let mut at = 0;
        for (from, to, _) in pieces(file.ranges, file.source.size) {
            assert!(from == at && to > from);
            at = to;
        }
        assert_eq!(at, file.source.size);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(number: u64) -> Unfinished {
        let stamp = |secs| Stamp { secs, nanos: 42 };
        let source = SourceState { size: 1 << 40, modified: stamp(-5), changed: stamp(7), inode: u64::MAX };
        Unfinished {
            number,
            source,
            copy: 12,
            temporary: c".orbit-0123456789abcdef.tmp".to_owned(),
            ranges: Vec::new(),
        }
    }

    fn range(from: u64, to: u64) -> InPlace {
        InPlace { from, to, digest: [from as u8; 32] }
    }

    #[test]
    fn what_is_written_is_read_and_a_torn_line_says_nothing() {
        let path = [c"a b", c"\xff\n#"];
        let whole = [range(0, 10), range(10, 30)];
        let mut text = head() + &file_line(&file(3), &path);
        whole.iter().for_each(|range| text += &range_line(3, range));
        let torn = range_line(3, &range(30, 40));
        text += &torn[..torn.len() - 5];
        text += &range_line(3, &range(50, 60));
        text += &range_line(4, &range(0, 10)); // of no file
        let (files, last) = read(text.as_bytes()).unwrap();
        let found = &files[&key(&path)];
        assert_eq!((last, files.len()), (3, 1));
        assert_eq!(found.ranges, [range(0, 10), range(10, 30), range(50, 60)]);
        assert_eq!(Unfinished { ranges: Vec::new(), ..found.clone() }, file(3));
        assert_eq!(names(&key(&path)), path);
    }

    #[test]
    fn paths_that_lead_elsewhere_and_names_that_are_none_of_ours_are_not_read() {
        for path in [&[c".."][..], &[c"a", c"."], &[c""], &[c"a/b"]] {
            assert!(read((head() + &file_line(&file(1), path)).as_bytes()).unwrap().0.is_empty());
        }
        let other = Unfinished { temporary: c"passwd".to_owned(), ..file(1) };
        assert!(read((head() + &file_line(&other, &[c"a"])).as_bytes()).unwrap().0.is_empty());
        assert!(read(file_line(&file(1), &[c"a"]).as_bytes()).unwrap().0.is_empty(), "no head");
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_panics_or_lies_outside(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = read(&bytes[..]);
            let _ = read(&[head().as_bytes(), &bytes].concat()[..]);
        }

        #[test]
        fn pieces_cover_a_file_once(ranges in prop::collection::vec((0..100_u64, 1..50_u64), 0..20), size in 1..120_u64) {
            let ranges = ranges.into_iter().map(|(from, length)| range(from, from + length)).collect();
            let pieces = pieces(ranges, size);
            let mut at = 0;
            for (from, to, _) in pieces {
                prop_assert!(from == at && to > from);
                at = to;
            }
            prop_assert_eq!(at, size);
        }
    }
}
