//! What a file had that is replaced, where the source's is not kept: its new content is for the same people.

use super::{
    Fidelity,
    attributes::{GROUP_RIGHTS, SETGID, SETUID},
    metadata_target::MetadataTarget,
    xattrs::AccessAcl,
};
use crate::{
    entry::{Kind, Meta},
    error::{During, Fault, Op, Sided},
    fidelity::acl,
    options::Attributes,
    platform::{self, ACCESS_ACL, Handle},
    refusal::Refusal,
    report::WarningKind,
    setting::Setting,
    tree::{EntryRef, Owner},
};

/// Who may do what with a file that is replaced.
#[derive(Debug)]
pub(crate) struct Replaced {
    owner: Owner,
    mode: u32,
    acl: Option<Vec<u8>>,
}

/// What the copy is to have of the file that it replaces, if anything.
pub(crate) fn replaced(
    setting: &Setting,
    at: EntryRef<'_>,
    meta: &Meta,
    found: Option<&Meta>,
) -> Result<Option<Box<Replaced>>, Fault> {
    let may_have = |found: &&Meta| {
        found.kind == meta.kind && found.kind != Kind::Symlink && !setting.keeps(Attributes::MODE)
    };
    let Some(found) = found.filter(may_have) else { return Ok(None) };
    let target_name = at.node.place.target_name(at.name, meta.kind);
    let pinned = at.dirs.target.pin(&target_name).during(Op::Replace)?;
    let there = pinned.meta().during(Op::Stat).in_copy()?;
    if there.id != found.id {
        return Err(Fault::refused(Op::Replace, Refusal::Replaced));
    }
    let mut value = Vec::new();
    let acl = match Handle::Pinned(&pinned).xattr(ACCESS_ACL, &mut value) {
        Ok(length) => {
            value.truncate(length);
            Some(value)
        }
        Err(_) => None,
    };
    Ok(Some(Box::new(Replaced { owner: Owner::of(&there), mode: there.mode, acl })))
}

impl Fidelity<'_> {
    /// Let a finished file have the mode of the one that it is about to replace, whatever its owner is now.
    pub(crate) fn keep_replaced(
        &mut self,
        subject: &MetadataTarget<'_>,
        replaced: &Replaced,
        mut owner: Owner,
        acl: AccessAcl,
    ) -> Result<(), Fault> {
        if acl == AccessAcl::Kept {
            return Ok(()); // the source's, which has the mode in it
        }
        let MetadataTarget { node, meta, to, .. } = *subject;
        // The group that the mode speaks of; its owner may not be who wants to have what is copied.
        let gid = replaced.owner.gid;
        if !self.setting.keeps(Attributes::OWNERSHIP)
            && owner.gid != gid
            && to.set_owner(None, Some(gid)).is_ok()
        {
            owner.gid = gid;
        }
        let mut mode = replaced.mode;
        match &replaced.acl {
            Some(value) if owner.gid == gid => {
                if to.set_xattr(ACCESS_ACL, value).is_err() {
                    mode = mode & !GROUP_RIGHTS | acl::group_rights(value).unwrap_or(0);
                }
            }
            _ => {
                if owner.gid != gid {
                    // To its new group it was what it was to all others, and nobody is named any more.
                    mode &= !GROUP_RIGHTS | (mode & OTHERS_RIGHTS) << 3;
                }
                let removed = if node.inherits_acl { to.remove_xattr(ACCESS_ACL) } else { Ok(()) };
                if removed
                    .is_err_and(|error| !platform::is_no_xattr(&error) && !platform::lacks_xattrs(&error))
                {
                    mode &= !GROUP_RIGHTS; // the most that those whom it names would have
                }
            }
        }
        let source = Owner::of(meta);
        let may_lend = self.setting.privileges.gives_away;
        if !(may_lend && owner.uid == replaced.owner.uid && owner.uid == source.uid) {
            mode &= !SETUID;
        }
        if !(may_lend && owner.gid == gid && owner.gid == source.gid) {
            mode &= !SETGID;
        }
        let set = to.set_mode(mode);
        self.kept_or_warned(subject, set, Op::SetMode, Attributes::MODE, WarningKind::Mode)
    }
}

const OTHERS_RIGHTS: u32 = 0o007;
