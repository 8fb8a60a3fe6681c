//! Filesystems in loop images on tmpfs, mounted for one test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use super::{has_program, is_root, skip};

/// A filesystem to mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filesystem {
    Ext4,
    /// ext4 made without a journal.
    Ext4Unjournaled,
    /// ext2, which never has one.
    Ext2,
    /// With reflinks.
    Xfs,
    /// Without reflinks.
    XfsPlain,
    Btrfs,
    Tmpfs,
    /// ext4 with small inodes, whose times are whole seconds.
    Ext4Coarse,
    /// ext4 with directories that may fold case (`chattr +F`).
    Ext4Folding,
    /// ext4 with directories that may be encrypted.
    Ext4Encrypted,
    /// An overlay on a tmpfs.
    Overlay,
    /// A FUSE filesystem that passes everything on to a tmpfs.
    Bindfs,
    /// exFAT through FUSE: folds case; no links, owners, modes or special files; two-second times.
    ExFat,
}

impl Filesystem {
    /// The program that makes an image of it, with its arguments.
    fn mkfs(self) -> Option<(&'static str, &'static [&'static str])> {
        Some(match self {
            Filesystem::Ext4 => ("mkfs.ext4", &["-q", "-F", "-i", "8192"]),
            Filesystem::Ext4Unjournaled => ("mkfs.ext4", &["-q", "-F", "-i", "8192", "-O", "^has_journal"]),
            Filesystem::Ext2 => ("mkfs.ext2", &["-q", "-F", "-i", "8192"]),
            Filesystem::Ext4Coarse => ("mkfs.ext4", &["-q", "-F", "-I", "128"]),
            Filesystem::Ext4Folding => ("mkfs.ext4", &["-q", "-F", "-O", "casefold"]),
            Filesystem::Ext4Encrypted => ("mkfs.ext4", &["-q", "-F", "-O", "encrypt"]),
            Filesystem::Xfs => ("mkfs.xfs", &["-q", "-f"]),
            Filesystem::XfsPlain => ("mkfs.xfs", &["-q", "-f", "-m", "reflink=0"]),
            Filesystem::Btrfs => ("mkfs.btrfs", &["-q", "-f"]),
            Filesystem::ExFat => ("mkfs.exfat", &[]),
            Filesystem::Tmpfs | Filesystem::Overlay | Filesystem::Bindfs => return None,
        })
    }

    /// The program that mounts it, where that is not `mount`.
    fn mounter(self) -> Option<&'static str> {
        match self {
            Filesystem::Bindfs => Some("bindfs"),
            Filesystem::ExFat => Some("mount.exfat-fuse"),
            _ => None,
        }
    }
}

/// A mounted filesystem of one test, unmounted at its end.
pub struct Mount {
    path: PathBuf,
    image: Option<PathBuf>,
    device: Option<String>,
    below: Option<Box<Mount>>,
}

impl Mount {
    /// Mount a fresh filesystem of this many MiB; `None`, with the reason printed, where that cannot
    /// be done.
    pub fn new(filesystem: Filesystem, mebibytes: u64) -> Option<Mount> {
        Mount::with_image_in(Path::new("/dev/shm"), filesystem, mebibytes)
    }

    /// The same, whose device is a file in this directory.
    pub fn with_image_in(images: &Path, filesystem: Filesystem, mebibytes: u64) -> Option<Mount> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if !is_root() {
            skip("mounting needs root");
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let stem = format!("orbit-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(&stem);
        fs::create_dir(&path).unwrap();
        let mut mount = Mount { path, image: None, device: None, below: None };
        let wanted = filesystem.mkfs().map(|(program, _)| program).into_iter().chain(filesystem.mounter());
        if let Some(missing) = wanted.into_iter().find(|program| !has_program(program)) {
            skip(&format!("{missing} is not installed"));
            return None;
        }
        let at = mount.path.to_str().unwrap().to_owned();
        let Some((mkfs, arguments)) = filesystem.mkfs() else {
            mount.mount_on_tmpfs(filesystem, &at, mebibytes);
            return Some(mount);
        };
        let image = images.join(&stem);
        fs::File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
        mount.image = Some(image.clone());
        let image = image.to_str().unwrap();
        must(mkfs, &[arguments, &[image]].concat());
        if let Some(mounter) = filesystem.mounter() {
            let device = must("losetup", &["--find", "--show", image]);
            mount.device = Some(device.clone());
            must(mounter, &[&device, &at]);
        } else if filesystem == Filesystem::Ext4Folding && !may("mount", &["-o", "loop", image, &at]) {
            eprintln!("skipped: this kernel folds no case");
            return None;
        } else if filesystem != Filesystem::Ext4Folding {
            must("mount", &["-o", "loop", image, &at]);
        }
        Some(mount)
    }

    fn mount_on_tmpfs(&mut self, filesystem: Filesystem, at: &str, mebibytes: u64) {
        if filesystem == Filesystem::Tmpfs {
            must("mount", &["-t", "tmpfs", "-o", &format!("size={mebibytes}m,nr_inodes=0"), "tmpfs", at]);
            return;
        }
        let below = Mount::new(Filesystem::Tmpfs, mebibytes).expect("whoever mounts this may mount a tmpfs");
        let inside = |name: &str| {
            let path = below.path().join(name);
            fs::create_dir(&path).unwrap();
            path.to_str().unwrap().to_owned()
        };
        if filesystem == Filesystem::Bindfs {
            must("bindfs", &["-o", "attr_timeout=0", &inside("behind"), at]);
        } else {
            let (lower, upper, work) = (inside("lower"), inside("upper"), inside("work"));
            let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
            must("mount", &["-t", "overlay", "-o", &options, "overlay", at]);
        }
        self.below = Some(Box::new(below));
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Mount {
    /// What a device holds that was cut off, repaired as at every boot after that, and removed in the end.
    pub fn repaired(image: &Path) -> Mount {
        let path = image.with_extension("mount");
        fs::create_dir(&path).unwrap();
        let mount = Mount { path, image: Some(image.to_owned()), device: None, below: None };
        let [image, at] = [image, &mount.path].map(|path| path.to_str().unwrap());
        // Up to 3: errors were corrected (e2fsck(8)).
        must("sh", &["-c", "e2fsck -fy \"$0\" || [ $? -lt 4 ]", image]);
        must("mount", &["-o", "loop", image, at]);
        mount
    }

    /// The device that it is on.
    pub fn device(&self) -> String {
        must("findmnt", &["-n", "-o", "SOURCE", self.path.to_str().unwrap()])
    }

    /// Cut it off as a power cut would, and mount what is left; what the journal holds in memory is
    /// written first, or is lost too. What is still open of it must be closed before.
    pub fn cut(&self, keeps_journal: bool) {
        self.shut(keeps_journal);
        self.mount_again();
    }

    /// Let nothing more come to the device (`FS_IOC_SHUTDOWN`).
    pub fn shut(&self, keeps_journal: bool) {
        let how = if keeps_journal { "shutdown -f" } else { "shutdown" };
        must("xfs_io", &["-x", "-c", how, self.path.to_str().unwrap()]);
    }

    /// Unmount it and mount it again.
    pub fn mount_again(&self) {
        let at = self.path.to_str().unwrap();
        let image = self.image.as_ref().expect("only what has an image outlives its mount");
        must("umount", &[at]);
        let image = image.to_str().unwrap();
        // A mount namespace of another test may have been made from this one, and hold the filesystem for a moment more.
        let is_gone = |_| {
            let is_gone = output("losetup", &["--associated", image]).stdout.is_empty();
            if !is_gone {
                thread::sleep(Duration::from_millis(20));
            }
            is_gone
        };
        assert!((0..1_500).any(is_gone), "somebody holds {image}");
        must("mount", &["-o", "loop", image, at]);
    }

    /// The file that holds it, if any.
    pub fn image(&self) -> Option<&Path> {
        self.image.as_deref()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = may("umount", &["-l", self.path.to_str().unwrap_or_default()]);
        let _ = fs::remove_dir(&self.path);
        if let Some(device) = &self.device {
            let _ = may("losetup", &["--detach", device]);
        }
        if let Some(image) = &self.image {
            let _ = fs::remove_file(image);
        }
    }
}

fn output(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .env("PATH", format!("{}:/sbin:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Whether a program succeeds.
fn may(program: &str, arguments: &[&str]) -> bool {
    output(program, arguments).status.success()
}

/// What a program says, which has to succeed.
pub fn must(program: &str, arguments: &[&str]) -> String {
    let output = output(program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
