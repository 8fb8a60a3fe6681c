//! What a report warns of: what copies could not keep, and what is not certain.

use std::path::PathBuf;

/// What a warning is about: something the copies could not keep, for want of privilege or of support by the
/// destination, or something that the caller should know of the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum WarningKind {
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

impl WarningKind {
    /// A short name that stays the same, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            WarningKind::Owner => "owner",
            WarningKind::Mode => "mode",
            WarningKind::SetId => "set_id",
            WarningKind::Xattr => "xattr",
            WarningKind::Acl => "acl",
            WarningKind::Times => "times",
            WarningKind::HardLink => "hard_link",
            WarningKind::Leftover => "leftover",
            WarningKind::Media => "media",
            WarningKind::Room => "room",
            WarningKind::Untried => "untried",
            WarningKind::Extraneous => "extraneous",
            WarningKind::Rule => "rule",
            WarningKind::Include => "include",
            WarningKind::Order => "order",
        }
    }

    /// What was lost, in words for the user.
    #[must_use]
    pub fn described(self) -> &'static str {
        match self {
            WarningKind::Owner => "owner or group not kept",
            WarningKind::Mode => "mode not kept",
            WarningKind::SetId => "setuid or setgid dropped, as the owner could not be kept",
            WarningKind::Xattr => "extended attributes not kept",
            WarningKind::Acl => "ACL not kept",
            WarningKind::Times => "times not kept",
            WarningKind::HardLink => "second copy made instead of a hard link",
            WarningKind::Leftover => "leftovers of a run that was cut off could not be removed",
            WarningKind::Media => "verified from memory, as this filesystem cannot be read past it",
            WarningKind::Room => "not enough room",
            WarningKind::Untried => "nothing more was tried where a quota is used up",
            WarningKind::Extraneous => "more than half of the copy is what the source lacks, and is deleted",
            WarningKind::Rule => "rule without any effect",
            WarningKind::Include => "--include that leaves nothing out",
            WarningKind::Order => "replaced where a power cut may take both the old and the new",
        }
    }
}

/// One kind of warning: how often, and the first case of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Warning {
    /// What it is about.
    pub kind: WarningKind,
    /// The first entry that it holds for.
    pub path: PathBuf,
    /// Why, in that first case.
    pub cause: String,
    /// How many entries it holds for.
    pub count: u64,
}
