//! What is in place of a large file that is gone on with: whether it is what a journal says.

use std::fs::File;

use super::LargeFile;
use crate::{
    copy::Copier,
    error::{During, Fault, Op, Sided},
    platform,
    transfer::{Watch, cancelled},
};

impl Copier {
    /// Whether what is there of a file is what a journal says of it.
    pub(super) fn is_in_place(
        &mut self,
        file: &LargeFile,
        from: u64,
        to: u64,
        digest: [u8; 32],
    ) -> Result<bool, Fault> {
        let there = self.digest_of_range(file, &file.filling.staged.file, from, to).in_copy()?;
        let mut is_current = || {
            let of_source = self.digest_of_range(file, &file.filling.source, from, to).in_source()?;
            Ok::<_, Fault>(of_source == Some(digest))
        };
        if there == Some(digest) && (!file.is_doubtful || is_current()?) {
            self.teller.outcomes.totals.bytes_resumed += to - from;
            return Ok(true);
        }
        // What lies where the source has holes is not copied over.
        self.clear_holes(file, from, to)?;
        Ok(false)
    }

    /// The digest of what `content` has where the source has data, and where that is; none where it has
    /// anything but zeros elsewhere.
    pub(super) fn digest_of_range(
        &mut self,
        file: &LargeFile,
        content: &File,
        from: u64,
        to: u64,
    ) -> Result<Option<[u8; 32]>, Fault> {
        let mut hasher = blake3::Hasher::new();
        for (data, hole) in self.data_in(file, from, to)? {
            hasher.update(&data.to_le_bytes()).update(&hole.to_le_bytes());
            let mut at = data;
            while at < hole {
                if self.teller.is_cancelled() {
                    return Err(Fault::new(Op::Copy, cancelled()));
                }
                let read = self.with_scratch(|_, scratch| {
                    let most = scratch.buffer.len().min(usize::try_from(hole - at).unwrap_or(usize::MAX));
                    let read =
                        platform::read_at(content, &mut scratch.buffer[..most], at).during(Op::Read)?;
                    hasher.update(&scratch.buffer[..read]);
                    Ok::<_, Fault>(read as u64)
                })?;
                if read == 0 {
                    return Ok(None); // it ends before
                }
                at += read;
            }
        }
        for (hole, data) in self.holes_in(file, from, to)? {
            if !self.verifier().is_zero(content, hole, data)? {
                return Ok(None);
            }
        }
        Ok(Some(*hasher.finalize().as_bytes()))
    }

    /// Where the source has data, as far as its holes are kept.
    fn data_in(&self, file: &LargeFile, from: u64, to: u64) -> Result<Vec<(u64, u64)>, Fault> {
        if !file.filling.seeks_data {
            return Ok(vec![(from, to)]);
        }
        let mut data = Vec::new();
        let mut at = from;
        while let Some((begin, end)) = platform::next_data(&file.filling.source, at, to).during(Op::Read)? {
            data.push((begin, end));
            at = end;
        }
        Ok(data)
    }

    fn holes_in(&self, file: &LargeFile, from: u64, to: u64) -> Result<Vec<(u64, u64)>, Fault> {
        let data = self.data_in(file, from, to)?;
        let begins = std::iter::once(from).chain(data.iter().map(|(_, hole)| *hole));
        let ends = data.iter().map(|(data, _)| *data).chain([to]);
        Ok(begins.zip(ends).filter(|(begin, end)| begin < end).collect())
    }

    fn clear_holes(&mut self, file: &LargeFile, from: u64, to: u64) -> Result<(), Fault> {
        let copy = &file.filling.staged.file;
        for (hole, data) in self.holes_in(file, from, to)? {
            if self.verifier().is_zero(copy, hole, data).in_copy()? {
                continue;
            }
            self.with_scratch(|_, scratch| {
                scratch.buffer.fill(0);
                let mut at = hole;
                while at < data {
                    let most = scratch.buffer.len().min(usize::try_from(data - at).unwrap_or(usize::MAX));
                    platform::write_all_at(copy, &scratch.buffer[..most], at).during(Op::Write)?;
                    at += most as u64;
                }
                Ok::<_, Fault>(())
            })?;
        }
        Ok(())
    }
}
