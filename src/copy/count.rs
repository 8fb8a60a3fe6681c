//! Counting what there is to be copied, for a run that does nothing else.

use std::{ffi::CStr, sync::Arc};

use crate::{
    copy::Copier,
    entry::{Kind, Meta},
    error::{During, Fault, Op},
    tree::{DirNode, is_internal},
};

impl Copier {
    /// Count an entry, and go on with what it holds; the copy is not looked at.
    pub(crate) fn count_entry(&mut self, node: &Arc<DirNode>, name: &CStr, listed: Option<Kind>) {
        let counted = match listed {
            Some(Kind::Directory) => Ok(true),
            _ if is_internal(name) => Ok(false),
            _ => self.count_content(node, name, listed),
        };
        match counted {
            Ok(true) => self.entry(node, None, name, listed),
            Ok(false) => {}
            // It is counted where it will fail again.
            Err(fault) => self.fail(node, name, listed, fault),
        }
    }

    /// Count what a file holds; whether it is none but a directory.
    fn count_content(&mut self, node: &DirNode, name: &CStr, listed: Option<Kind>) -> Result<bool, Fault> {
        let dirs = node.dirs()?;
        let is_plain = listed.is_some_and(|kind| kind != Kind::File)
            && !(listed == Some(Kind::Symlink) && dirs.source.follows());
        if is_plain
            || self.setting.job.selection.has_rules() && self.run.choice.is_excluded(node, name, listed)?
        {
            return Ok(false);
        }
        let meta = dirs.source.stat(name).during(Op::Stat)?;
        if meta.kind == Kind::File && !self.run.choice.leaves_out(&mut self.teller, &meta) {
            let bytes = self.bytes_of_name(&meta);
            let totals = &mut self.teller.outcomes.totals;
            totals.bytes_found = totals.bytes_found.saturating_add(bytes);
        }
        Ok(meta.kind == Kind::Directory)
    }

    /// What one name of a file counts for; its names together count for it once.
    fn bytes_of_name(&self, meta: &Meta) -> u64 {
        if self.setting.is_linked(meta) { meta.size / meta.nlink.max(1) } else { meta.size }
    }
}
