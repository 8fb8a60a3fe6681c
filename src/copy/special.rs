//! FIFOs, sockets and device nodes, copied as nodes and never opened.

use super::entry::{Disposition, Handled};
use crate::{
    copy::Copier,
    entry::{FileId, Meta},
    error::{During, Fault, Op},
    event::Done,
    fidelity::creation_mode,
    options::Attributes,
    platform,
    tree::EntryRef,
};

impl Copier {
    pub(super) fn special(
        &mut self,
        at: EntryRef<'_>,
        group_to_lead: &mut Option<FileId>,
    ) -> Result<Handled, Fault> {
        let EntryRef { node, dirs, name } = at;
        let meta = dirs.source.stat(name).during(Op::Stat)?;
        if !meta.kind.is_special() {
            return Ok(Handled::KindChanged(meta.kind));
        }
        if !self.setting.job.preserve.keeps(Attributes::SPECIAL) {
            self.teller.record(&node.place, name, meta.kind, Done::Skipped, 0);
            return Ok(Handled::Done);
        }
        self.copy_once_per_inode(at, &meta, group_to_lead, |copier, _| copier.copy_special(at, &meta))?;
        Ok(Handled::Done)
    }

    fn copy_special(&mut self, at: EntryRef<'_>, meta: &Meta) -> Result<Disposition, Fault> {
        let EntryRef { node, dirs, name } = at;
        let target_name = &*node.place.target_name(name, meta.kind);
        let found = if node.target_dir.existed() { self.found(node, dirs, target_name)? } else { None };
        let mode = creation_mode(&self.setting, node, meta);
        self.place_node(at, meta, found.as_ref(), Op::CreateSpecial, mode, |name| {
            platform::make_special(&dirs.target, name, meta, mode)
        })
    }
}
