//! Directories whose names are encrypted (fscrypt of the kernel's documentation).

use super::Dir;

/// Whether a directory's names are encrypted and their key is not there: what it lists are no names then.
///
/// Of policies of version 1, whose keys may be in keyrings that others do not see, nobody can tell.
pub(crate) fn is_locked(dir: &Dir) -> bool {
    system::identifier(dir).is_some_and(|key| system::is_absent(dir, key))
}

mod system {
    #![allow(unsafe_code)]
    use std::os::fd::AsFd;

    use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

    type Identifier = [u8; 16];

    /// `fscrypt_get_policy_ex_arg` of linux/fscrypt.h.
    #[repr(C)]
    struct PolicyOf {
        size: u64,
        version: u8,
        modes: [u8; 7],
        identifier: Identifier,
    }

    /// `fscrypt_get_key_status_arg` of linux/fscrypt.h.
    #[repr(C)]
    struct StatusOf {
        kind: u32,
        reserved: u32,
        identifier: Identifier,
        rest: [u8; 16],
        also_reserved: [u32; 6],
        status: u32,
        out: [u32; 15],
    }

    const GET_POLICY_EX: Opcode = opcode::read_write::<[u8; 9]>(b'f', 22);
    const GET_KEY_STATUS: Opcode = opcode::read_write::<StatusOf>(b'f', 26);
    const BY_IDENTIFIER: u32 = 2;
    const ABSENT: u32 = 1;

    /// Which key a directory is encrypted with, if it is, by a policy of version 2.
    pub(super) fn identifier(dir: &impl AsFd) -> Option<Identifier> {
        let identifier = Identifier::default();
        let mut policy = PolicyOf { size: 24, version: 0, modes: [0; 7], identifier };
        // SAFETY: the kernel reads the size that is available for the policy, here that of all behind it,
        // and writes no more than that and the size itself; every bit pattern is valid.
        let got = unsafe { ioctl(dir, Updater::<GET_POLICY_EX, PolicyOf>::new(&mut policy)) };
        (got.is_ok() && policy.version == 2).then_some(policy.identifier)
    }

    /// Whether a filesystem does not have a key.
    pub(super) fn is_absent(dir: &impl AsFd, identifier: Identifier) -> bool {
        let mut status = StatusOf {
            kind: BY_IDENTIFIER,
            reserved: 0,
            identifier,
            rest: [0; 16],
            also_reserved: [0; 6],
            status: 0,
            out: [0; 15],
        };
        // SAFETY: the structure is as long as the kernel's, whose size is in the number of the call; the
        // kernel reads and writes nothing beyond it, and every bit pattern is valid.
        let got = unsafe { ioctl(dir, Updater::<GET_KEY_STATUS, StatusOf>::new(&mut status)) };
        got.is_ok() && status.status == ABSENT
    }

    const _: () = assert!(size_of::<PolicyOf>() == 32 && size_of::<StatusOf>() == 128);
}
