//! An entry that the copy has already, and whose content is left alone.

use std::fs::File;

use super::Copier;
use crate::{
    copy::entry::Disposition,
    entry::{Kind, Meta},
    error::{During, Fault, Op, Sided},
    event::Done,
    fidelity::{Held, MetadataTarget, granularity, may_clamp},
    options::Attributes,
    platform::{self, Handle},
    refusal::Refusal,
    tree::{EntryRef, Owner},
};

impl Copier {
    /// Leave an entry's content alone, and correct its metadata where that differs; `None` where that
    /// takes a new copy.
    pub(super) fn keep_existing(
        &mut self,
        at: EntryRef<'_>,
        meta: &Meta,
        found: &Meta,
    ) -> Result<Option<Disposition>, Fault> {
        let EntryRef { node, dirs, name } = at;
        let target_name = node.place.target_name(name, meta.kind);
        let subject = MetadataTarget::there(at, &target_name, meta, found);
        let granularity = granularity(&self.setting, node, dirs, meta, found);
        let have_xattrs_changed = self.fidelity().have_xattrs_changed(&subject);
        if self.setting.is_dry() {
            let is_corrected = have_xattrs_changed || self.fidelity().differs(&subject, granularity);
            if is_corrected && self.fidelity().lends_capability(at, &subject, found) {
                return Ok(None);
            }
            let done = if is_corrected { Done::Corrected } else { Done::Unchanged };
            node.claim_existing(&target_name, found)?;
            self.leave_alone(meta);
            self.teller.record(&node.place, name, meta.kind, done, 0);
            return Ok(Some(Disposition::Copied(found.id)));
        }
        let mut is_corrected = false;
        if have_xattrs_changed || self.fidelity().differs(&subject, granularity) {
            if self.fidelity().lends_capability(at, &subject, found) {
                return Ok(None);
            }
            let mut subject = subject;
            // Where it may be opened: without /proc, attributes can be had of an open file alone.
            let source = match meta.kind {
                Kind::File if have_xattrs_changed => dirs.source.open_source(name).ok(),
                _ => None,
            };
            if let Some(source) = source.as_ref().filter(|source| is_file(source, meta)) {
                subject.from = Handle::Open(source);
            }
            // The very entry that was looked at, and none put in its place.
            let held = Held::of(&dirs.target, &target_name, meta.kind).during(Op::Replace)?;
            subject.to = held.handle();
            let there = subject.to.meta().during(Op::Stat).in_copy()?;
            if (there.id, there.uid, there.mode) != (found.id, found.uid, found.mode) {
                return Err(Fault::refused(Op::Replace, Refusal::Replaced));
            }
            is_corrected |= self.fidelity().attributes(&subject).map_err(Fault::of_attributes)?;
            // Where the destination cannot keep it, there is nothing to correct, today or tomorrow.
            let now = subject.to.meta().during(Op::Stat).in_copy()?;
            if Owner::of(&now) != Owner::of(meta) {
                self.fidelity().learn_owner(at, meta, found);
            }
            is_corrected |= Owner::of(&now) != Owner::of(found)
                || (now.mode, now.modified) != (found.mode, found.modified);
        } else {
            self.fidelity().owner_not_kept(&subject, found).map_err(Fault::of_attributes)?;
        }
        if meta.kind == Kind::File
            && self.setting.keeps(Attributes::TIMESTAMPS)
            && may_clamp(node, meta.modified)
        {
            self.fidelity().see_clamped(&subject, found.modified).map_err(Fault::of_attributes)?;
        }
        node.claim_existing(&target_name, found)?;
        let done = if is_corrected { Done::Corrected } else { Done::Unchanged };
        self.verifier().digest_there(at, meta.kind)?;
        self.leave_alone(meta);
        self.teller.record(&node.place, name, meta.kind, done, 0);
        Ok(Some(Disposition::Copied(found.id)))
    }

    /// Count what an entry holds that is left as it is in the copy.
    pub(super) fn leave_alone(&mut self, meta: &Meta) {
        if meta.kind == Kind::File {
            let totals = &mut self.teller.outcomes.totals;
            totals.bytes_left_alone = totals.bytes_left_alone.saturating_add(meta.size);
        }
    }
}

/// Whether an open file is the one that was looked at by name.
fn is_file(open: &File, looked_at: &Meta) -> bool {
    platform::meta(open).is_ok_and(|now| now.id == looked_at.id)
}
