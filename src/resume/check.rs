//! What is in place of a large file that is gone on with: whether it is what a journal says.

use std::fs::File;

use crate::{
    error::{During, Fault, Op, Sided},
    platform,
    transfer::{Watch, cancelled},
    verify::Verifier,
};

/// The two sides of a large file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides<'a> {
    pub(crate) source: &'a File,
    pub(crate) copy: &'a File,
    /// Whether holes of the source are kept.
    pub(crate) seeks_data: bool,
    /// Whether the source may be another by now.
    pub(crate) is_doubtful: bool,
}

/// Whether what is there of a file is what a journal says of it.
pub(crate) fn is_in_place(
    verifier: &mut Verifier<'_>,
    file: Sides<'_>,
    from: u64,
    to: u64,
    digest: [u8; 32],
) -> Result<bool, Fault> {
    let there = digest_of_range(verifier, file, file.copy, from, to).in_copy()?;
    let mut is_current = || {
        let of_source = digest_of_range(verifier, file, file.source, from, to).in_source()?;
        Ok::<_, Fault>(of_source == Some(digest))
    };
    if there == Some(digest) && (!file.is_doubtful || is_current()?) {
        verifier.teller.outcomes.totals.bytes_resumed += to - from;
        return Ok(true);
    }
    // What lies where the source has holes is not copied over.
    clear_holes(verifier, file, from, to)?;
    Ok(false)
}

/// The digest of what `content` has where the source has data, and where that is; none where it has
/// anything but zeros elsewhere.
pub(crate) fn digest_of_range(
    verifier: &mut Verifier<'_>,
    file: Sides<'_>,
    content: &File,
    from: u64,
    to: u64,
) -> Result<Option<[u8; 32]>, Fault> {
    let mut hasher = blake3::Hasher::new();
    for (data, hole) in data_in(file, from, to)? {
        hasher.update(&data.to_le_bytes()).update(&hole.to_le_bytes());
        let mut at = data;
        while at < hole {
            if verifier.teller.is_cancelled() {
                return Err(Fault::new(Op::Copy, cancelled()));
            }
            let buffer = verifier.scratch.buffer();
            let most = buffer.len().min(usize::try_from(hole - at).unwrap_or(usize::MAX));
            let read = platform::read_at(content, &mut buffer[..most], at).during(Op::Read)?;
            hasher.update(&buffer[..read]);
            if read == 0 {
                return Ok(None); // it ends before
            }
            at += read as u64;
        }
    }
    for (hole, data) in holes_in(file, from, to)? {
        if !verifier.is_zero(content, hole, data)? {
            return Ok(None);
        }
    }
    Ok(Some(*hasher.finalize().as_bytes()))
}

/// Where the source has data, as far as its holes are kept.
fn data_in(file: Sides<'_>, from: u64, to: u64) -> Result<Vec<(u64, u64)>, Fault> {
    if !file.seeks_data {
        return Ok(vec![(from, to)]);
    }
    let mut data = Vec::new();
    let mut at = from;
    while let Some((begin, end)) = platform::next_data(file.source, at, to).during(Op::Read)? {
        data.push((begin, end));
        at = end;
    }
    Ok(data)
}

fn holes_in(file: Sides<'_>, from: u64, to: u64) -> Result<Vec<(u64, u64)>, Fault> {
    let data = data_in(file, from, to)?;
    let begins = std::iter::once(from).chain(data.iter().map(|(_, hole)| *hole));
    let ends = data.iter().map(|(data, _)| *data).chain([to]);
    Ok(begins.zip(ends).filter(|(begin, end)| begin < end).collect())
}

fn clear_holes(verifier: &mut Verifier<'_>, file: Sides<'_>, from: u64, to: u64) -> Result<(), Fault> {
    for (hole, data) in holes_in(file, from, to)? {
        if verifier.is_zero(file.copy, hole, data).in_copy()? {
            continue;
        }
        let zeros = verifier.scratch.buffer();
        zeros.fill(0);
        let mut at = hole;
        while at < data {
            let most = zeros.len().min(usize::try_from(data - at).unwrap_or(usize::MAX));
            platform::write_all_at(file.copy, &zeros[..most], at).during(Op::Write)?;
            at += most as u64;
        }
    }
    Ok(())
}
