//! One tree with a bit of everything that copiers get wrong.

use std::{
    fs::{self, File},
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileExt, PermissionsExt, chown, lchown, symlink},
            net::UnixListener,
        },
    },
    path::Path,
};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use super::{is_root, odd_name};

/// Bytes that neither repeat within a block nor hold a block of zeros.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Set the times of an entry, links included: one second apart, to the nanosecond.
pub fn set_times(path: &Path, secs: i64, nanos: i64) {
    let stamp = |secs| Timespec { tv_sec: secs, tv_nsec: nanos };
    let times = Timestamps { last_access: stamp(secs + 1), last_modification: stamp(secs) };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())
        .unwrap_or_else(|error| panic!("{name} of {}: {error}", path.display()));
}

pub fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 65536];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

/// Make a FIFO, socket or device.
pub fn make_node(path: &Path, kind: FileType, device: u64) {
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), device).unwrap();
}

/// Make a file of `size` bytes with data at these places only.
pub fn make_sparse(path: &Path, size: u64, data: &[(u64, &[u8])]) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    for (at, bytes) in data {
        file.write_all_at(bytes, *at).unwrap();
    }
}

/// A POSIX ACL as its extended attribute holds it (linux/posix_acl_xattr.h): the owner's, a user's,
/// the group's, the mask's and everybody's rights.
pub fn acl(owner: u16, user: (u32, u16), group: u16, mask: u16, others: u16) -> Vec<u8> {
    const NO_ID: u32 = u32::MAX;
    let entries =
        [(1, owner, NO_ID), (2, user.1, user.0), (4, group, NO_ID), (16, mask, NO_ID), (32, others, NO_ID)];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        bytes.extend(u16::to_le_bytes(tag));
        bytes.extend(u16::to_le_bytes(rights));
        bytes.extend(u32::to_le_bytes(id));
    }
    bytes
}

pub const ACCESS: &str = "system.posix_acl_access";
pub const DEFAULT: &str = "system.posix_acl_default";

pub const CAPABILITY: &str = "security.capability";
/// The value of `cap_net_raw=ep` (capabilities(7): revision 2, with the effective bit).
pub const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Make the tree; what only root may make is left out for others.
pub fn plant(root: &Path) {
    fs::create_dir(root).unwrap();
    plant_files(root);
    plant_links(root);
    plant_holes(&root.join("holes"));
    plant_attributes(root);
    if is_root() {
        plant_owned(root);
    }
    plant_directories(root);
    age(root);
}

fn plant_files(root: &Path) {
    for (name, size) in [("empty", 0), ("one", 1), ("below", 65_535), ("at", 65_536), ("wide", 9 << 20)] {
        fs::write(root.join(name), noise(size, size as u64)).unwrap();
    }
    fs::write(root.join(odd_name()), b"odd").unwrap();
    for name in ["-rf", "two\nlines", " ", "...", "\u{1F980}", &"n".repeat(255)] {
        fs::write(root.join(name), name).unwrap();
    }
    for mode in [0o0, 0o200, 0o444, 0o777, 0o4755, 0o2755, 0o6711, 0o1644, 0o7777] {
        let path = root.join(format!("mode-{mode:04o}"));
        fs::write(&path, b"mode").unwrap();
        set_mode(&path, mode);
    }
}

fn plant_links(root: &Path) {
    let far = root.join("far/away");
    fs::create_dir_all(&far).unwrap();
    for (name, target) in [("dangling", "nowhere"), ("absolute", "/etc/hostname"), ("up", "../..")] {
        symlink(target, root.join(name)).unwrap();
    }
    symlink("x".repeat(1000), root.join("long")).unwrap();
    symlink(Path::new(odd_name()), far.join("odd-target")).unwrap();
    for index in 0..3 {
        fs::write(root.join(format!("group-{index}")), format!("group {index}")).unwrap();
        fs::hard_link(root.join(format!("group-{index}")), far.join(format!("member-{index}"))).unwrap();
        fs::hard_link(root.join(format!("group-{index}")), far.join(format!("third-{index}"))).unwrap();
    }
    fs::hard_link(root.join("wide"), far.join("wide-too")).unwrap();
    make_node(&root.join("fifo"), FileType::Fifo, 0);
    for name in ["dangling", "fifo"] {
        fs::hard_link(root.join(name), far.join(name)).unwrap();
    }
    // A socket's address is limited to 108 bytes (unix(7)): go by the descriptor.
    let held = File::open(root).unwrap();
    let by_descriptor = format!("/proc/self/fd/{}/socket", held.as_raw_fd());
    UnixListener::bind(by_descriptor).unwrap();
}

fn plant_holes(dir: &Path) {
    const MIB: u64 = 1 << 20;
    fs::create_dir(dir).unwrap();
    let block = noise(4096, 7);
    make_sparse(&dir.join("all"), 3 * MIB, &[]);
    make_sparse(&dir.join("leading"), 2 * MIB + 4096, &[(2 * MIB, &block)]);
    make_sparse(&dir.join("middle"), 3 * MIB, &[(0, &block), (3 * MIB - 4096, &block)]);
    make_sparse(&dir.join("trailing"), 2 * MIB + 17, &[(0, &block)]);
    make_sparse(&dir.join("wide"), 64 * MIB + 1, &[(20 * MIB, &block), (40 * MIB + 100, b"odd place")]);
}

fn plant_attributes(root: &Path) {
    let path = root.join("xattrs");
    fs::write(&path, b"xattrs").unwrap();
    for index in 0..20 {
        set_xattr(&path, &format!("user.number-{index}"), format!("value {index}").as_bytes());
    }
    set_xattr(&path, "user.empty", b"");
    set_xattr(&path, "user.binary", b"\0\xff\n");
    let path = root.join("acl");
    fs::write(&path, b"acl").unwrap();
    set_xattr(&path, ACCESS, &acl(6, (1234, 4), 6, 4, 0));
    let path = root.join("acl-dir");
    fs::create_dir(&path).unwrap();
    set_xattr(&path, ACCESS, &acl(7, (1234, 5), 5, 5, 0));
    set_xattr(&path, DEFAULT, &acl(7, (1234, 7), 7, 7, 7));
    set_xattr(&path, "user.directory", b"yes");
    fs::write(path.join("inherits"), b"acl").unwrap();
    fs::create_dir(path.join("deeper")).unwrap();
    // One that has inherited nothing, in a directory that lets inherit.
    fs::write(root.join("mine"), b"mine").unwrap();
    set_mode(&root.join("mine"), 0o600);
    fs::rename(root.join("mine"), path.join("mine")).unwrap();
}

fn plant_owned(root: &Path) {
    for (name, uid, gid) in [("owned", 1000, 1001), ("grouped", 0, 1001), ("setuid", 1000, 1001)] {
        let path = root.join(name);
        fs::write(&path, name).unwrap();
        chown(&path, Some(uid), Some(gid)).unwrap();
    }
    set_mode(&root.join("setuid"), 0o6755);
    lchown(root.join("up"), Some(1000), Some(1001)).unwrap();
    chown(root.join("far"), Some(1000), Some(1001)).unwrap();
    make_node(&root.join("null"), FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    make_node(&root.join("loop"), FileType::BlockDevice, rustix::fs::makedev(7, 42));
    set_xattr(&root.join("owned"), "trusted.note", b"root's");
    set_xattr(&root.join("dangling"), "trusted.on-link", b"on a link");
}

fn plant_directories(root: &Path) {
    for mode in [0o0, 0o555, 0o1777, 0o2755, 0o711] {
        let path = root.join(format!("dir-{mode:04o}"));
        fs::create_dir_all(path.join("below")).unwrap();
        fs::write(path.join("below/file"), b"below").unwrap();
        set_mode(&path, mode);
    }
    fs::create_dir(root.join("empty-dir")).unwrap();
}

/// Give every entry a time of its own, before and after 1970 and to the nanosecond, children first.
fn age(path: &Path) {
    let meta = fs::symlink_metadata(path).unwrap();
    if meta.is_dir() && (is_root() || meta.permissions().mode() & 0o500 == 0o500) {
        for entry in fs::read_dir(path).unwrap() {
            age(&entry.unwrap().path());
        }
    }
    let seed = path
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(1_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    set_times(path, i64::from(seed % 2_000_000_000) - 200_000_000, i64::from(seed) % 1_000_000_000);
}
