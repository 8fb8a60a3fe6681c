//! What copies could not keep.

use std::path::PathBuf;

/// Something the copies could not keep, for want of privilege or of support by the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Loss {
    /// Owner or group.
    Owner,
    /// Permission bits.
    Mode,
    /// Setuid or setgid, dropped because the owner could not be kept.
    SetId,
    /// Extended attributes.
    Xattr,
    /// POSIX ACLs.
    Acl,
    /// Times.
    Times,
    /// Hard links, where a second copy was made instead.
    HardLink,
    /// The tidiness of the destination: what a run that was cut off has left there could not be removed.
    Leftover,
    /// Reading the copy from its device: it was read from memory instead.
    Media,
    /// The certainty that it fits: the destination has less room than all of it seems to need.
    Room,
    /// The rest of a directory: a quota that holds for it is used up.
    Untried,
    /// More than half of what the copy had, which its source lacks.
    Extraneous,
    /// The effect of a rule: it decided about no entry that was looked at. What stands for a path is its pattern.
    Rule,
    /// The effect of a rule to include: no rule behind it excludes anything. What stands for a path is its pattern.
    Include,
    /// What was there before a power cut: the destination has no journal, and what was replaced could not be kept until
    /// that was durable which has its name now.
    Order,
}

impl Loss {
    /// A short name that stays the same, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Loss::Owner => "owner",
            Loss::Mode => "mode",
            Loss::SetId => "set_id",
            Loss::Xattr => "xattr",
            Loss::Acl => "acl",
            Loss::Times => "times",
            Loss::HardLink => "hard_link",
            Loss::Leftover => "leftover",
            Loss::Media => "media",
            Loss::Room => "room",
            Loss::Untried => "untried",
            Loss::Extraneous => "extraneous",
            Loss::Rule => "rule",
            Loss::Include => "include",
            Loss::Order => "order",
        }
    }

    /// What was lost, in words for the user.
    #[must_use]
    pub fn described(self) -> &'static str {
        match self {
            Loss::Owner => "owner or group not kept",
            Loss::Mode => "mode not kept",
            Loss::SetId => "setuid or setgid dropped, as the owner could not be kept",
            Loss::Xattr => "extended attributes not kept",
            Loss::Acl => "ACL not kept",
            Loss::Times => "times not kept",
            Loss::HardLink => "second copy made instead of a hard link",
            Loss::Leftover => "leftovers of a run that was cut off could not be removed",
            Loss::Media => "verified from memory, as this filesystem cannot be read past it",
            Loss::Room => "not enough room",
            Loss::Untried => "nothing more was tried where a quota is used up",
            Loss::Extraneous => "more than half of the copy is what the source lacks, and is deleted",
            Loss::Rule => "rule without any effect",
            Loss::Include => "--include that leaves nothing out",
            Loss::Order => "replaced where a power cut may take both the old and the new",
        }
    }
}

/// One kind of loss: how often, and the first case of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Warning {
    /// What was lost.
    pub loss: Loss,
    /// The first entry that lost it.
    pub path: PathBuf,
    /// Why, in that first case.
    pub cause: String,
    /// How many entries lost it.
    pub count: u64,
}
