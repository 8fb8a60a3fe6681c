//! Filesystems in loop images on tmpfs, mounted for one test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{has_program, is_root, skip};

/// A filesystem to mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filesystem {
    Ext4,
    /// With reflinks.
    Xfs,
    /// Without reflinks.
    XfsPlain,
    Btrfs,
    Tmpfs,
}

/// A mounted filesystem of one test, unmounted at its end.
pub struct Mount {
    path: PathBuf,
    image: Option<PathBuf>,
}

impl Mount {
    /// Mount a fresh filesystem of this many MiB; `None`, with the reason printed, where that cannot
    /// be done.
    pub fn new(filesystem: Filesystem, mebibytes: u64) -> Option<Mount> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if !is_root() {
            skip("mounting needs root");
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let stem = format!("orbit-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(&stem);
        fs::create_dir(&path).unwrap();
        let mut mount = Mount { path, image: None };
        if filesystem == Filesystem::Tmpfs {
            let options = format!("size={mebibytes}m");
            must("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", mount.path.to_str().unwrap()]);
            return Some(mount);
        }
        let (mkfs, arguments): (&str, &[&str]) = match filesystem {
            Filesystem::Ext4 => ("mkfs.ext4", &["-q", "-F", "-i", "8192"]),
            Filesystem::Xfs => ("mkfs.xfs", &["-q", "-f"]),
            Filesystem::XfsPlain => ("mkfs.xfs", &["-q", "-f", "-m", "reflink=0"]),
            Filesystem::Btrfs => ("mkfs.btrfs", &["-q", "-f"]),
            Filesystem::Tmpfs => unreachable!("mounted above"),
        };
        if !has_program(mkfs) {
            let _ = fs::remove_dir(&mount.path);
            skip(&format!("{mkfs} is not installed"));
            return None;
        }
        let image = Path::new("/dev/shm").join(&stem);
        fs::File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
        mount.image = Some(image.clone());
        let image = image.to_str().unwrap();
        must(mkfs, &[arguments, &[image]].concat());
        must("mount", &["-o", "loop", image, mount.path.to_str().unwrap()]);
        Some(mount)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
        let _ = fs::remove_dir(&self.path);
        if let Some(image) = &self.image {
            let _ = fs::remove_file(image);
        }
    }
}

fn must(program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .env("PATH", format!("{}:/sbin:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
