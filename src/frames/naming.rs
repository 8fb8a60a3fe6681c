//! What copies of regular files are called, and what is done to their content.

use std::{
    borrow::Cow,
    ffi::{CStr, CString},
};

use super::Codec;
use crate::options::Compression;

/// What is done to the content of a file on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// It becomes a frame; at this level, where the codec has levels.
    Encode(Codec, i32),
    /// It consists of frames, and comes out of them.
    Decode(Codec),
}

impl Coding {
    /// The format of the source, where its content is in frames.
    pub(crate) fn source_codec(self) -> Option<Codec> {
        match self {
            Coding::Encode(..) => None,
            Coding::Decode(codec) => Some(codec),
        }
    }

    /// The format of the copy, where its content is in frames.
    pub(crate) fn copy_codec(self) -> Option<Codec> {
        match self {
            Coding::Encode(codec, _) => Some(codec),
            Coding::Decode(_) => None,
        }
    }
}

impl Compression {
    /// The format that every file gets.
    fn codec(self) -> Option<Codec> {
        match self {
            Compression::None | Compression::Decompress => None,
            Compression::Zstd { .. } => Some(Codec::Zstd),
            Compression::Lz4 => Some(Codec::Lz4),
        }
    }

    /// What is done to the content of the source's file `name`; nothing, mostly.
    #[inline]
    pub(crate) fn coding_of(self, name: &CStr) -> Option<Coding> {
        match self {
            Compression::None => None,
            Compression::Zstd { level } => Some(Coding::Encode(Codec::Zstd, level.clamp(1, 22))),
            Compression::Lz4 => Some(Coding::Encode(Codec::Lz4, 0)),
            Compression::Decompress => Codec::ALL
                .into_iter()
                .find(|codec| without(name, codec.suffix()).is_some())
                .map(Coding::Decode),
        }
    }

    /// What the copy of the source's file `name` is called. A name that is empty is nobody's.
    #[inline]
    pub(crate) fn copy_name(self, name: &CStr) -> Cow<'_, CStr> {
        if self == Compression::None { Cow::Borrowed(name) } else { self.coded_name(name) }
    }

    fn coded_name(self, name: &CStr) -> Cow<'_, CStr> {
        match self.coding_of(name) {
            Some(Coding::Encode(codec, _)) if !name.is_empty() => Cow::Owned(with(name, codec.suffix())),
            Some(Coding::Decode(codec)) => Cow::Owned(without(name, codec.suffix()).unwrap_or_default()),
            _ => Cow::Borrowed(name),
        }
    }

    /// What the copy of a file is called that is to become `wanted`: that, with the format's suffix.
    pub(crate) fn wanted_name(self, wanted: CString) -> CString {
        match self.codec() {
            Some(codec) if without(&wanted, codec.suffix()).is_none() => with(&wanted, codec.suffix()),
            _ => wanted,
        }
    }

    /// Whether `wants` takes an entry of the copy by its own name and by all that its source may have.
    pub(crate) fn is_wanted(self, name: &CStr, wants: impl Fn(&CStr) -> bool) -> bool {
        let has_wanted_source = || self.source_names(name).iter().all(|source| wants(source));
        wants(name) && (self == Compression::None || has_wanted_source())
    }

    /// The names of files in the source whose copies are called `name`.
    pub(crate) fn source_names(self, name: &CStr) -> Vec<CString> {
        match self {
            Compression::None => vec![name.to_owned()],
            Compression::Zstd { .. } | Compression::Lz4 => {
                self.codec().and_then(|codec| without(name, codec.suffix())).into_iter().collect()
            }
            Compression::Decompress => {
                let plain = self.coding_of(name).is_none().then(|| name.to_owned());
                let coded = Codec::ALL.map(|codec| with(name, codec.suffix()));
                plain.into_iter().chain(coded).collect()
            }
        }
    }
}

fn with(name: &CStr, suffix: &str) -> CString {
    let bytes = [name.to_bytes(), suffix.as_bytes()].concat();
    CString::new(bytes).expect("neither has a zero in it")
}

/// `name` without `suffix`, where something is left of it.
fn without(name: &CStr, suffix: &str) -> Option<CString> {
    let stem = name.to_bytes().strip_suffix(suffix.as_bytes()).filter(|stem| !stem.is_empty())?;
    Some(CString::new(stem).expect("a part of a name has no zero in it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZSTD: Compression = Compression::Zstd { level: Compression::ZSTD_LEVEL };

    #[test]
    fn copies_are_called_after_their_format_and_back() {
        for (compression, name, copy) in [
            (Compression::None, c"a.zst", c"a.zst"),
            (ZSTD, c"a", c"a.zst"),
            (ZSTD, c"a.zst", c"a.zst.zst"),
            (Compression::Lz4, c"a.zst", c"a.zst.lz4"),
            (Compression::Decompress, c"a.zst", c"a"),
            (Compression::Decompress, c"a.zst.lz4", c"a.zst"),
            (Compression::Decompress, c"a", c"a"),
            (Compression::Decompress, c".zst", c".zst"),
            (ZSTD, c"", c""),
        ] {
            assert_eq!(&*compression.copy_name(name), copy, "{compression:?} {name:?}");
            if !name.is_empty() {
                assert!(
                    compression.source_names(copy).iter().any(|source| **source == *name),
                    "{compression:?} {copy:?}"
                );
            }
        }
    }

    #[test]
    fn what_no_source_could_be_the_source_of_has_none() {
        assert!(ZSTD.source_names(c"a").is_empty());
        assert_eq!(
            Compression::Decompress.source_names(c"a.zst"),
            [c"a.zst.zst".to_owned(), c"a.zst.lz4".to_owned()]
        );
    }

    #[test]
    fn a_name_that_was_asked_for_has_the_suffix_once() {
        assert_eq!(ZSTD.wanted_name(c"b".to_owned()), c"b.zst".to_owned());
        assert_eq!(ZSTD.wanted_name(c"b.zst".to_owned()), c"b.zst".to_owned());
        assert_eq!(Compression::Decompress.wanted_name(c"b.zst".to_owned()), c"b.zst".to_owned());
    }
}
