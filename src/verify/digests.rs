//! Checking what was copied: digests of both sides, the copy's by reading it back.

use std::{fs::File, io, path::PathBuf};

use super::Verifier;
use crate::{
    digest::{Digest, DigestKind, Hasher},
    entry::{Kind, Meta},
    error::{During, Fault, Op, Sided},
    frames::{Codec, Coding, Content},
    options::Verify,
    platform,
    report::WarningKind,
    transfer::{FillResult, Watch, cancelled, data_within, next_data_of},
    tree::EntryRef,
};

/// The digests of a file and of its copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) source: Digest,
    pub(crate) copy: Digest,
    /// Whether they are of all of the content, and not of the data alone and where it lies.
    pub(crate) are_whole: bool,
}

/// Holes of more bytes than this are not hashed, which would take an hour or, of the largest, centuries.
const HOLES_MAX: u64 = 1 << 40;

/// Whether the digests of a file are taken of its data alone.
pub(crate) fn is_hollow(file: &File, meta: &Meta) -> bool {
    meta.size.saturating_sub(meta.allocated) > HOLES_MAX
        && meta.size - data_within(file, meta.size) > HOLES_MAX // it may just be compressed
}

/// A file that is to have its digest written down has none.
pub(crate) fn no_digest() -> Fault {
    let why = "it is in place but has no digest, since it has more than 1 TiB of holes, which are not hashed; \
               exclude it where a manifest is wanted";
    Fault::refused(Op::Verify, why)
}

impl Verifier<'_> {
    /// The digests of a file that is in place as a whole, where they are wanted.
    pub(crate) fn digests(
        &mut self,
        at: EntryRef<'_>,
        [source, copy]: [&File; 2],
        meta: &Meta,
        filled: FillResult,
    ) -> Result<Option<Digests>, Fault> {
        let EntryRef { node, name, .. } = at;
        let Some(kind) = self.setting.job.verify.digest() else { return Ok(None) };
        let passing = self.teller.passing.take();
        let coding = self.setting.coding(name);
        let is_hollow = coding.is_none() && is_hollow(source, meta);
        let end = match filled {
            FillResult::Coded { content, .. } => content,
            _ => platform::meta(copy).during(Op::Stat).in_copy()?.size,
        };
        let passed = passing.and_then(|passing| passing.finish(end));
        let source_digest = match passed {
            None if is_hollow => None,
            None => {
                let codec = coding.and_then(Coding::source_codec);
                Some(self.digest_in(source, codec, kind, end).in_source()?)
            }
            passed => passed,
        };
        let is_direct = self.bypass_page_cache(copy, || node.place.target_path(name, Kind::File))?;
        let digests = match source_digest {
            None => self.digests_of_data([source, copy], kind, end),
            Some(source) => {
                let copy = self.digest_in(copy, coding.and_then(Coding::copy_codec), kind, end);
                if copy.as_ref().is_err_and(|fault| fault.cause.kind() == io::ErrorKind::InvalidData) {
                    self.teller.outcomes.totals.mismatches += 1; // it is no frame any more
                }
                copy.map(|copy| Digests { source, copy, are_whole: true })
            }
        };
        if is_direct {
            platform::set_direct(copy, false).during(Op::Verify)?;
        }
        digests.map(Some)
    }

    /// The digests of what a file and its copy hold where either has data, and of where that is.
    fn digests_of_data(&mut self, files: [&File; 2], kind: DigestKind, end: u64) -> Result<Digests, Fault> {
        let mut hashers = [Hasher::new(kind), Hasher::new(kind)];
        let mut at = 0;
        while let Some((data, hole)) = next_data_of(files, at, end).during(Op::Verify)? {
            for (side, (file, hasher)) in files.into_iter().zip(&mut hashers).enumerate() {
                hasher.update(&data.to_le_bytes());
                hasher.update(&hole.to_le_bytes());
                let mut from = data;
                loop {
                    let some = self.hash_some(file, hasher, &mut from, hole);
                    if !(if side == 0 { some.in_source() } else { some })? || from == hole {
                        break;
                    }
                }
                hasher.update(&from.to_le_bytes()); // where it ends, if it does
            }
            at = hole;
        }
        let [source, copy] = hashers.map(Hasher::finish);
        Ok(Digests { source, copy, are_whole: false })
    }

    /// Refuse a copy whose content is not that of its source.
    pub(crate) fn compare_digests(&mut self, digests: Digests, size: u64) -> Result<(), Fault> {
        let Digests { source, copy, are_whole } = digests;
        if source != copy {
            self.teller.outcomes.totals.mismatches += 1;
            let why = format!("its content is not what was copied: the source has {source}, the copy {copy}");
            return Err(Fault::new(Op::Verify, io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        self.teller.outcomes.totals.files_verified += 1;
        let verified = &mut self.teller.outcomes.totals.bytes_verified;
        *verified = verified.saturating_add(size);
        self.teller.notes.digest = are_whole.then_some(copy);
        Ok(())
    }

    /// Refuse a copy that does not have the size of what was put in place.
    pub(crate) fn compare_sizes(&mut self, copy: &File, expected: u64) -> Result<(), Fault> {
        let size = platform::meta(copy).during(Op::Stat).in_copy()?.size;
        if size == expected {
            return Ok(());
        }
        self.teller.outcomes.totals.mismatches += 1;
        let why = format!("it has {size} bytes, where {expected} were copied");
        Err(Fault::new(Op::Verify, io::Error::new(io::ErrorKind::InvalidData, why)))
    }

    /// Where the copy is to be read from its device: see to it that it is there, and nowhere else;
    /// whether reads go past the page cache from now on.
    pub(crate) fn bypass_page_cache(
        &mut self,
        copy: &File,
        path: impl FnOnce() -> PathBuf,
    ) -> Result<bool, Fault> {
        if self.setting.job.verify != Verify::Media {
            return Ok(false);
        }
        copy.sync_data().during(Op::Sync)?;
        let left = platform::drop_cached(copy).and_then(|()| platform::set_direct(copy, true));
        if let Err(error) = &left {
            self.teller.warn_of(WarningKind::Media, path, &error.to_string());
        }
        Ok(left.is_ok())
    }

    /// The digest of what a file holds, in frames of `codec` or as it is; then of its first `end` bytes.
    fn digest_in(
        &mut self,
        file: &File,
        codec: Option<Codec>,
        kind: DigestKind,
        end: u64,
    ) -> Result<Digest, Fault> {
        match codec {
            Some(codec) => self.digest_of_frames(file, codec, kind),
            None => self.digest_of(file, kind, end),
        }
    }

    /// The digest of the first `end` bytes of a file, or of fewer where it ends before.
    pub(crate) fn digest_of(&mut self, file: &File, kind: DigestKind, end: u64) -> Result<Digest, Fault> {
        let mut hasher = Hasher::new(kind);
        let mut at = 0;
        while at < end && self.hash_some(file, &mut hasher, &mut at, end)? {}
        Ok(hasher.finish())
    }

    /// Hash the next bytes at `at`; whether there were any.
    pub(crate) fn hash_some(
        &mut self,
        file: &File,
        hasher: &mut Hasher,
        at: &mut u64,
        end: u64,
    ) -> Result<bool, Fault> {
        if self.teller.is_cancelled() {
            return Err(Fault::new(Op::Verify, cancelled()));
        }
        // Whole blocks also at the end of the file, which direct I/O wants.
        let buffer = self.scratch.aligned();
        let bytes = loop {
            match platform::read_at(file, buffer, *at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.during(Op::Verify)?,
            }
        };
        let bytes = bytes.min(usize::try_from(end - *at).unwrap_or(usize::MAX));
        hasher.update(&buffer[..bytes]);
        *at += bytes as u64;
        Ok(bytes > 0)
    }

    /// Take the digest of an entry of the copy that was not copied, where every file's is wanted.
    pub(crate) fn digest_there(&mut self, at: EntryRef<'_>, kind: Kind) -> Result<(), Fault> {
        let wanted = self.setting.job.digest_all && kind == Kind::File;
        let Some(digest) = self.setting.job.verify.digest().filter(|_| wanted) else { return Ok(()) };
        let file =
            at.dirs.target.open_source(&at.node.place.target_name(at.name, Kind::File)).during(Op::Verify)?;
        let meta = platform::meta(&file).during(Op::Stat).in_copy()?;
        if meta.kind == Kind::File {
            if self.setting.coding(at.name).is_none() && is_hollow(&file, &meta) {
                return Err(no_digest());
            }
            let codec = self.setting.coding(at.name).and_then(Coding::copy_codec);
            self.teller.notes.digest = Some(self.digest_in(&file, codec, digest, meta.size)?);
        }
        Ok(())
    }

    /// The digest of what a file of frames holds.
    fn digest_of_frames(&mut self, file: &File, codec: Codec, kind: DigestKind) -> Result<Digest, Fault> {
        let mut hasher = Hasher::new(kind);
        let mut content = Content::of(file, Some(codec)).during(Op::Verify)?;
        loop {
            if self.teller.is_cancelled() {
                return Err(Fault::new(Op::Verify, cancelled()));
            }
            match content.read_full(self.scratch.buffer()).during(Op::Verify)? {
                0 => return Ok(hasher.finish()),
                read => hasher.update(&self.scratch.buffer()[..read]),
            }
        }
    }
}
