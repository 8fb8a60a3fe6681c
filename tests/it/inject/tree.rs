//! Trees to copy, and looks at what became of them.

use std::{
    fs::{self, File, FileTimes},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::support::{
    Sandbox, assert_complete,
    awkward::{CAPABILITY, DEFAULT, NET_RAW, acl, set_xattr},
};

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;

/// Bytes that differ from place to place, and from seed to seed.
pub(super) fn noise(seed: u64, length: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length as usize + 8);
    while (bytes.len() as u64) < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length as usize);
    bytes
}

/// A file with 64 KiB of data at each of `places`, holes between them and one up to `size`.
pub(super) fn sparse_file(path: &Path, places: &[u64], size: u64) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    for place in places {
        file.write_all_at(&noise(place + 1, 64 * KIB), *place).unwrap();
    }
}

/// A tree of three files of 100 KiB.
pub(super) fn three_files() -> Sandbox {
    three_files_in(Sandbox::new())
}

pub(super) fn three_files_in(sandbox: Sandbox) -> Sandbox {
    ["a", "b", "c"]
        .iter()
        .zip(1..)
        .fold(sandbox, |sandbox, (name, seed)| sandbox.file(format!("src/{name}"), &noise(seed, 100 * KIB)))
}

/// The names of what is in the copy, which is as in the source, as far as it goes.
#[track_caller]
pub(super) fn copied(sandbox: &Sandbox) -> Vec<String> {
    let names = fs::read_dir(sandbox.path("dst")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    for name in &names {
        same_entry(&sandbox.path("src").join(name), &sandbox.path("dst").join(name)).unwrap();
    }
    names
}

/// A tree of one file with three pieces of data of 64 KiB, and holes between them.
pub(super) fn three_pieces() -> Sandbox {
    let sandbox = Sandbox::new().dir("src");
    sparse_file(&sandbox.path("src/f"), &[0, MIB, 2 * MIB], 3 * MIB + 5);
    sandbox
}

/// A copy that is there, and a source whose files and directory have other attributes since: a file
/// and a directory of another owner, and programs of the same and of another owner that lend rights.
pub(super) fn to_be_corrected() -> Sandbox {
    let content = noise(1, 3 * KIB);
    let sandbox = Sandbox::new().file("src/file", &content).file("src/program", &content);
    let sandbox = sandbox.file("src/tool", &content).dir("src/dir");
    let path = |name: &str| sandbox.path("src").join(name);
    let all = ["file", "program", "tool", "dir"];
    for (name, days) in all.into_iter().zip(1..) {
        set_xattr(&path(name), "user.note", b"old");
        set_xattr(&path(name), "user.gone", b"old");
        age(&path(name), days);
    }
    set_xattr(&path("tool"), CAPABILITY, &NET_RAW);
    assert_complete(&sandbox.copy());
    for name in all {
        if name != "program" {
            chown(path(name), Some(1234), Some(2345)).unwrap();
        }
        set_xattr(&path(name), "user.note", b"new");
        set_xattr(&path(name), "user.more", b"new");
        rustix::fs::removexattr(path(name), "user.gone").unwrap();
    }
    for name in ["program", "tool"] {
        set_xattr(&path(name), CAPABILITY, &NET_RAW); // a change of owner removes it
    }
    set_xattr(&path("dir"), DEFAULT, &acl(7, (1234, 5), 5, 5, 0));
    sandbox.tick(); // what the copy does comes later, and must not look like its last correction
    sandbox
}

/// Set a modification time that no copy has by chance.
pub(super) fn age(path: &Path, days: u64) {
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_500_000_000 + days * 86_400, 123_456_789);
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(then).set_accessed(then)).unwrap();
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Everything below a directory, sorted, the directory itself first.
pub(super) fn walk(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    if fs::symlink_metadata(root).is_ok_and(|meta| meta.is_dir()) {
        let mut children: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
        children.sort();
        for child in children {
            found.extend(walk(&child));
        }
    }
    found
}

/// Whether two entries have the same type, content, mode, owner and modification time.
pub(super) fn same_entry(source: &Path, copy: &Path) -> Result<(), String> {
    let one = fs::symlink_metadata(source).unwrap();
    let other = fs::symlink_metadata(copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    let of = |meta: &fs::Metadata| {
        let content_size = if meta.is_dir() { 0 } else { meta.size() };
        (meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec(), content_size, meta.rdev())
    };
    if of(&one) != of(&other) {
        return Err(format!("{}: {:?} became {:?}", copy.display(), of(&one), of(&other)));
    }
    if one.is_symlink() && fs::read_link(source).unwrap() != fs::read_link(copy).unwrap() {
        return Err(format!("{}: another target", copy.display()));
    }
    if one.is_file() && fs::read(source).unwrap() != fs::read(copy).unwrap() {
        return Err(format!("{}: other content", copy.display()));
    }
    Ok(())
}

/// Assert that `copy` has exactly what `source` has.
#[track_caller]
pub(super) fn assert_same_tree(source: &Path, copy: &Path) {
    let below = |root: &Path| -> Vec<PathBuf> {
        walk(root).iter().map(|path| path.strip_prefix(root).unwrap().to_owned()).collect()
    };
    assert_eq!(below(source), below(copy));
    for name in below(source) {
        same_entry(&source.join(&name), &copy.join(&name)).unwrap();
    }
}

/// Assert that no unfinished file lies anywhere below.
#[track_caller]
pub(super) fn assert_no_temporaries(root: &Path) {
    let left: Vec<_> = walk(root).into_iter().filter(|path| is_temporary(path)).collect();
    assert!(left.is_empty(), "{left:?}");
}

pub(super) fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(".orbit-") && [".tmp", ".run", ".journal"].iter().any(|suffix| name.ends_with(suffix))
}

/// Assert that the copy has no more data than its source, give or take a block.
#[track_caller]
pub(super) fn assert_holes_kept(source: &Path, copy: &Path) {
    let allocated = |path: &Path| fs::metadata(path).unwrap().blocks() * 512;
    let (from, to) = (allocated(source), allocated(copy));
    assert!(to <= from + 64 * KIB, "{} has {to} bytes for {from}", copy.display());
}
