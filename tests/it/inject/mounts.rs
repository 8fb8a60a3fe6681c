//! Mounts of odd kinds, beside the plain filesystems of the test support.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::support::{has_program, is_root, skip};

/// A mount of one test, unmounted at its end.
pub(super) struct Attached {
    path: TempDir,
}

impl Attached {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.path().join(name)
    }

    fn by(program: &str, arguments: &[&str]) -> Option<Attached> {
        if !is_root() || !has_program(program) {
            skip(&format!("mounting needs root and {program}"));
            return None;
        }
        let path = TempDir::new().unwrap();
        run(Command::new(program).args(arguments).arg(path.path()));
        Some(Attached { path })
    }

    /// An overlay with the directories `lower`, `upper` and `work` of `dir`.
    pub(super) fn overlay(dir: &Path) -> Option<Attached> {
        let part = |name: &str| {
            std::fs::create_dir_all(dir.join(name)).unwrap();
            dir.join(name).display().to_string()
        };
        let (lower, upper, work) = (part("lower"), part("upper"), part("work"));
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        Attached::by("mount", &["-t", "overlay", "-o", &options, "overlay"])
    }

    /// A FUSE filesystem that shows `dir`.
    pub(super) fn fuse(dir: &Path) -> Option<Attached> {
        if !Path::new("/dev/fuse").exists() {
            skip("there is no /dev/fuse");
            return None;
        }
        Attached::by("bindfs", &[dir.to_str().unwrap()])
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(self.path.path()));
    }
}

/// Make the directory `limited` on a mounted btrfs, which takes two MiB.
pub(super) fn limited_directory(mount: &Path) -> PathBuf {
    let limited = mount.join("limited");
    run(Command::new("btrfs").args(["quota", "enable"]).arg(mount));
    run(Command::new("btrfs").args(["subvolume", "create"]).arg(&limited));
    run(Command::new("btrfs").args(["qgroup", "limit", "2M"]).arg(&limited));
    limited
}

/// Let nothing be written to a mounted filesystem any more.
pub(super) fn make_read_only(mount: &Path) {
    run(Command::new("mount").args(["-o", "remount,ro"]).arg(mount));
}

#[track_caller]
fn run(command: &mut Command) {
    let path = format!("{}:/sbin:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let output = command.env("PATH", path).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
