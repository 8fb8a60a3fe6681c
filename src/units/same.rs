//! Whether a file that is there has its source's content, byte by byte.

use super::entry::Item;
use crate::{
    entry::{Granularity, Kind, Meta},
    error::{During, Fault, Op},
    event::Differs,
    plan::Action,
    platform,
    scheduler::Worker,
    transfer::{Watch, cancelled, read_full},
};

impl Differs {
    /// What made `action` of `found`, which stands where a copy of `source` is to be.
    pub(super) fn between(source: &Meta, found: &Meta, action: Action, granularity: Granularity) -> Differs {
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
}

impl Worker {
    /// Decide by the content about a file that is there.
    pub(super) fn by_content(
        &mut self,
        at: Item<'_>,
        meta: &Meta,
        found: &Meta,
        action: Action,
    ) -> Result<Action, Fault> {
        let decides = matches!(action, Action::Unchanged | Action::Replace) && found.kind == Kind::File;
        if !decides || !self.context.job.existing.goes_by_content() {
            return Ok(action);
        }
        let is_same = meta.size == found.size && self.has_same_content(at, meta, found)?;
        Ok(if is_same { Action::Unchanged } else { Action::Replace })
    }

    /// Whether the copy `found` has the bytes of its source; both have one size.
    pub(super) fn has_same_content(
        &mut self,
        at: Item<'_>,
        meta: &Meta,
        found: &Meta,
    ) -> Result<bool, Fault> {
        let Item { node, dirs, name } = at;
        let source = dirs.source.open_source(name).during(Op::Open)?;
        let copy = dirs.target.open_source(node.place.target_name(name)).during(Op::Replace)?;
        let ids = [&source, &copy].map(|file| platform::meta(file).map(|meta| meta.id));
        let [from, to] = ids;
        if from.during(Op::Stat)? != meta.id || to.during(Op::Stat)? != found.id {
            return Err(Fault::refused(Op::Copy, "it was replaced meanwhile"));
        }
        let mut at = 0;
        while at < meta.size {
            if self.is_cancelled() {
                return Err(Fault::new(Op::Copy, cancelled()));
            }
            let read = self.with_scratch(|_, scratch| {
                let middle = scratch.buffer.len() / 2;
                let (one, other) = scratch.buffer.split_at_mut(middle);
                let one = &mut one[..middle.min(usize::try_from(meta.size - at).unwrap_or(middle))];
                let read = read_full(&source, one, at).during(Op::Read)?;
                let there = read_full(&copy, &mut other[..read], at).during(Op::Read)?;
                Ok::<_, Fault>((read > 0 && there == read && one[..read] == other[..read]).then_some(read))
            })?;
            match read {
                Some(bytes) => at += bytes as u64,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}
