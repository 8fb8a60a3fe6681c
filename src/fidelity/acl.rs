//! What a POSIX ACL says, for destinations that cannot hold it.

use std::ffi::CStr;

use crate::platform::{ACCESS_ACL, DEFAULT_ACL};

const VERSION: [u8; 4] = 2_u32.to_le_bytes(); // linux/posix_acl_xattr.h
const OWNER: u16 = 0x01;
const GROUP: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHERS: u16 = 0x20;

fn tag(entry: &[u8]) -> u16 {
    u16::from_le_bytes([entry[0], entry[1]])
}

/// The rights of the owning group, as mode bits, in an access ACL as the kernel gives it out.
///
/// The group bits of the mode are the ACL's mask, the most that any named user or group may have
/// (acl(5)); without the ACL they would be the owning group's own. `None` for what is no such ACL.
pub(crate) fn group_rights(acl: &[u8]) -> Option<u32> {
    let entries = acl.strip_prefix(&VERSION)?;
    let rights_of = |wanted: u16| {
        entries.chunks_exact(8).find_map(|entry| {
            let rights = u16::from_le_bytes([entry[2], entry[3]]);
            (tag(entry) == wanted).then_some(u32::from(rights & 7))
        })
    };
    Some((rights_of(GROUP)? & rights_of(MASK).unwrap_or(7)) << 3)
}

/// Whether the attribute `name` is an ACL that says no more than the mode does, as some filesystems have
/// of every file, or nothing at all.
pub(crate) fn is_idle(name: &CStr, acl: &[u8]) -> bool {
    let Some(entries) = acl.strip_prefix(&VERSION).filter(|_| name == ACCESS_ACL || acl.len() == 4) else {
        return false;
    };
    (name == ACCESS_ACL || name == DEFAULT_ACL)
        && entries.chunks(8).all(|entry| entry.len() == 8 && [OWNER, GROUP, OTHERS].contains(&tag(entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16)]) -> Vec<u8> {
        let entries = entries.iter().flat_map(|(tag, rights)| {
            [tag.to_le_bytes(), rights.to_le_bytes(), [0xff; 2], [0xff; 2]].concat()
        });
        2_u32.to_le_bytes().into_iter().chain(entries).collect()
    }

    #[test]
    fn the_group_has_its_own_rights_within_the_mask() {
        let named = acl(&[(0x01, 6), (0x02, 7), (0x04, 4), (0x10, 6), (0x20, 0)]);
        assert_eq!(group_rights(&named), Some(0o40));
        assert_eq!(group_rights(&acl(&[(0x01, 6), (0x04, 7), (0x10, 5), (0x20, 0)])), Some(0o50));
        assert_eq!(group_rights(&acl(&[(0x01, 6), (0x04, 6), (0x20, 0)])), Some(0o60));
        assert_eq!(group_rights(b"something else"), None);
    }

    #[test]
    fn an_acl_of_the_modes_three_entries_says_nothing_that_the_mode_does_not() {
        let bare = acl(&[(0x01, 6), (0x04, 4), (0x20, 0)]);
        assert!(is_idle(ACCESS_ACL, &bare) && !is_idle(DEFAULT_ACL, &bare), "a default ACL is inherited");
        assert!(is_idle(ACCESS_ACL, &acl(&[])) && is_idle(DEFAULT_ACL, &acl(&[])));
        for entry in [(0x02, 0), (0x08, 0), (0x10, 7)] {
            assert!(!is_idle(ACCESS_ACL, &acl(&[(0x01, 6), entry, (0x04, 4), (0x20, 0)])));
        }
        assert!(!is_idle(c"user.note", &bare) && !is_idle(ACCESS_ACL, b"something else"));
        assert!(!is_idle(ACCESS_ACL, &bare[..bare.len() - 1]));
    }
}
