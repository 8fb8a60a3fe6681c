//! Extended attributes and ACLs of an entry.

use std::{
    ffi::{CStr, CString},
    io::ErrorKind,
    sync::atomic::Ordering,
};

use super::{Fidelity, metadata_target::MetadataTarget};
use crate::{
    entry::Kind,
    error::{Fault, Op},
    fidelity::{XattrBuffers, acl},
    options::Attributes,
    platform::{self, ACCESS_ACL, ACL_ALIASES, DEFAULT_ACL, Handle},
    report::WarningKind,
    tree::DirNode,
};

/// What became of the source's access ACL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AccessAcl {
    /// It has none that has a say, or the copy had it before.
    #[default]
    None,
    /// The copy was given it.
    Kept,
    /// The copy lacks it; what it leaves to the owning group.
    Lost(u32),
}

/// The extended attributes of a source that have a say in its copy.
#[derive(Debug)]
pub(crate) struct Wanted {
    names: Vec<CString>,
    /// Whether these are all.
    is_known: bool,
}

/// What became of the extended attributes of a copy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Given {
    pub(crate) access_acl: AccessAcl,
    /// Whether any was set or removed.
    pub(crate) has_changed: bool,
    /// Whether an ACL was removed, with which some filesystems change the mode.
    pub(crate) has_lost_acl: bool,
    /// Whether one is left that the source lacks.
    pub(crate) has_extra: bool,
}

impl Fidelity<'_> {
    /// Whether a copy that is there has other extended attributes or ACLs than it should, or that cannot
    /// be told.
    ///
    /// Those that the source has are looked at by every run. What the copy alone has is looked for where
    /// the source may have lost something since the copy was made, which has moved its ctime, and where
    /// attributes were named.
    pub(crate) fn have_xattrs_changed(&mut self, subject: &MetadataTarget<'_>) -> bool {
        let MetadataTarget { node, from, to, meta, found, .. } = *subject;
        if !self.setting.keeps(Attributes::XATTR) && !self.setting.keeps(Attributes::ACL) {
            return false;
        }
        let preserve = &self.setting.job.preserve;
        let seeks_extra = preserve.requires(Attributes::XATTR)
            || preserve.requires(Attributes::ACL)
            // A directory's change time moves with everything that is done in it.
            || meta.kind == Kind::Directory
            || node.inherits_acl
            || found.is_none_or(|found| {
                meta.changed >= found.changed
                    || self.shared.has_lost_a_name(found.id)
                    || self.markers.distrusts(found.changed)
            });
        if !seeks_extra && surely_none(from) {
            return false;
        }
        let Ok(mut wanted) = self.source_xattrs(node, from) else { return true };
        wanted.retain(|name| self.setting.keeps(attribute_of(name)));
        if seeks_extra {
            let others = self.listed(to).unwrap_or_default();
            let is_extra = |name: &&CString| self.is_extra(subject, to, name, &wanted);
            if others.iter().any(|name| is_extra(&name)) {
                return true;
            }
        }
        wanted.iter().any(|name| self.differs_in(from, to, name))
    }

    /// Whether a copy lacks this attribute as its source has it, or that cannot be told.
    fn differs_in(&mut self, from: Handle<'_>, to: Handle<'_>, name: &CStr) -> bool {
        let (wanted, there) = (&mut self.buffers.value, &mut self.buffers.names);
        match from.xattr(name, wanted) {
            Ok(length) if acl::is_idle(name, &wanted[..length]) => false,
            Ok(length) => {
                !to.xattr(name, there).is_ok_and(|there_too| wanted[..length] == there[..there_too])
            }
            Err(error) => !platform::is_no_xattr(&error), // else it was removed meanwhile
        }
    }

    /// The names of an entry's extended attributes.
    fn listed(&mut self, of: Handle<'_>) -> std::io::Result<Vec<CString>> {
        let length = of.list_xattrs(&mut self.buffers.names)?;
        Ok(c_strings(&self.buffers.names[..length]).map(CStr::to_owned).collect())
    }

    /// The names of a source's extended attributes.
    fn source_xattrs(&mut self, node: &DirNode, from: Handle<'_>) -> std::io::Result<Vec<CString>> {
        let lacks_all = &node.pair.source_lacks_xattrs;
        if lacks_all.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        match self.listed(from) {
            Err(error) if platform::lacks_xattrs(&error) => {
                lacks_all.store(true, Ordering::Relaxed);
                Ok(Vec::new())
            }
            // Without /proc nothing else may be able to ask.
            Err(error) if error.kind() == ErrorKind::Unsupported && surely_none(from) => Ok(Vec::new()),
            listed => listed,
        }
    }

    /// The extended attributes of the source that have a say in the copy; what cannot be listed is told.
    pub(crate) fn wanted(&mut self, subject: &MetadataTarget<'_>) -> Result<Wanted, Fault> {
        let asks = self.setting.keeps(Attributes::XATTR)
            || self.setting.keeps(Attributes::ACL)
            || self.has_mask(subject);
        if !asks {
            return Ok(Wanted { names: Vec::new(), is_known: true });
        }
        match self.source_xattrs(subject.node, subject.from) {
            Ok(names) => Ok(Wanted { names, is_known: true }),
            Err(error) => {
                let is_acl = !self.setting.keeps(Attributes::XATTR)
                    || self.setting.job.preserve.requires(Attributes::ACL);
                self.xattr_not_kept(subject, error, Op::ReadXattrs, is_acl)?;
                // These have known names, and the mode depends on them.
                let acls = [ACCESS_ACL, DEFAULT_ACL];
                let count = match subject.meta.kind {
                    Kind::Symlink => 0,
                    Kind::Directory => 2,
                    _ => 1,
                };
                let names = acls[..count].iter().map(|name| (*name).to_owned()).collect();
                Ok(Wanted { names, is_known: false })
            }
        }
    }

    /// Whether the group's rights in the mode may be the mask of an ACL.
    fn has_mask(&self, subject: &MetadataTarget<'_>) -> bool {
        let meta = subject.meta;
        self.setting.keeps(Attributes::MODE) && meta.kind != Kind::Symlink && meta.mode & 0o070 != 0
    }

    /// The extended attributes of a copy that are to go.
    pub(crate) fn extra_xattrs(
        &mut self,
        subject: &MetadataTarget<'_>,
        wanted: &Wanted,
    ) -> Result<Vec<CString>, Fault> {
        let to = subject.to;
        if !wanted.is_known {
            return Ok(Vec::new()); // nobody can say what the copy should lose
        }
        let mut there = match self.listed(to) {
            Ok(there) => there,
            Err(error) if platform::lacks_xattrs(&error) => return Ok(Vec::new()),
            Err(error) => {
                self.xattr_not_kept(subject, error, Op::SetXattrs, false)?;
                return Ok(Vec::new());
            }
        };
        there.retain(|name| self.is_extra(subject, to, name, &wanted.names));
        Ok(there)
    }

    /// Whether an attribute of a copy is to go.
    fn is_extra(
        &self,
        subject: &MetadataTarget<'_>,
        to: Handle<'_>,
        name: &CStr,
        wanted: &[CString],
    ) -> bool {
        let is_wanted = wanted.iter().any(|wanted| wanted.as_c_str() == name);
        if attribute_of(name) == Attributes::XATTR {
            return self.setting.keeps(Attributes::XATTR) && is_removable(name) && !is_wanted;
        }
        // It would let others in through the group bits of the mode (acl(5)).
        let has_say = self.setting.keeps(Attributes::MODE) && subject.meta.kind != Kind::Symlink;
        let mut value = Vec::new();
        let mut says_something =
            || !to.xattr(name, &mut value).is_ok_and(|length| acl::is_idle(name, &value[..length]));
        has_say && !(is_wanted && self.setting.keeps(Attributes::ACL)) && says_something()
    }

    /// Copy extended attributes and ACLs, and remove what the copy has or inherited beyond them.
    pub(crate) fn xattrs(
        &mut self,
        subject: &MetadataTarget<'_>,
        wanted: &Wanted,
        extra: &[CString],
    ) -> Result<Given, Fault> {
        let mut given = Given::default();
        self.remove_xattrs(subject, wanted, extra, &mut given)?;
        let mut buffers = std::mem::take(self.buffers);
        let set = self.set_xattrs(subject, wanted, &mut given, &mut buffers);
        *self.buffers = buffers;
        set.map(|()| given)
    }

    fn remove_xattrs(
        &mut self,
        subject: &MetadataTarget<'_>,
        wanted: &Wanted,
        extra: &[CString],
        given: &mut Given,
    ) -> Result<(), Fault> {
        let MetadataTarget { node, to, meta, .. } = *subject;
        if subject.is_new()
            && node.inherits_acl
            && meta.kind != Kind::Symlink
            && self.setting.keeps(Attributes::MODE)
        {
            // An inherited ACL would let others in through the group bits of the mode (acl(5)).
            let inheritable = [ACCESS_ACL, DEFAULT_ACL];
            let count = if meta.kind == Kind::Directory { 2 } else { 1 };
            for acl in &inheritable[..count] {
                let is_wanted = wanted.names.iter().any(|name| name.as_c_str() == *acl);
                if self.setting.keeps(Attributes::ACL) && is_wanted {
                    continue;
                }
                match to.remove_xattr(acl) {
                    Err(error) if !platform::is_no_xattr(&error) && !platform::lacks_xattrs(&error) => {
                        self.xattr_not_kept(subject, error, Op::SetAcl, true)?;
                    }
                    _ => {}
                }
            }
        }
        for name in extra {
            let is_acl = attribute_of(name) == Attributes::ACL;
            match to.remove_xattr(name) {
                Ok(()) => {
                    given.has_changed = true;
                    given.has_lost_acl |= is_acl;
                }
                Err(error) if platform::is_no_xattr(&error) => {}
                Err(error) => {
                    given.has_extra = true;
                    let op = if is_acl { Op::SetAcl } else { Op::SetXattrs };
                    self.xattr_not_kept(subject, error, op, is_acl)?;
                }
            }
        }
        Ok(())
    }

    fn set_xattrs(
        &mut self,
        subject: &MetadataTarget<'_>,
        wanted: &Wanted,
        given: &mut Given,
        XattrBuffers { value, names: there }: &mut XattrBuffers,
    ) -> Result<(), Fault> {
        let MetadataTarget { from, to, .. } = *subject;
        for name in &wanted.names {
            let name = name.as_c_str();
            let is_kept = self.setting.keeps(attribute_of(name));
            let has_say = name == ACCESS_ACL && self.has_mask(subject);
            if !is_kept && !has_say {
                continue;
            }
            let is_acl = attribute_of(name) == Attributes::ACL;
            let length = match from.xattr(name, value) {
                Ok(length) => length,
                Err(error) if platform::is_no_xattr(&error) => continue, // removed meanwhile
                Err(error) if !wanted.is_known && platform::lacks_xattrs(&error) => continue,
                Err(error) => {
                    // Who may not be asked may have had less for the group than the mask allows.
                    if has_say && error.kind() != ErrorKind::Unsupported {
                        given.access_acl = AccessAcl::Lost(0);
                    }
                    if is_kept {
                        self.xattr_not_kept(subject, error, Op::ReadXattrs, is_acl)?;
                    } else {
                        self.not_kept(subject, error, Op::ReadXattrs, Attributes::MODE, WarningKind::Mode)?;
                    }
                    continue;
                }
            };
            let wanted = &value[..length];
            let lost = || acl::group_rights(wanted).map_or(AccessAcl::None, AccessAcl::Lost);
            if !is_kept {
                given.access_acl = lost();
                continue;
            }
            let is_there =
                !subject.is_new() && to.xattr(name, there).is_ok_and(|length| there[..length] == *wanted);
            if is_there || acl::is_idle(name, wanted) {
                continue;
            }
            match to.set_xattr(name, wanted) {
                Ok(()) => {
                    given.has_changed = true;
                    if name == ACCESS_ACL {
                        given.access_acl = AccessAcl::Kept;
                    }
                }
                Err(error) => {
                    if name == ACCESS_ACL {
                        given.access_acl = lost();
                    }
                    let op = if is_acl { Op::SetAcl } else { Op::SetXattrs };
                    self.xattr_not_kept(subject, error, op, is_acl)?;
                }
            }
        }
        Ok(())
    }

    fn xattr_not_kept(
        &mut self,
        subject: &MetadataTarget<'_>,
        error: std::io::Error,
        op: Op,
        is_acl: bool,
    ) -> Result<(), Fault> {
        let (attribute, warning) = if is_acl {
            (Attributes::ACL, WarningKind::Acl)
        } else {
            (Attributes::XATTR, WarningKind::Xattr)
        };
        self.not_kept(subject, error, op, attribute, warning)
    }
}

/// Whether an entry certainly has no extended attributes, by one call.
fn surely_none(entry: Handle<'_>) -> bool {
    matches!(entry, Handle::Entry(dir, name) if platform::surely_lacks_xattrs(dir, name))
}

/// What is of one file alone: a seal on its inode number and attributes (the kernel's security/integrity/evm),
/// which would be a broken one on any other.
const EVM: &CStr = c"security.evm";

/// The names in a list of extended attributes, without those that only repeat an ACL or are of no use
/// to a copy.
fn c_strings(list: &[u8]) -> impl Iterator<Item = &CStr> {
    list.split_inclusive(|byte| *byte == 0)
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .filter(|name| !ACL_ALIASES.contains(name) && *name != EVM)
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
pub(crate) const CAPABILITY: &CStr = c"security.capability";

/// Such rights that a file lends, if any.
pub(crate) fn capability_of(file: Handle<'_>) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    let length = file.xattr(CAPABILITY, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}
