//! What a power cut may have taken from copies that look finished.
//!
//! A file gets its size before its content where its blocks are reserved or it has holes, and its time may
//! reach the device before its content does. What is missing then are holes, or blocks that were never
//! written, which read the same (measured on ext4 and xfs by cutting mounted filesystems off).

use std::fs::File;

use super::content::RESERVE_MIN;
use crate::{
    copy::Copier,
    entry::{Kind, Meta},
    error::{During, Fault, Op, Sided},
    options::Compare,
    platform,
    storage::Storage,
    transfer::{Watch, cancelled},
    tree::Item,
};

impl Copier {
    /// Whether a copy that looks like its source lacks some of its content.
    pub(super) fn is_cut_off(&mut self, at: Item<'_>, meta: &Meta, found: &Meta) -> Result<bool, Fault> {
        let job = &self.setting.job;
        let was_compared = job.compare == Compare::Content && job.existing.goes_by_content();
        if found.kind != Kind::File || was_compared {
            return Ok(false);
        }
        if let Some(coding) = self.setting.coding(at.name) {
            return self.is_other_content(at, meta, found, coding);
        }
        if self.run.durability.marks.doubts(found.changed) {
            return Ok(!self.has_same_content(at, meta, found)?);
        }
        // Smaller ones get their size with their content, unless they have holes. A server keeps what it
        // was given, or the times would not be there.
        let may_lack = meta.size >= RESERVE_MIN || found.is_sparse();
        Ok(may_lack && at.node.pair.storage != Storage::Remote && self.lacks_data(at, meta, found)?)
    }

    /// Whether the source has anything but zeros where the copy has holes.
    fn lacks_data(&mut self, at: Item<'_>, meta: &Meta, found: &Meta) -> Result<bool, Fault> {
        let Item { node, dirs, name } = at;
        let copy = match dirs.target.open_source(&node.place.target_name(name, Kind::File)) {
            // One that may not be read was made by a call that needed no reading, and is left alone.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(false),
            opened => opened.during(Op::Replace)?,
        };
        let mut source = None;
        let mut from = 0;
        while from < meta.size {
            if self.teller.is_cancelled() {
                return Err(Fault::new(Op::Copy, cancelled()));
            }
            let data = platform::next_data(&copy, from, meta.size).during(Op::Replace)?;
            let (data, hole) = data.unwrap_or((meta.size, meta.size));
            if data > from {
                let source = match &mut source {
                    Some(source) => source,
                    None => {
                        if platform::meta(&copy).during(Op::Stat).in_copy()?.id != found.id {
                            return Err(Fault::refused(Op::Replace, "it was replaced meanwhile"));
                        }
                        source.insert(dirs.source.open_source(name).during(Op::Open)?)
                    }
                };
                if !self.is_zero(source, from, data)? {
                    return Ok(true);
                }
            }
            from = hole;
        }
        Ok(false)
    }

    /// Whether a range of a file holds nothing but zeros.
    pub(super) fn is_zero(&mut self, file: &File, mut from: u64, end: u64) -> Result<bool, Fault> {
        while let Some((data, hole)) = platform::next_data(file, from, end).during(Op::Read)? {
            from = data;
            while from < hole {
                if self.teller.is_cancelled() {
                    return Err(Fault::new(Op::Copy, cancelled()));
                }
                let bytes = self.with_scratch(|_, scratch| {
                    let most = scratch.buffer.len().min(usize::try_from(hole - from).unwrap_or(usize::MAX));
                    let read = platform::read_at(file, &mut scratch.buffer[..most], from).during(Op::Read)?;
                    let is_zero = scratch.buffer[..read].iter().all(|byte| *byte == 0);
                    Ok::<_, Fault>(is_zero.then_some(read as u64))
                })?;
                match bytes {
                    None => return Ok(false),
                    Some(0) => return Ok(true), // it ends here
                    Some(bytes) => from += bytes,
                }
            }
        }
        Ok(true)
    }
}
