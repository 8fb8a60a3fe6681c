//! Extended attributes and ACLs of an entry.

use std::{
    ffi::{CStr, CString},
    sync::atomic::Ordering,
};

use super::{acl, subject::Subject};
use crate::{
    entry::Kind,
    error::{During, Fault, Op},
    options::Attributes,
    platform::{self, ACCESS_ACL, ACL_ALIASES, DEFAULT_ACL, Handle},
    report::Loss,
    scheduler::Worker,
};

/// What became of the source's access ACL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessAcl {
    /// It has none that has a say.
    None,
    /// The copy has it.
    Kept,
    /// The copy lacks it; what it leaves to the owning group.
    Lost(u32),
}

impl Worker {
    /// Whether extended attributes or ACLs differ, asked only where they may have changed since the
    /// copy was made: that has moved the source's ctime.
    pub(super) fn have_xattrs_changed(&mut self, subject: &Subject<'_>) -> bool {
        let Subject { from, to, meta, found, .. } = *subject;
        let keeps_any = self.keeps(Attributes::XATTR) || self.keeps(Attributes::ACL);
        // A directory's change time moves with everything that is done in it.
        let may_have = meta.kind == Kind::Directory
            || found.is_none_or(|found| {
                meta.changed >= found.changed || self.context.shared.has_lost_a_name(found.id)
            });
        keeps_any
            && may_have
            && self.xattrs_of(from, |_| true) != {
                let wanted = self.xattr_names(from);
                self.xattrs_of(to, |name| {
                    attribute_of(name) == Attributes::ACL
                        || is_removable(name)
                        || wanted.iter().any(|wanted| wanted.as_c_str() == name)
                })
            }
    }

    /// The names of the extended attributes that are to be kept.
    fn xattr_names(&mut self, of: Handle<'_>) -> Vec<CString> {
        let length = of.list_xattrs(&mut self.attribute_names).unwrap_or(0);
        c_strings(&self.attribute_names[..length])
            .filter(|name| self.keeps(attribute_of(name)))
            .map(CStr::to_owned)
            .collect()
    }

    /// The extended attributes that are to be kept, those of them that `wants` names.
    fn xattrs_of(&mut self, of: Handle<'_>, wants: impl Fn(&CStr) -> bool) -> Vec<(CString, Vec<u8>)> {
        let names = self.xattr_names(of).into_iter().filter(|name| wants(name));
        let value = &mut self.attribute_value;
        let with_value = |name: CString| {
            let length = of.xattr(&name, value).ok()?;
            Some((name, value[..length].to_vec()))
        };
        let mut found: Vec<_> = names.filter_map(with_value).collect();
        found.sort_unstable();
        found
    }

    /// Copy extended attributes and ACLs, and remove what the copy inherited beyond them.
    pub(super) fn xattrs(&mut self, subject: &Subject<'_>) -> Result<AccessAcl, Fault> {
        let mut listed = std::mem::take(&mut self.attribute_names);
        let mut value = std::mem::take(&mut self.attribute_value);
        let done = self.xattrs_with(subject, &mut listed, &mut value);
        (self.attribute_names, self.attribute_value) = (listed, value);
        done
    }

    fn xattrs_with(
        &mut self,
        subject: &Subject<'_>,
        listed: &mut Vec<u8>,
        value: &mut Vec<u8>,
    ) -> Result<AccessAcl, Fault> {
        let Subject { node, from, to, meta, .. } = *subject;
        let is_new = subject.is_new();
        let mut length = 0;
        // An ACL that is not kept has its say in the mode.
        let has_mask = self.keeps(Attributes::MODE) && meta.kind != Kind::Symlink && meta.mode & 0o070 != 0;
        let asks = self.keeps(Attributes::XATTR) || self.keeps(Attributes::ACL) || has_mask;
        if asks && !node.pair.source_lacks_xattrs.load(Ordering::Relaxed) {
            match from.list_xattrs(listed) {
                Ok(bytes) => length = bytes,
                Err(error) if platform::lacks_xattrs(&error) => {
                    node.pair.source_lacks_xattrs.store(true, Ordering::Relaxed);
                }
                Err(error) => {
                    self.xattr_not_kept(subject, error, Op::ReadXattrs, false)?;
                    if !is_new {
                        return Ok(AccessAcl::None); // nobody can say what the copy should lose
                    }
                }
            }
        }
        let mut access_acl = AccessAcl::None;
        let names = || c_strings(&listed[..length]);
        if meta.kind != Kind::Symlink && self.keeps(Attributes::MODE) && (node.inherits_acl || !is_new) {
            // An inherited ACL would let others in through the group bits of the mode (acl(5)).
            let inheritable = [ACCESS_ACL, DEFAULT_ACL];
            let count = if meta.kind == Kind::Directory { 2 } else { 1 };
            for acl in &inheritable[..count] {
                if !(self.keeps(Attributes::ACL) && names().any(|name| name == *acl)) {
                    match to.remove_xattr(acl) {
                        Err(error) if !platform::is_no_xattr(&error) && !platform::lacks_xattrs(&error) => {
                            self.xattr_not_kept(subject, error, Op::SetAcl, true)?;
                        }
                        _ => {}
                    }
                }
            }
        }
        if !is_new && self.keeps(Attributes::XATTR) {
            self.remove_other_xattrs(subject, &names().map(CStr::to_owned).collect::<Vec<_>>(), value)?;
        }
        for name in names() {
            let is_acl = attribute_of(name) == Attributes::ACL;
            if !self.keeps(attribute_of(name)) {
                if name == ACCESS_ACL && has_mask {
                    access_acl = lost_acl(from, value)?;
                }
                continue;
            }
            let set = match from.xattr(name, value) {
                Ok(length) => to.set_xattr(name, &value[..length]),
                Err(error) if platform::is_no_xattr(&error) => continue, // removed meanwhile
                Err(error) => {
                    self.xattr_not_kept(subject, error, Op::ReadXattrs, is_acl)?;
                    continue;
                }
            };
            match set {
                Ok(()) if name == ACCESS_ACL => access_acl = AccessAcl::Kept,
                Ok(()) => {}
                Err(error) => {
                    let op = if is_acl { Op::SetAcl } else { Op::SetXattrs };
                    self.xattr_not_kept(subject, error, op, is_acl)?;
                    if name == ACCESS_ACL {
                        access_acl = lost_acl(from, value)?;
                    }
                }
            }
        }
        Ok(access_acl)
    }

    /// Remove the attributes that the source does not have from an existing copy.
    fn remove_other_xattrs(
        &mut self,
        subject: &Subject<'_>,
        kept: &[CString],
        buffer: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let Ok(length) = subject.to.list_xattrs(buffer) else { return Ok(()) };
        let others: Vec<CString> = c_strings(&buffer[..length])
            .filter(|name| is_removable(name) && !kept.iter().any(|kept| kept.as_c_str() == *name))
            .map(CStr::to_owned)
            .collect();
        for name in others {
            subject.to.remove_xattr(&name).during(Op::SetXattrs)?;
        }
        Ok(())
    }

    fn xattr_not_kept(
        &mut self,
        subject: &Subject<'_>,
        error: std::io::Error,
        op: Op,
        is_acl: bool,
    ) -> Result<(), Fault> {
        if !platform::is_xattr_not_kept(&error) {
            return Err(Fault::new(op, error));
        }
        let (attribute, loss) =
            if is_acl { (Attributes::ACL, Loss::Acl) } else { (Attributes::XATTR, Loss::Xattr) };
        self.not_kept(subject, error, op, attribute, loss)
    }
}

/// An ACL that the copy lacks, whose mask must not become the rights of the owning group.
fn lost_acl(file: Handle<'_>, value: &mut Vec<u8>) -> Result<AccessAcl, Fault> {
    let length = file.xattr(ACCESS_ACL, value).during(Op::ReadXattrs)?;
    Ok(acl::group_rights(&value[..length]).map_or(AccessAcl::None, AccessAcl::Lost))
}

/// The names in a list of extended attributes, without those that only repeat an ACL.
fn c_strings(list: &[u8]) -> impl Iterator<Item = &CStr> {
    list.split_inclusive(|byte| *byte == 0)
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .filter(|name| !ACL_ALIASES.contains(name))
}

/// Which kind of attribute an extended attribute is.
fn attribute_of(name: &CStr) -> Attributes {
    if name == ACCESS_ACL || name == DEFAULT_ACL { Attributes::ACL } else { Attributes::XATTR }
}

/// Whether an extended attribute that the source lacks is to go from the copy too: what users and
/// administrators set, and what lends rights, but no system's own labels (xattr(7)).
fn is_removable(name: &CStr) -> bool {
    let name = name.to_bytes();
    name.starts_with(b"user.")
        || name.starts_with(b"trusted.") && !name.starts_with(b"trusted.overlay.")
        || name == CAPABILITY.to_bytes()
}

/// The rights that a program lends to whoever runs it (capabilities(7)).
const CAPABILITY: &CStr = c"security.capability";

/// Whether a file lends such rights.
pub(super) fn has_capability(file: Handle<'_>) -> bool {
    file.xattr(CAPABILITY, &mut Vec::new()).is_ok()
}
