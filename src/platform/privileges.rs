//! What a process may do that not everybody may.

/// What this process may do beyond what modes and owners allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Privileges {
    /// Modes and ACLs keep it from nothing.
    pub(crate) overrides_modes: bool,
    /// It may give files to anybody, and set their modes and times all the same.
    pub(crate) gives_away: bool,
    /// It may give files to anybody, and could do nothing more about them then.
    pub(crate) loses_what_it_gives: bool,
    /// It may fill what a filesystem keeps for its administrator.
    pub(crate) uses_reserve: bool,
}

impl Privileges {
    /// All of it, as root has everywhere but on Linux.
    #[cfg_attr(target_os = "linux", allow(dead_code, reason = "Linux tells one privilege from another"))]
    pub(crate) fn all_if(is_root: bool) -> Privileges {
        let loses_what_it_gives = false;
        Privileges {
            overrides_modes: is_root,
            gives_away: is_root,
            loses_what_it_gives,
            uses_reserve: is_root,
        }
    }
}
