//! Mirrors of encrypted directories whose key is gone (fscrypt).

use std::{fs, os::unix::fs::symlink, process::Output};

use crate::support::{
    Filesystem, Mount, Sandbox, orbit, stderr,
    tree::{Aspect, assert_same_but},
};

/// Lock a directory, after all that is known of it is forgotten.
fn lock(mount: &Mount, key: [u8; 16]) {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
    system::remove_key(mount.path(), key);
}

#[test]
fn a_locked_source_deletes_nothing_whatever_is_chosen_of_it() {
    let Some(mount) = Mount::new(Filesystem::Ext4Encrypted, 64) else { return };
    let source = mount.path().join("src");
    fs::create_dir(&source).unwrap();
    let Some(key) = system::add_key(mount.path()) else {
        return eprintln!("skipped: this kernel encrypts no directories");
    };
    system::encrypt(&source, key);
    let sandbox = Sandbox::new();
    fs::write(source.join("file"), b"thesis").unwrap();
    fs::create_dir(source.join("empty")).unwrap();
    symlink("file", source.join("link")).unwrap();
    let said = |options: &[&str]| -> Output {
        orbit().args(options).arg("-T").args([&source, &sandbox.path("dst")]).output().unwrap()
    };
    for is_of_files in [true, false] {
        if !is_of_files {
            fs::remove_file(source.join("file")).unwrap();
        }
        assert!(said(&["--delete"]).status.success(), "while the key is there");
        assert_same_but(&source, &sandbox.path("dst"), &[Aspect::Atime]);
        for options in [
            &["--delete"][..],
            &["--delete=before"],
            &["--delete", "--max-size=1"],
            &["--delete", "--newer-than=1h", "--existing=skip"],
            &["--delete", "--exclude=nothing", "-n"],
        ] {
            lock(&mount, key);
            assert!(!source.join("link").is_symlink(), "it is locked");
            let output = said(options);
            assert_eq!(output.status.code(), Some(1), "{options:?}: {}", stderr(&output));
            let why = "it is encrypted and its key is not there";
            assert!(stderr(&output).contains(why), "{options:?}: {}", stderr(&output));
            for (name, is_there) in [("file", is_of_files), ("empty", true), ("link", true)] {
                let there = sandbox.path("dst").join(name).symlink_metadata();
                assert_eq!(there.is_ok(), is_there, "{options:?}: {name}");
            }
            assert_eq!(system::add_key(mount.path()), Some(key));
        }
        assert!(said(&["--delete"]).status.success(), "once it is unlocked");
        assert_same_but(&source, &sandbox.path("dst"), &[Aspect::Atime]);
    }
}

/// Calls of linux/fscrypt.h.
mod system {
    #![allow(unsafe_code)]
    use std::{fs::File, path::Path};

    use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

    type Key = [u8; 16];
    /// `fscrypt_key_specifier`: of a key of a policy of version 2.
    type Specifier = [u8; 40];

    const ADD_KEY: Opcode = opcode::read_write::<[u8; 80]>(b'f', 23);
    const REMOVE_KEY: Opcode = opcode::read_write::<[u8; 64]>(b'f', 24);
    /// The kernel's number is that of the structure of version 1.
    const SET_POLICY: Opcode = opcode::read::<[u8; 12]>(b'f', 19);

    fn specifier(key: Key) -> Specifier {
        let mut specifier = [0; 40];
        specifier[0] = 2;
        specifier[8..24].copy_from_slice(&key);
        specifier
    }

    fn call<const OPCODE: Opcode, const N: usize>(
        path: &Path,
        value: &mut [u8; N],
    ) -> rustix::io::Result<()> {
        let file = File::open(path).unwrap();
        // SAFETY: the structure is as long as the kernel takes it for, and any bytes are valid in it.
        unsafe { ioctl(file, Updater::<OPCODE, _>::new(value)) }
    }

    pub fn add_key(filesystem: &Path) -> Option<Key> {
        let mut value = [0; 80 + 64];
        value[..40].copy_from_slice(&specifier(Key::default()));
        value[40] = 64; // bytes of the key, which follow
        value[80..].fill(b'k');
        call::<ADD_KEY, _>(filesystem, &mut value).ok()?;
        Some(value[8..24].try_into().unwrap())
    }

    pub fn remove_key(filesystem: &Path, key: Key) {
        let mut value = [0; 64];
        value[..40].copy_from_slice(&specifier(key));
        call::<REMOVE_KEY, _>(filesystem, &mut value).unwrap();
    }

    pub fn encrypt(dir: &Path, key: Key) {
        let mut value = [0; 24];
        value[..3].copy_from_slice(&[2, 1, 4]); // AES-256-XTS for content, AES-256-CTS for names
        value[8..].copy_from_slice(&key);
        call::<SET_POLICY, _>(dir, &mut value).unwrap();
    }
}
