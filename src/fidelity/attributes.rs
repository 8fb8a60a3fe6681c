//! Everything about an entry that is not its content: owner, ACL, extended attributes, mode, times.

use std::sync::atomic::Ordering;

use super::{Fidelity, metadata_target::MetadataTarget, xattrs::AccessAcl};
use crate::{
    entry::{Granularity, Kind, Meta, Stamp},
    error::{During, Fault, Op, Sided},
    fidelity::may_clamp,
    options::{Attributes, Compare},
    platform::{self, Handle},
    report::WarningKind,
    setting::Setting,
    tree::{DirNode, Owner},
};

pub(crate) const SETUID: u32 = 0o4000;
pub(crate) const SETGID: u32 = 0o2000;
pub(crate) const GROUP_RIGHTS: u32 = 0o070;
/// What everything is created with that does not get its own mode at once.
pub(crate) const LEAST: u32 = 0o600;
const OWNER_WRITES: u32 = 0o200;

/// How many seconds older than its source a copy says to be that is not finished or not to be
/// trusted: more than the step of any clock.
pub(crate) const UNFINISHED_BEFORE: i64 = 10;

/// The mode to create an entry with: its own, where its directory is new and so closed to others
/// until all in it is finished, and the least otherwise. An ACL that comes later may leave the
/// owning group less than its mask, which is what the mode says (acl(5)).
pub(crate) fn creation_mode(setting: &Setting, node: &DirNode, meta: &Meta) -> u32 {
    if !setting.keeps(Attributes::MODE) {
        return meta.mode & 0o777;
    }
    let is_plain = meta.mode & !0o777 == 0 && !node.target_dir.existed() && !node.inherits_acl;
    let is_ours = !setting.keeps(Attributes::OWNERSHIP) || node.default_owner.get() == Some(&Owner::of(meta));
    // Only who may write to a file may give it extended attributes (xattr(7)).
    let may_describe = setting.privileges.overrides_modes || meta.mode & OWNER_WRITES != 0;
    let is_final =
        is_plain && is_ours && may_describe && node.pair.created_modes.keeps(meta.mode) != Some(false);
    if is_final { meta.mode } else { LEAST }
}

/// The mode of an entry that this run has just created with `mode`.
fn mode_of_created(node: &DirNode, created: Handle<'_>, mode: u32) -> std::io::Result<u32> {
    let modes = &node.pair.created_modes;
    if modes.keeps(mode) == Some(true) {
        return Ok(mode);
    }
    let got = created.meta()?.mode;
    modes.learn(mode, got);
    Ok(got)
}

impl Fidelity<'_> {
    /// Give a copy its source's attributes, in the order that is safe: owner, ACL and extended
    /// attributes, mode, and last the times; whether any extended attribute or ACL was changed.
    ///
    /// What cannot be given, whatever the reason, is told, and fails the entry only where it was named.
    pub(crate) fn attributes(&mut self, subject: &MetadataTarget<'_>) -> Result<bool, Fault> {
        let MetadataTarget { node, meta, to, found, .. } = *subject;
        let current = match found {
            Some(found) => Owner::of(found),
            None => node.default_owner(to).during(Op::Stat).in_copy()?,
        };
        // Asked before an ACL is set, which has a say in the mode.
        let there = match found {
            Some(found) => Some(found.mode),
            None if node.inherits_acl
                || meta.kind == Kind::Symlink
                || !self.setting.keeps(Attributes::MODE) =>
            {
                None
            }
            None => {
                let mode = mode_of_created(node, to, subject.created.unwrap_or(LEAST));
                Some(mode.during(Op::Stat).in_copy()?)
            }
        };
        let wanted = self.wanted(subject)?;
        let extra = if subject.is_new() { Vec::new() } else { self.extra_xattrs(subject, &wanted)? };
        let is_unmarked = !extra.is_empty() && self.unmark(subject);
        let before = there;
        let there = if subject.is_new() { there } else { self.open_up(subject, there) };
        let owner =
            if self.setting.keeps(Attributes::OWNERSHIP) { self.owner(subject, current)? } else { current };
        let given = self.xattrs(subject, &wanted, &extra)?;
        let acl = given.access_acl;
        let mut has_changed = given.has_changed || there != before || owner != current;
        if meta.kind != Kind::Symlink && self.setting.keeps(Attributes::MODE) {
            let mut mode = self.mode_for(subject, owner);
            if let AccessAcl::Lost(group_rights) = acl {
                mode = mode & !GROUP_RIGHTS | group_rights;
            }
            // A change of owner may have cleared bits (chown(2)), and an ACL, or its end, may have set some.
            let is_moved = owner != current || acl == AccessAcl::Kept || given.has_lost_acl;
            if Some(mode) != there || is_moved {
                let set = to.set_mode(mode);
                has_changed |= set.is_ok();
                self.kept_or_warned(subject, set, Op::SetMode, Attributes::MODE, WarningKind::Mode)?;
            }
        }
        if let Some(replaced) = subject.replaces {
            self.keep_replaced(subject, replaced, owner, acl)?;
        }
        // What a file has too much goes with it: the next run copies it anew.
        let is_to_go = given.has_extra && is_unmarked && meta.kind == Kind::File;
        let is_due = subject.is_new()
            || is_unmarked
            || has_changed
            || self.times_differ(subject, Granularity::Nanos(1));
        if subject.times && is_due && !is_to_go && self.setting.keeps(Attributes::TIMESTAMPS) {
            let set = to.set_times(meta.accessed, meta.modified);
            if subject.is_new() || is_unmarked || self.times_differ(subject, Granularity::Nanos(1)) {
                self.kept_or_warned(subject, set, Op::SetTimes, Attributes::TIMESTAMPS, WarningKind::Times)?;
            }
            if may_clamp(node, meta.modified) {
                let kept = to.meta().during(Op::Stat).in_copy()?.modified;
                self.see_clamped(subject, kept)?;
            }
        }
        Ok(given.has_changed)
    }

    /// See whether the filesystem has kept a far time, which it does not say.
    pub(crate) fn see_clamped(&mut self, subject: &MetadataTarget<'_>, kept: Stamp) -> Result<(), Fault> {
        if kept.secs.abs_diff(subject.meta.modified.secs) <= 2 {
            return Ok(()); // but for its clock's step
        }
        let why = "the filesystem has no time that early or late, and keeps the nearest";
        let why = std::io::Error::new(std::io::ErrorKind::Unsupported, why);
        self.not_kept(subject, why, Op::SetTimes, Attributes::TIMESTAMPS, WarningKind::Times)
    }

    /// Take away the mark of a finished copy, its time, until it has lost what its source lacks: a
    /// correction that is cut off moves the change time, which would tell later runs that there is nothing
    /// to be looked for.
    ///
    /// `false` where the copy may not be touched so.
    fn unmark(&self, subject: &MetadataTarget<'_>) -> bool {
        let meta = subject.meta;
        subject.times
            && self.setting.keeps(Attributes::TIMESTAMPS)
            && subject.to.set_times(meta.accessed, meta.modified.seconds_before(UNFINISHED_BEFORE)).is_ok()
    }

    /// Let the owner of a read-only copy set its attributes (xattr(7)); the mode that is there then,
    /// if it is known.
    fn open_up(&self, subject: &MetadataTarget<'_>, there: Option<u32>) -> Option<u32> {
        let is_closed = subject.meta.kind == Kind::File
            && !self.setting.privileges.overrides_modes
            && self.setting.keeps(Attributes::MODE)
            && there.is_some_and(|mode| mode & OWNER_WRITES == 0);
        match there {
            Some(mode) if is_closed => subject.to.set_mode(mode | OWNER_WRITES).err().and(there),
            _ => there,
        }
    }

    /// Say again of a copy that is left as it is what was said when its owner was refused.
    pub(crate) fn owner_not_kept(&mut self, subject: &MetadataTarget<'_>, found: &Meta) -> Result<(), Fault> {
        if self.setting.keeps(Attributes::OWNERSHIP) && Owner::of(found) != Owner::of(subject.meta) {
            self.owner_refused(subject, Owner::of(found), platform::not_permitted())?;
        }
        Ok(())
    }

    /// Whether a copy of the right content has other metadata than it should, as far as that can
    /// be changed.
    pub(crate) fn differs(&self, subject: &MetadataTarget<'_>, granularity: Granularity) -> bool {
        let MetadataTarget { meta, found, .. } = *subject;
        let Some(found) = found.filter(|_| !subject.is_new()) else { return true };
        let (wanted, there) = (Owner::of(meta), Owner::of(found));
        let to_be_had = || self.learned.fresh.owner_to_be_had(found.id.dev, wanted, there);
        let owner = self.setting.keeps(Attributes::OWNERSHIP)
            && wanted != there
            && if self.setting.privileges.gives_away {
                to_be_had() != there
            } else {
                to_be_had().gid != there.gid
                    || wanted.uid != there.uid && !self.learned.owner_refused.load(Ordering::Relaxed)
            };
        let mode = self.setting.keeps(Attributes::MODE)
            && meta.kind != Kind::Symlink
            && found.mode != self.mode_for(subject, Owner::of(found));
        owner || mode || self.times_differ(subject, granularity)
    }

    /// Whether a copy that is there has another time than it should.
    fn times_differ(&self, subject: &MetadataTarget<'_>, granularity: Granularity) -> bool {
        let MetadataTarget { meta, found, .. } = *subject;
        // A file's time is what told that its content is the same.
        self.setting.keeps(Attributes::TIMESTAMPS)
            && (meta.kind != Kind::File || self.setting.job.compare == Compare::Content)
            && found.is_some_and(|found| {
                found.modified.truncated_to(granularity) != meta.modified.truncated_to(granularity)
            })
    }

    /// The source's mode, without the bits that would lend another owner's rights.
    fn mode_for(&self, subject: &MetadataTarget<'_>, owner: Owner) -> u32 {
        let meta = subject.meta;
        match meta.kind {
            Kind::Directory => meta.mode, // there setgid lends nothing: it says who owns what is created
            _ => without_lent(meta.mode, Owner::of(meta), owner),
        }
    }

    /// Set the owner as far as we may; who owns the copy then.
    fn owner(&mut self, subject: &MetadataTarget<'_>, current: Owner) -> Result<Owner, Fault> {
        let want = Owner::of(subject.meta);
        if want == current {
            return Ok(current);
        }
        let gid = (want.gid != current.gid).then_some(want.gid);
        let mut refusal = None;
        if want.uid == current.uid || !self.learned.owner_refused.load(Ordering::Relaxed) {
            let uid = (want.uid != current.uid).then_some(want.uid);
            match subject.to.set_owner(uid, gid) {
                Ok(()) => return Ok(want),
                Err(error) => {
                    let is_settled = uid.is_some() && !self.setting.privileges.gives_away;
                    if is_settled && platform::is_not_kept(&error) {
                        self.learned.owner_refused.store(true, Ordering::Relaxed);
                    }
                    refusal = Some(error);
                }
            }
        }
        let mut owner = current;
        if want.uid != current.uid && gid.is_some() && subject.to.set_owner(None, gid).is_ok() {
            owner.gid = want.gid;
        }
        self.owner_refused(subject, owner, refusal.unwrap_or_else(platform::not_permitted))?;
        Ok(owner)
    }

    /// Say of a copy which stays with this owner what that loses.
    fn owner_refused(
        &mut self,
        subject: &MetadataTarget<'_>,
        owner: Owner,
        refusal: std::io::Error,
    ) -> Result<(), Fault> {
        self.not_kept(subject, refusal, Op::SetOwner, Attributes::OWNERSHIP, WarningKind::Owner)?;
        let lends = subject.meta.kind != Kind::Directory && self.setting.keeps(Attributes::MODE);
        if lends && self.mode_for(subject, owner) != subject.meta.mode {
            self.teller.warn(
                WarningKind::SetId,
                subject.node,
                subject.name,
                subject.meta.kind,
                "the owner could not be kept",
            );
        }
        Ok(())
    }

    pub(crate) fn kept_or_warned(
        &mut self,
        subject: &MetadataTarget<'_>,
        done: std::io::Result<()>,
        op: Op,
        attribute: Attributes,
        warning: WarningKind,
    ) -> Result<(), Fault> {
        match done {
            Err(error) => self.not_kept(subject, error, op, attribute, warning),
            Ok(()) => Ok(()),
        }
    }

    /// Something is lost, whatever the reason: a warning, and a failure where the caller named it.
    ///
    /// It is a fault as well where the same is tried again, and where the destination as a whole has
    /// become read-only: then the content is not safe either.
    pub(crate) fn not_kept(
        &mut self,
        subject: &MetadataTarget<'_>,
        error: std::io::Error,
        op: Op,
        attribute: Attributes,
        warning: WarningKind,
    ) -> Result<(), Fault> {
        let is_over = error.kind() == std::io::ErrorKind::ReadOnlyFilesystem && self.space.is_read_only();
        let fault = Fault::new(op, error);
        if self.setting.job.preserve.requires(attribute)
            || is_over
            || self.setting.may_retry(&fault, self.teller.notes.tried)
        {
            return Err(fault);
        }
        let cause = match op {
            Op::ReadXattrs => format!("the source's cannot be read: {}", fault.cause),
            _ => fault.cause.to_string(),
        };
        self.teller.warn(warning, subject.node, subject.name, subject.meta.kind, &cause);
        Ok(())
    }
}

/// A mode without what would lend rights of the owner `of` the source to a copy that belongs to another.
pub(crate) fn without_lent(mode: u32, of: Owner, owner: Owner) -> u32 {
    let setuid = if owner.uid == of.uid { 0 } else { SETUID };
    let setgid = if owner.gid == of.gid { 0 } else { SETGID };
    mode & !(setuid | setgid)
}
