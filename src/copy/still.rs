//! Whether a source stood still while it was copied.

use super::content::{FileInProgress, FillResult};
use crate::{
    copy::Copier,
    entry::Meta,
    error::{During, Fault, Op, Sided},
    platform,
    tree::Item,
};

impl Copier {
    /// What a source is now whose copy has all it is to have, unless its content changed meanwhile.
    ///
    /// Size and modification time tell. Where the change time alone is another, what changed are names, links or
    /// attributes, or somebody has set the modification time back: then the content itself is compared.
    pub(super) fn has_stood_still(
        &mut self,
        at: Item<'_>,
        filling: &FileInProgress,
        filled: FillResult,
    ) -> Result<Option<Meta>, Fault> {
        let FileInProgress { source, staged, meta, .. } = filling;
        let mut now = platform::meta(source).during(Op::Stat)?;
        // What says that it is empty and is not (procfs) says something else each time.
        if now.changed != meta.changed && !meta.content_differs(&now) && meta.size > 0 {
            let size = match filled {
                FillResult::Coded { .. } => meta.size,
                _ => platform::meta(&staged.file).during(Op::Stat).in_copy()?.size,
            };
            if !self.hold_same([source, &staged.file], self.setting.coding(at.name), size)? {
                return Ok(None);
            }
            now = platform::meta(source).during(Op::Stat)?;
        }
        // Copying it may have moved the access time.
        Ok((!meta.content_differs(&now)).then_some(Meta { accessed: meta.accessed, ..now }))
    }
}
