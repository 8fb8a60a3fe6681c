//! What this process may do to what is not its own.

use rustix::thread::{CapabilitySet, capabilities};

use crate::platform::{Privileges, effective_user};

/// What the calling thread may do beyond what modes and owners allow (capabilities(7)); in a user
/// namespace, to what belongs to users that are known there.
pub(crate) fn privileges() -> Privileges {
    let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    Privileges {
        overrides_modes: effective.contains(CapabilitySet::DAC_OVERRIDE),
        gives_away: effective.contains(CapabilitySet::CHOWN | CapabilitySet::FOWNER),
        loses_what_it_gives: effective.contains(CapabilitySet::CHOWN)
            && !effective.contains(CapabilitySet::FOWNER),
        // Unless its superblock names somebody else (ext4(5), resuid), root's user may without the capability.
        uses_reserve: effective.contains(CapabilitySet::SYS_RESOURCE) || effective_user() == 0,
    }
}
