//! Where the trees lie: a fresh filesystem of known make, or a directory.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::statfs::{TMPFS_MAGIC, statfs},
};
use serde::Serialize;
use tempfile::TempDir;

use crate::corpus::Extent;

/// A filesystem to make for the trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Filesystem {
    /// With a journal. ext4 without one looks through recently deleted inodes whenever a file is
    /// created: the same copy took 5 s, then 47 s.
    Ext4,
    /// With reflinks, as mkfs makes it.
    Xfs,
    Btrfs,
    /// None: a temporary directory.
    None,
}

impl Filesystem {
    /// What mount calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Filesystem::Ext4 => "ext4",
            Filesystem::Xfs => "xfs",
            Filesystem::Btrfs => "btrfs",
            Filesystem::None => "none",
        }
    }
}

/// Where to make what the trees lie in.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Images in this directory.
    Images(Filesystem, PathBuf),
    Directory(PathBuf),
}

/// A directory for one tree and its copies, gone at the end.
pub(crate) struct Arena {
    // In this order: unmounted before its mount point is removed.
    _mounted: Option<Mounted>,
    root: TempDir,
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// See to it that what this process mounts is seen by nobody else, and is unmounted by the kernel
/// however the process ends.
pub(crate) fn keep_mounts_private() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
}

impl Arena {
    /// A place with room for two trees of this extent.
    pub(crate) fn new(place: &Place, extent: Extent) -> Result<Arena> {
        const SPARE_INODES: u64 = 10_000; // ext4 spreads directories over groups of inodes
        const PREFIX: &str = "orbit-peers-";
        let (filesystem, images) = match place {
            Place::Directory(directory) => {
                let root = TempDir::with_prefix_in(PREFIX, directory)?;
                return Ok(Arena { _mounted: None, root });
            }
            Place::Images(filesystem, images) => (*filesystem, images),
        };
        let root = TempDir::with_prefix(PREFIX)?;
        let image = images.join(format!("{PREFIX}{}.img", std::process::id()));
        let inodes = extent.entries * 5 / 2 + SPARE_INODES;
        let mounted = mount_image(filesystem, &image, filesystem_bytes(extent), inodes, root.path());
        // The loop device holds the image from here on; without a name, it is gone with the mount.
        let _ = fs::remove_file(&image);
        Ok(Arena { _mounted: Some(mounted?), root })
    }

    /// Where the tree is to be, and where its copies: of the same name, as one copier (cpx) insists.
    pub(crate) fn source_and_copy(&self) -> io::Result<(PathBuf, PathBuf)> {
        let copies = self.root.path().join("copies");
        fs::create_dir_all(&copies)?;
        Ok((self.root.path().join("tree"), copies.join("tree")))
    }
}

/// Make a filesystem in a file, and mount it.
fn mount_image(filesystem: Filesystem, image: &Path, bytes: u64, inodes: u64, at: &Path) -> Result<Mounted> {
    let inodes = inodes.to_string();
    let (mkfs, options): (&str, &[&str]) = match filesystem {
        // All of it now: a kernel thread that writes inode tables later would be timed as well.
        Filesystem::Ext4 => (
            "mkfs.ext4",
            &["-q", "-F", "-N", &inodes, "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"],
        ),
        Filesystem::Xfs => ("mkfs.xfs", &["-q", "-f", "-K"]),
        Filesystem::Btrfs => ("mkfs.btrfs", &["-q", "-f", "-K"]),
        Filesystem::None => bail!("no filesystem to make"),
    };
    File::create_new(image)
        .and_then(|file| file.set_len(bytes))
        .with_context(|| image.display().to_string())?;
    succeed(Command::new(mkfs).args(options).arg(image))?;
    let mut attach = Command::new("losetup");
    attach.args(["--find", "--show"]);
    if !is_in_memory(image)? {
        // Else the page cache of the image's own filesystem answers what should come from the disk.
        attach.arg("--direct-io=on");
    }
    let device = succeed(attach.arg(image))?;
    let device = device.trim();
    // Else an image in memory gives back what a copy took when that is removed, and whoever copies next waits for
    // the system, or the host below it, to find other memory.
    let mounted = succeed(Command::new("mount").args(["-o", "nodiscard", device]).arg(at));
    // A device in use is let go of when its last user goes: the mount.
    let detached = succeed(Command::new("losetup").args(["--detach", device]));
    mounted?;
    let mounted = Mounted(at.to_owned());
    detached?;
    Ok(mounted)
}

fn succeed(command: &mut Command) -> Result<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/sbin:/usr/sbin"));
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| program.clone())?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Remove a copy, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    }
}

/// A journal, and what the smallest xfs takes.
pub(crate) const SLACK: u64 = 400 << 20;

pub(crate) fn scaled_bytes(extent: Extent) -> u64 {
    extent.bytes * 5 / 2
}

/// The size of a filesystem with room for a tree and its copy.
fn filesystem_bytes(extent: Extent) -> u64 {
    SLACK + scaled_bytes(extent)
}

pub(crate) fn is_in_memory(path: &Path) -> Result<bool> {
    Ok(statfs(path)?.filesystem_type() == TMPFS_MAGIC)
}
