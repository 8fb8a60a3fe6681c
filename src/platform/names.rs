//! Names of directory entries, packed into one allocation.

use std::ffi::CStr;

use crate::entry::Kind;

/// Names of one directory's entries with the kinds its listing gave; directories come last.
#[derive(Debug, Default)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    entries: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    start: u32,
    /// Length with the NUL.
    len: u16,
    kind: Option<Kind>,
}

impl Names {
    /// One name alone.
    pub(crate) fn one(name: &CStr, kind: Kind) -> Names {
        let mut names = Names::default();
        names.push(name, Some(kind));
        names.finish();
        names
    }

    pub(crate) fn push(&mut self, name: &CStr, kind: Option<Kind>) {
        let name = name.to_bytes_with_nul();
        let start = u32::try_from(self.bytes.len()).expect("a batch of names stays far below 4 GiB");
        self.bytes.extend_from_slice(name);
        let len = u16::try_from(name.len()).expect("names are shorter than 64 KiB on every system");
        self.entries.push(Slot { start, len, kind });
    }

    /// Put directories behind everything else, keeping the listing's order otherwise.
    pub(crate) fn finish(&mut self) {
        let is_directory = |slot: &Slot| slot.kind == Some(Kind::Directory);
        if self.entries.iter().any(is_directory) {
            self.entries.sort_by_key(is_directory);
        }
        self.entries.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }

    /// Those of them that `keeps` wants.
    pub(crate) fn filtered(&self, keeps: impl Fn(&CStr) -> bool) -> Names {
        let mut kept = Names::default();
        for (name, kind) in (0..self.len()).map(|index| self.get(index)).filter(|(name, _)| keeps(name)) {
            kept.push(name, kind);
        }
        kept
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn get(&self, index: usize) -> (&CStr, Option<Kind>) {
        let slot = self.entries[index];
        let start = slot.start as usize;
        let name = CStr::from_bytes_with_nul(&self.bytes[start..start + usize::from(slot.len)])
            .expect("only whole C strings are pushed");
        (name, slot.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_come_last_and_names_keep_their_bytes() {
        let mut names = Names::default();
        names.push(c"d", Some(Kind::Directory));
        names.push(c"\xff\n", Some(Kind::File));
        names.push(c"-x", None);
        names.finish();
        let listed: Vec<_> = (0..names.len()).map(|index| names.get(index)).collect();
        assert_eq!(listed, [(c"\xff\n", Some(Kind::File)), (c"-x", None), (c"d", Some(Kind::Directory))]);
    }
}
