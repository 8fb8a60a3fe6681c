//! What a power cut may have taken from copies that look finished.
//!
//! A file gets its size before its content where its blocks are reserved or it has holes, and its time may
//! reach the device before its content does. What is missing then are holes, or blocks that were never
//! written, which read the same (measured on ext4 and xfs by cutting mounted filesystems off).

use std::io::ErrorKind;

use super::Durability;
use crate::{
    entry::{Kind, Meta},
    error::{During, Fault, Op, Sided},
    frames::{Coding, content_size},
    options::Compare,
    platform,
    refusal::Refusal,
    storage::Storage,
    transfer::{RESERVE_MIN, Watch, cancelled},
    tree::EntryRef,
    verify::Verifier,
};

impl Durability {
    /// Whether a copy that looks like its source lacks some of its content.
    pub(crate) fn is_cut_off(
        &self,
        verifier: &mut Verifier<'_>,
        at: EntryRef<'_>,
        meta: &Meta,
        found: &Meta,
    ) -> Result<bool, Fault> {
        let job = &self.setting.job;
        let was_compared = job.compare == Compare::Content && job.existing.goes_by_content();
        if found.kind != Kind::File || was_compared {
            return Ok(false);
        }
        if let Some(coding) = self.setting.coding(at.name) {
            return self.is_other_content(verifier, at, meta, found, coding);
        }
        if self.markers.distrusts(found.changed) {
            return Ok(!verifier.has_same_content(at, meta, found)?);
        }
        // Smaller ones get their size with their content, unless they have holes. A server keeps what it
        // was given, or the times would not be there.
        let may_lack = meta.size >= RESERVE_MIN || found.is_sparse();
        Ok(may_lack
            && at.node.pair.storage != Storage::Remote
            && self.lacks_data(verifier, at, meta, found)?)
    }

    /// Whether the source has anything but zeros where the copy has holes.
    fn lacks_data(
        &self,
        verifier: &mut Verifier<'_>,
        at: EntryRef<'_>,
        meta: &Meta,
        found: &Meta,
    ) -> Result<bool, Fault> {
        let EntryRef { node, dirs, name } = at;
        let copy = match dirs.target.open_source(&node.place.target_name(name, Kind::File)) {
            // One that may not be read was made by a call that needed no reading, and is left alone.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(false),
            opened => opened.during(Op::Replace)?,
        };
        let mut source = None;
        let mut from = 0;
        while from < meta.size {
            if verifier.teller.is_cancelled() {
                return Err(Fault::new(Op::Copy, cancelled()));
            }
            let data = platform::next_data(&copy, from, meta.size).during(Op::Replace)?;
            let (data, hole) = data.unwrap_or((meta.size, meta.size));
            if data > from {
                let source = match &mut source {
                    Some(source) => source,
                    None => {
                        if platform::meta(&copy).during(Op::Stat).in_copy()?.id != found.id {
                            return Err(Fault::refused(Op::Replace, Refusal::Replaced));
                        }
                        source.insert(dirs.source.open_source(name).during(Op::Open)?)
                    }
                };
                if !verifier.is_zero(source, from, data)? {
                    return Ok(true);
                }
            }
            from = hole;
        }
        Ok(false)
    }

    /// Whether a copy that has its source's time does not hold what the source does, as far as headers tell.
    fn is_other_content(
        &self,
        verifier: &mut Verifier<'_>,
        at: EntryRef<'_>,
        meta: &Meta,
        found: &Meta,
        coding: Coding,
    ) -> Result<bool, Fault> {
        let EntryRef { node, dirs, name } = at;
        let doubted = self.markers.distrusts(found.changed);
        let sizes = if doubted {
            None
        } else {
            let copy = node.place.target_name(name, meta.kind);
            let (dir, name, op, codec) = match coding {
                Coding::Encode(codec, _) => (&dirs.target, &*copy, Op::Replace, codec),
                Coding::Decode(codec) => (&dirs.source, name, Op::Open, codec),
            };
            let file = dir.open_source(name).during(op)?;
            match content_size(&file, codec) {
                // Of the source that is a failure, which copying it again will tell.
                Err(error) if error.kind() == ErrorKind::InvalidData => return Ok(true),
                size => size.during(op)?.map(|size| match coding {
                    Coding::Encode(..) => (size, meta.size),
                    Coding::Decode(_) => (size, found.size),
                }),
            }
        };
        match sizes {
            Some((one, other)) if one != other => Ok(true),
            // What a power cut has taken are holes; frames have none.
            Some(_) if !has_any_hole(at, meta, found)? => Ok(false),
            Some(_) | None => Ok(!verifier.has_same_content(at, meta, found)?),
        }
    }
}

/// Whether a copy that lost data could have lost some: it is large or sparse, and has holes.
fn has_any_hole(at: EntryRef<'_>, meta: &Meta, found: &Meta) -> Result<bool, Fault> {
    if found.size < RESERVE_MIN && !found.is_sparse() {
        return Ok(false);
    }
    let copy = at.node.place.target_name(at.name, meta.kind);
    let copy = at.dirs.target.open_source(&copy).during(Op::Replace)?;
    let data = platform::next_data(&copy, 0, found.size).during(Op::Replace)?;
    Ok(data != Some((0, found.size)))
}
