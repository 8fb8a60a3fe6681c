//! What a stranger wrote is lent no rights: which files of the copy are not to be corrected in place.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    Fidelity,
    attributes::{GROUP_RIGHTS, LEAST, SETGID, SETUID, without_lent},
    metadata_target::MetadataTarget,
    xattrs::{CAPABILITY, capability_of},
};
use crate::{
    entry::{Granularity, Kind, Meta},
    fidelity::acl,
    options::Attributes,
    platform::{self, ACCESS_ACL, Handle},
    setting::OTHERS_WRITE,
    tree::{EntryRef, Owner, Staged},
};

/// What destinations make of files that are new, asked once of each filesystem and wish.
///
/// Where a new copy would not get what the one that is there lacks, nothing is gained by replacing it, at
/// this run and every later one.
#[derive(Debug, Default)]
pub(crate) struct FreshFiles(Mutex<HashMap<(u64, Wish), Fresh>>);

/// What a new file is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Wish {
    owner: Option<Owner>,
    /// With the source's owner, without whom setuid and setgid are not kept.
    mode: Option<(u32, Owner)>,
    acl: Option<Vec<u8>>,
    capability: Option<Vec<u8>>,
}

/// What a new file has then.
#[derive(Clone, Copy, Debug)]
struct Fresh {
    owner: Owner,
    mode: u32,
    has_acl: bool,
    has_capability: bool,
}

impl FreshFiles {
    fn known(&self) -> MutexGuard<'_, HashMap<(u64, Wish), Fresh>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As much of an owner as a new file on the device would get, as far as that is known.
    pub(crate) fn owner_to_be_had(&self, device: u64, wanted: Owner, there: Owner) -> Owner {
        let wish = Wish { owner: Some(wanted), ..Wish::default() };
        self.known().get(&(device, wish)).map_or(wanted, |fresh| Owner {
            uid: if fresh.owner.uid == wanted.uid { wanted.uid } else { there.uid },
            gid: if fresh.owner.gid == wanted.gid { wanted.gid } else { there.gid },
        })
    }
}

impl Fidelity<'_> {
    /// Whether a file that looks the same must be copied all the same, because correcting it in place
    /// would do what no copy may.
    pub(crate) fn must_be_new(&mut self, at: EntryRef<'_>, meta: &Meta, found: &Meta) -> bool {
        let target_name = at.node.place.target_name(at.name, meta.kind);
        let subject = MetadataTarget::there(at, &target_name, meta, found);
        self.lends(at, meta, found) || found.nlink > 1 && self.is_anothers(at, &subject, found)
    }

    /// Whether correcting a copy in place would give somebody's name or rights to what others may have
    /// written.
    ///
    /// A file that nobody but root could write to any more would pass for root's at a later run, so the one
    /// that closes it writes it.
    pub(crate) fn lends(&mut self, at: EntryRef<'_>, meta: &Meta, found: &Meta) -> bool {
        // Where a symbolic link leads was compared.
        if meta.kind == Kind::Symlink || !self.may_be_strangers(at, found) {
            return false;
        }
        let (is_file, keeps_owner) = (meta.kind == Kind::File, self.setting.keeps(Attributes::OWNERSHIP));
        let there = Owner::of(found);
        let owner = match keeps_owner {
            true => self.learned.fresh.owner_to_be_had(found.id.dev, Owner::of(meta), there),
            false => there,
        };
        let gives_away = self.setting.privileges.gives_away;
        let renames = gives_away && owner.uid != found.uid;
        // Names that are missing would become names of a stranger's file.
        let joins = !keeps_owner
            && self.setting.is_linked(meta)
            && found.nlink < meta.nlink
            && found.uid != meta.uid
            && !self.setting.trusts(found.uid);
        let sets_mode = is_file && self.setting.keeps(Attributes::MODE);
        let adds = |mode: u32| sets_mode && mode & (SETUID | SETGID) & !found.mode != 0;
        let is_open =
            is_file && gives_away && self.setting.trusts(found.uid) && found.mode & OTHERS_WRITE != 0;
        // The mode follows an ACL that is set, and where it is not, its mask does not become the group's rights.
        let acl = if is_open { acl_of(Handle::Entry(&at.dirs.source, at.name)) } else { None };
        let of_group = acl.as_ref().map_or(GROUP_RIGHTS, |acl| acl::group_rights(acl).unwrap_or(0));
        let wished_acl = acl.filter(|acl| self.setting.keeps(Attributes::ACL) && !acl.is_empty());
        let without_acl = meta.mode & !(GROUP_RIGHTS & !of_group);
        let wished_mode = if wished_acl.is_some() { meta.mode } else { without_acl };
        let is_closable = is_open && (sets_mode || wished_acl.is_some());
        let closes = |mode: u32| is_closable && found.mode & OTHERS_WRITE & !mode != 0;
        let mode = without_lent(meta.mode, Owner::of(meta), owner);
        if !renames && !joins && !adds(mode) && !closes(without_acl) {
            return false;
        }
        let wish = Wish {
            owner: keeps_owner.then_some(owner),
            mode: sets_mode.then(|| (wished_mode, Owner::of(meta))),
            acl: wished_acl,
            capability: None,
        };
        self.fresh(at, found, wish).is_none_or(|fresh| {
            (renames || joins) && fresh.owner.uid != found.uid
                || adds(fresh.mode)
                || (sets_mode || fresh.has_acl) && closes(fresh.mode)
        })
    }

    /// Whether others may have written what is there: a file of another owner, one that others may write
    /// to, or any in a directory where they may give names.
    fn may_be_strangers(&self, at: EntryRef<'_>, found: &Meta) -> bool {
        self.setting.is_open_to_strangers(found) || self.setting.is_open_to_strangers(&at.node.target)
    }

    /// Whether correcting a copy in place would lend it a capability that it does not have.
    pub(crate) fn lends_capability(
        &mut self,
        at: EntryRef<'_>,
        subject: &MetadataTarget<'_>,
        found: &Meta,
    ) -> bool {
        let may_be = subject.meta.kind == Kind::File && self.may_be_strangers(at, found);
        if !may_be || !self.setting.keeps(Attributes::XATTR) {
            return false;
        }
        let Some(capability) = capability_of(subject.from) else { return false };
        if capability_of(subject.to).is_some_and(|there| there == capability) {
            return false;
        }
        let owner = self.setting.keeps(Attributes::OWNERSHIP).then(|| Owner::of(subject.meta));
        let wish = Wish { owner, capability: Some(capability), ..Wish::default() };
        self.fresh(at, found, wish).is_none_or(|fresh| fresh.has_capability)
    }

    /// A copy was refused its owner: learn whether any would be, so that not every file is tried at every run.
    pub(crate) fn learn_owner(&mut self, at: EntryRef<'_>, meta: &Meta, found: &Meta) {
        if self.setting.privileges.gives_away && self.setting.keeps(Attributes::OWNERSHIP) {
            let _ = self.fresh(at, found, Wish { owner: Some(Owner::of(meta)), ..Wish::default() });
        }
    }

    /// What a new file beside `found` would get of `wish`; `None` where that cannot be told.
    fn fresh(&mut self, at: EntryRef<'_>, found: &Meta, wish: Wish) -> Option<Fresh> {
        if self.setting.is_dry() {
            return None; // which makes nothing
        }
        let key = (found.id.dev, wish);
        if let Some(fresh) = self.learned.fresh.known().get(&key) {
            return Some(*fresh);
        }
        let names = &self.setting.temporaries;
        let staged = Staged::unnamed(&at.dirs.target, LEAST, names).ok()?;
        let fresh = try_on(Handle::Open(&staged.file), &key.1).ok();
        staged.discard(&at.dirs.target, c"").ok()?;
        self.learned.fresh.known().insert(key, fresh?);
        fresh
    }

    /// Whether keeping a copy of several names would join what the source has apart, or change a file
    /// that the source does not link it to.
    fn is_anothers(&mut self, at: EntryRef<'_>, subject: &MetadataTarget<'_>, found: &Meta) -> bool {
        let meta = subject.meta;
        if !self.shared.stands_for(found.id, meta.id) {
            return true;
        }
        let has_stranger = !self.setting.is_linked(meta)
            || found.nlink > meta.nlink
            // Any of its names may have been given by others, to a file that is none of theirs.
            || self.setting.is_open_to_strangers(&subject.node.target);
        if has_stranger && meta.gid != found.gid && self.setting.keeps(Attributes::OWNERSHIP) {
            // What a new copy would not get either is no reason to make one.
            let _ = self.fresh(at, found, Wish { owner: Some(Owner::of(meta)), ..Wish::default() });
        }
        has_stranger && (self.differs(subject, Granularity::Nanos(1)) || self.have_xattrs_changed(subject))
    }
}

/// The ACL of a file, if it has one; empty where that cannot be told.
fn acl_of(file: Handle<'_>) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    match file.xattr(ACCESS_ACL, &mut value) {
        Ok(length) => value.truncate(length),
        Err(error) if platform::is_no_xattr(&error) || platform::lacks_xattrs(&error) => return None,
        Err(_) => value.clear(),
    }
    Some(value)
}

/// Give a new file what is wished for, as far as that goes; what it has then.
fn try_on(file: Handle<'_>, wish: &Wish) -> io::Result<Fresh> {
    let refused = |set: io::Result<()>| match set {
        Err(error) if platform::is_not_kept(&error) => Ok(true),
        set => set.map(|()| false),
    };
    if let Some(owner) = wish.owner
        && refused(file.set_owner(Some(owner.uid), Some(owner.gid)))?
    {
        refused(file.set_owner(None, Some(owner.gid)))?;
    }
    let owner = Owner::of(&file.meta()?);
    if let Some(capability) = &wish.capability {
        match file.set_xattr(CAPABILITY, capability) {
            Err(error) if !platform::is_not_kept(&error) => return Err(error),
            _ => {}
        }
    }
    let has_acl = wish.acl.as_ref().is_some_and(|acl| file.set_xattr(ACCESS_ACL, acl).is_ok());
    if let Some((mut mode, of)) = wish.mode {
        if let Some(acl) = wish.acl.as_ref().filter(|_| !has_acl) {
            mode = mode & !GROUP_RIGHTS | acl::group_rights(acl).unwrap_or(0);
        }
        refused(file.set_mode(without_lent(mode, of, owner)))?;
    }
    let has_capability = wish.capability.is_some() && capability_of(file) == wish.capability;
    Ok(Fresh { owner, mode: file.meta()?.mode, has_acl, has_capability })
}
