//! Whether a file that is there has its source's content, byte by byte.

use std::{ffi::CStr, fs::File};

use super::Verifier;
use crate::{
    entry::{Granularity, Kind, Meta},
    error::{During, Fault, Op, Sided},
    event::Differs,
    frames::{Coding, Content},
    plan::Action,
    platform,
    refusal::Refusal,
    transfer::{CommonHoles, FillResult, Watch, cancelled},
    tree::EntryRef,
};

/// What made `action` of `found`, which stands where a copy of `source` is to be.
pub(crate) fn what_differs(source: &Meta, found: &Meta, action: Action, granularity: Granularity) -> Differs {
    let mut differs = Differs::empty();
    if action == Action::Replace && found.kind == Kind::File {
        let times = [source.modified, found.modified].map(|time| time.truncated_to(granularity));
        differs.set(Differs::SIZE, source.size != found.size);
        differs.set(Differs::TIME, times[0] != times[1]);
        // Then nothing but the bytes themselves can have told.
        differs.set(Differs::CONTENT, differs.is_empty());
    }
    differs.set(Differs::KIND, source.kind != found.kind);
    differs
}

impl Verifier<'_> {
    /// Decide by the content about a file that is there.
    pub(crate) fn by_content(
        &mut self,
        at: EntryRef<'_>,
        meta: &Meta,
        found: &Meta,
        action: Action,
    ) -> Result<Action, Fault> {
        let decides = matches!(action, Action::Unchanged | Action::Replace) && found.kind == Kind::File;
        if !decides || !self.setting.job.existing.goes_by_content() {
            return Ok(action);
        }
        let may_be = self.setting.coding(at.name).is_some() || meta.size == found.size;
        let is_same = may_be && self.has_same_content(at, meta, found)?;
        Ok(if is_same { Action::Unchanged } else { Action::Replace })
    }

    /// Whether the copy `found` has the bytes of its source; both have one size, or one of them is compressed.
    pub(crate) fn has_same_content(
        &mut self,
        at: EntryRef<'_>,
        meta: &Meta,
        found: &Meta,
    ) -> Result<bool, Fault> {
        let EntryRef { node, dirs, name } = at;
        let source_file = dirs.source.open_source(name).during(Op::Open)?;
        let copy_file =
            dirs.target.open_source(&node.place.target_name(name, Kind::File)).during(Op::Replace)?;
        let ids = [&source_file, &copy_file].map(|file| platform::meta(file).map(|meta| meta.id));
        let [from, to] = ids;
        if from.during(Op::Stat)? != meta.id {
            return Err(Fault::changed(Op::Copy, Refusal::Replaced));
        }
        if to.during(Op::Stat).in_copy()? != found.id {
            return Err(Fault::refused(Op::Replace, Refusal::Replaced));
        }
        self.hold_same([&source_file, &copy_file], self.setting.coding(name), meta.size)
    }

    /// Whether two files hold the same, the second of them a copy of the first; their first `size` bytes, unless
    /// one of them is in frames.
    pub(crate) fn hold_same(
        &mut self,
        [source_file, copy_file]: [&File; 2],
        coding: Option<Coding>,
        size: u64,
    ) -> Result<bool, Fault> {
        let mut source = match Content::of(source_file, coding.and_then(Coding::source_codec)) {
            Ok(content) => content,
            Err(error) => return Err(Fault::new(Op::Read, error)),
        };
        let copy = Content::of(copy_file, coding.and_then(Coding::copy_codec));
        let Some(mut copy) = if_whole(copy).during(Op::Read).in_copy()? else { return Ok(false) };
        // What is not compressed may grow meanwhile, as a log does.
        let mut left = if coding.is_some() { u64::MAX } else { size };
        let mut holes = CommonHoles::default();
        loop {
            if self.teller.is_cancelled() {
                return Err(Fault::new(Op::Copy, cancelled()));
            }
            if coding.is_none() {
                let at = holes.pass([source_file, copy_file], size - left, size);
                left = size - at;
                source = Content::Plain { file: source_file, at };
                copy = Content::Plain { file: copy_file, at };
            }
            let middle = self.scratch.buffer().len() / 2;
            let (one, other) = self.scratch.buffer().split_at_mut(middle);
            let most = middle.min(usize::try_from(left).unwrap_or(middle));
            let read = source.read_full(&mut one[..most]).during(Op::Read)?;
            let there = if_whole(copy.read_full(&mut other[..most]));
            let there = there.during(Op::Read).in_copy()?;
            let is_same = there == Some(read) && one[..read] == other[..read];
            match is_same {
                true if read == most && most > 0 => left -= read as u64,
                // Both have ended; a plain source that ended before its size is none of these.
                true => return Ok(coding.is_some() || most == 0),
                false => return Ok(false),
            }
        }
    }

    /// What a source is now whose copy has all it is to have, unless its content changed meanwhile.
    ///
    /// Size and modification time tell. Where the change time alone is another, what changed are names, links or
    /// attributes, or somebody has set the modification time back: then the content itself is compared.
    pub(crate) fn has_stood_still(
        &mut self,
        name: &CStr,
        [source, copy]: [&File; 2],
        meta: &Meta,
        filled: FillResult,
    ) -> Result<Option<Meta>, Fault> {
        let mut now = platform::meta(source).during(Op::Stat)?;
        // What says that it is empty and is not (procfs) says something else each time.
        if now.changed != meta.changed && !meta.content_differs(&now) && meta.size > 0 {
            let size = match filled {
                FillResult::Coded { .. } => meta.size,
                _ => platform::meta(copy).during(Op::Stat).in_copy()?.size,
            };
            if !self.hold_same([source, copy], self.setting.coding(name), size)? {
                return Ok(None);
            }
            now = platform::meta(source).during(Op::Stat)?;
        }
        // Copying it may have moved the access time.
        Ok((!meta.content_differs(&now)).then_some(Meta { accessed: meta.accessed, ..now }))
    }
}

/// What was read of a copy, unless it is no whole frame.
pub(crate) fn if_whole<T>(read: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Ok(None),
        read => read.map(Some),
    }
}
