//! Everything about an entry that is not its content: owner, ACL, extended attributes, mode, times.

use std::{
    ffi::{CStr, CString},
    sync::atomic::Ordering,
};

use super::{
    Node, acl,
    entry::{First, Item},
    node::Owner,
};
use crate::{
    entry::{Granularity, Kind, Meta},
    error::{During, Fault, Op},
    event::Done,
    options::Attributes,
    platform::{self, ACCESS_ACL, ACL_ALIASES, DEFAULT_ACL, Handle},
    report::Loss,
    scheduler::Worker,
};

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const GROUP_RIGHTS: u32 = 0o070;

/// An entry whose copy is to get the source's attributes.
pub(super) struct Subject<'a> {
    pub(super) node: &'a Node,
    pub(super) name: &'a CStr,
    pub(super) from: Handle<'a>,
    pub(super) to: Handle<'a>,
    pub(super) meta: &'a Meta,
    /// What the copy has now, where that is known.
    pub(super) found: Option<&'a Meta>,
    /// Whether this run created it, so that it has nothing but what it inherited.
    pub(super) is_new: bool,
    /// Whether to set the times, which say that the copy is finished.
    pub(super) times: bool,
}

impl Worker {
    /// The mode to create an entry with, before it gets its own.
    pub(super) fn creation_mode(&self, meta: &Meta) -> u32 {
        if self.keeps(Attributes::MODE) { 0o600 } else { meta.mode & 0o777 }
    }

    /// The mode of an entry that this run has just created: the umask may take from its owner too.
    fn mode_of_created(&self, created: Handle<'_>) -> std::io::Result<u32> {
        if let Some(mode) = self.context.mode_of_created.get() {
            return Ok(*mode);
        }
        let mode = created.meta()?.mode;
        Ok(*self.context.mode_of_created.get_or_init(|| mode))
    }

    pub(super) fn keeps(&self, attribute: Attributes) -> bool {
        self.context.job.preserve.keeps(attribute)
    }

    /// Give a copy its source's attributes, in the order that is safe: owner, ACL and extended
    /// attributes, mode, and last the times.
    pub(super) fn attributes(&mut self, subject: &Subject<'_>) -> Result<(), Fault> {
        let Subject { node, meta, to, found, .. } = *subject;
        let current = match found {
            Some(found) => Owner::of(found),
            None => node.born(to).during(Op::Stat)?,
        };
        let owner = if self.keeps(Attributes::OWNERSHIP) { self.owner(subject, current)? } else { current };
        let lost_acl = self.xattrs(subject)?;
        if meta.kind != Kind::Symlink && self.keeps(Attributes::MODE) {
            let mut mode = self.mode_for(subject, owner);
            if let Some(group_rights) = lost_acl {
                mode = mode & !GROUP_RIGHTS | group_rights;
            }
            let there = match found {
                Some(found) => Some(found.mode),
                None if node.inherits_acl => None, // the ACL had a say in it
                None => Some(self.mode_of_created(to).during(Op::Stat)?),
            };
            // A change of owner may have cleared bits (chown(2)).
            if Some(mode) != there || owner != current {
                let set = to.set_mode(mode);
                self.kept_or_warned(subject, set, Op::SetMode, Attributes::MODE, Loss::Mode)?;
            }
        }
        if subject.times && self.keeps(Attributes::TIMESTAMPS) {
            let set = to.set_times(meta.accessed, meta.modified);
            self.kept_or_warned(subject, set, Op::SetTimes, Attributes::TIMESTAMPS, Loss::Times)?;
        }
        Ok(())
    }

    /// Leave an entry's content alone, and correct its metadata where that differs.
    pub(super) fn keep(&mut self, at: Item<'_>, meta: &Meta, found: &Meta) -> Result<First, Fault> {
        let Item { node, dirs, name } = at;
        let target_name = node.place.target_name(name);
        let (from, to) = (Handle::Entry(&dirs.source, name), Handle::Entry(&dirs.target, target_name));
        let subject = Subject { node, name, from, to, meta, found: Some(found), is_new: false, times: true };
        let granularity = self.granularity(node, dirs, meta, found);
        let have_xattrs_changed = self.have_xattrs_changed(&subject);
        let mut is_corrected = have_xattrs_changed;
        if have_xattrs_changed || self.differs(&subject, granularity) {
            self.attributes(&subject)?;
            // Where the destination cannot keep it, there is nothing to correct, today or tomorrow.
            let now = to.meta().during(Op::Stat)?;
            is_corrected |= Owner::of(&now) != Owner::of(found)
                || (now.mode, now.modified) != (found.mode, found.modified);
        }
        if found.nlink == 1 {
            self.remember_made(node, || Ok(found.id))?;
        }
        let done = if is_corrected { Done::Corrected } else { Done::Unchanged };
        self.record(&node.place, name, meta.kind, done, 0);
        Ok(First::Copied(found.id))
    }

    /// Whether a copy of the right content has other metadata than it should, as far as that can
    /// be changed.
    pub(super) fn differs(&self, subject: &Subject<'_>, granularity: Granularity) -> bool {
        let Subject { meta, found, is_new, .. } = *subject;
        let Some(found) = found.filter(|_| !is_new) else { return true };
        let may_own = self.context.is_privileged || !self.context.owner_refused.load(Ordering::Relaxed);
        let owner =
            self.keeps(Attributes::OWNERSHIP) && (found.gid != meta.gid || found.uid != meta.uid) && may_own;
        let mode = self.keeps(Attributes::MODE)
            && meta.kind != Kind::Symlink
            && found.mode != self.mode_for(subject, Owner::of(found));
        // A file's time is what told that its content is the same.
        let times = self.keeps(Attributes::TIMESTAMPS)
            && meta.kind != Kind::File
            && found.modified.truncated_to(granularity) != meta.modified.truncated_to(granularity);
        owner || mode || times
    }

    /// Whether extended attributes or ACLs differ, asked only where they may have changed since the
    /// copy was made: that has moved the source's ctime.
    pub(super) fn have_xattrs_changed(&mut self, subject: &Subject<'_>) -> bool {
        let Subject { from, to, meta, found, .. } = *subject;
        let keeps_any = self.keeps(Attributes::XATTR) || self.keeps(Attributes::ACL);
        let may_have = found.is_none_or(|found| meta.changed > found.changed);
        keeps_any
            && may_have
            && self.xattrs_of(from, |_| true) != {
                let wanted = self.xattr_names(from);
                self.xattrs_of(to, |name| {
                    attribute_of(name) == Attributes::ACL
                        || is_users(name)
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

    /// The source's mode, without the bits that would lend another owner's rights.
    fn mode_for(&self, subject: &Subject<'_>, owner: Owner) -> u32 {
        let meta = subject.meta;
        let mut mode = meta.mode;
        if meta.kind == Kind::Directory {
            return mode; // on a directory setgid lends nothing: it says who owns what is created
        }
        if owner.uid != meta.uid {
            mode &= !SETUID;
        }
        if owner.gid != meta.gid {
            mode &= !SETGID;
        }
        mode
    }

    /// Set the owner as far as we may; who owns the copy then.
    fn owner(&mut self, subject: &Subject<'_>, current: Owner) -> Result<Owner, Fault> {
        let want = Owner::of(subject.meta);
        if want == current {
            return Ok(current);
        }
        let gid = (want.gid != current.gid).then_some(want.gid);
        let mut refusal = None;
        if want.uid == current.uid || !self.context.owner_refused.load(Ordering::Relaxed) {
            let uid = (want.uid != current.uid).then_some(want.uid);
            match subject.to.set_owner(uid, gid) {
                Ok(()) => return Ok(want),
                Err(error) if platform::is_not_kept(&error) => {
                    if uid.is_some() && !self.context.is_privileged {
                        self.context.owner_refused.store(true, Ordering::Relaxed);
                    }
                    refusal = Some(error);
                }
                Err(error) => return Err(Fault::new(Op::SetOwner, error)),
            }
        }
        let mut owner = current;
        if want.uid != current.uid && gid.is_some() && subject.to.set_owner(None, gid).is_ok() {
            owner.gid = want.gid;
        }
        let refusal = refusal.unwrap_or_else(|| std::io::ErrorKind::PermissionDenied.into());
        self.not_kept(subject, refusal, Op::SetOwner, Attributes::OWNERSHIP, Loss::Owner)?;
        let lends = subject.meta.kind != Kind::Directory && self.keeps(Attributes::MODE);
        if lends && self.mode_for(subject, owner) != subject.meta.mode {
            self.warn(Loss::SetId, subject.node, subject.name, "the owner could not be kept");
        }
        Ok(owner)
    }

    /// Copy extended attributes and ACLs, and remove what the copy inherited beyond them.
    ///
    /// Where the access ACL could not be kept: what it leaves to the owning group.
    fn xattrs(&mut self, subject: &Subject<'_>) -> Result<Option<u32>, Fault> {
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
    ) -> Result<Option<u32>, Fault> {
        let Subject { node, from, to, meta, is_new, .. } = *subject;
        let mut length = 0;
        let asks = self.keeps(Attributes::XATTR) || self.keeps(Attributes::ACL);
        if asks && !node.pair.source_lacks_xattrs.load(Ordering::Relaxed) {
            match from.list_xattrs(listed) {
                Ok(bytes) => length = bytes,
                Err(error) if platform::lacks_xattrs(&error) => {
                    node.pair.source_lacks_xattrs.store(true, Ordering::Relaxed);
                }
                Err(error) => {
                    self.xattr_not_kept(subject, error, Op::ReadXattrs, false)?;
                    if !is_new {
                        return Ok(None); // nobody can say what the copy should lose
                    }
                }
            }
        }
        let mut lost_acl = None;
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
            if let Err(error) = set {
                let op = if is_acl { Op::SetAcl } else { Op::SetXattrs };
                self.xattr_not_kept(subject, error, op, is_acl)?;
                if name == ACCESS_ACL {
                    // Its mask must not become the rights of the owning group.
                    let length = from.xattr(name, value).during(Op::ReadXattrs)?;
                    lost_acl = acl::group_rights(&value[..length]);
                }
            }
        }
        Ok(lost_acl)
    }

    /// Remove the users' attributes that the source does not have from an existing copy.
    fn remove_other_xattrs(
        &mut self,
        subject: &Subject<'_>,
        kept: &[CString],
        buffer: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let Ok(length) = subject.to.list_xattrs(buffer) else { return Ok(()) };
        let others: Vec<CString> = c_strings(&buffer[..length])
            .filter(|name| is_users(name) && !kept.iter().any(|kept| kept.as_c_str() == *name))
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

    fn kept_or_warned(
        &mut self,
        subject: &Subject<'_>,
        done: std::io::Result<()>,
        op: Op,
        attribute: Attributes,
        loss: Loss,
    ) -> Result<(), Fault> {
        match done {
            Err(error) if platform::is_not_kept(&error) => self.not_kept(subject, error, op, attribute, loss),
            done => done.during(op),
        }
    }

    /// Something is lost: a failure where the caller named it, a warning where it was implied.
    fn not_kept(
        &mut self,
        subject: &Subject<'_>,
        error: std::io::Error,
        op: Op,
        attribute: Attributes,
        loss: Loss,
    ) -> Result<(), Fault> {
        if self.context.job.preserve.requires(attribute) {
            return Err(Fault::new(op, error));
        }
        self.warn(loss, subject.node, subject.name, &error.to_string());
        Ok(())
    }
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

/// Whether an extended attribute belongs to the users, and not to the system.
fn is_users(name: &CStr) -> bool {
    name.to_bytes().starts_with(b"user.")
}
