//! A small tree with one of everything that copiers lose.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

use rustix::{fs::XattrFlags, io::Errno};

use super::{Builder, SEED};
use crate::random::Random;

/// An ACL as the kernel's extended attribute holds it: version 2, then tag, permissions and id.
fn acl_with_a_stranger() -> Vec<u8> {
    const NOBODY_IN_PARTICULAR: u32 = u32::MAX;
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, NOBODY_IN_PARTICULAR), // owner
        (0x02, 4, 4321),                 // a named user
        (0x04, 4, NOBODY_IN_PARTICULAR), // group
        (0x10, 4, NOBODY_IN_PARTICULAR), // mask
        (0x20, 0, NOBODY_IN_PARTICULAR), // others
    ];
    let mut acl = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        acl.extend(tag.to_le_bytes());
        acl.extend(permissions.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    acl
}

/// Make the tree at `root`: what a copier keeps of it is told once, and never timed.
///
/// There is no FIFO, socket or device in it: at least one copier (cpz) opens them for reading and
/// waits for ever.
pub(crate) fn make_awkward(root: &Path) -> io::Result<()> {
    let mut tree = Builder::new(Random::new(SEED), root)?;
    tree.grow(3, 3, |_, count| count - 1)?;
    let inner = tree.directories().last().unwrap_or(Builder::ROOT);
    let plain = tree.file(Builder::ROOT, "plain", b"content", 0o640)?;
    tree.file(inner, "read-only", b"content", 0o444)?;
    tree.file(inner, "empty", b"", 0o600)?;
    tree.hard_link(&plain, inner, "further-name")?;
    tree.symlink(Path::new("plain"), Builder::ROOT, "link")?;
    tree.symlink(Path::new("no/such/target"), inner, "dangling")?;
    tree.xattr(&plain, "user.origin")?;
    tree.big_file("holes", 16 << 20, [(8 << 20, 64 << 10)])?;

    let owned = tree.file(inner, "of-a-stranger", b"content", 0o644)?;
    // Without privilege nobody can own it, so nobody can lose the owner.
    let _ = chown(&owned, Some(4321), Some(4321));
    let program = tree.file(inner, "setgid", b"content", 0o644)?;
    fs::set_permissions(&program, Permissions::from_mode(0o2755))?;
    let listed = tree.file(inner, "with-acl", b"content", 0o640)?;
    let acl = acl_with_a_stranger();
    match rustix::fs::setxattr(&listed, "system.posix_acl_access", &acl, XattrFlags::empty()) {
        Ok(()) | Err(Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    for changed in [&plain, &owned, &program, &listed] {
        tree.stamp(changed)?;
    }
    tree.finish()
}
