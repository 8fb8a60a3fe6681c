//! A look whether there is any extended attribute, by a name relative to a directory.

#![allow(unsafe_code)]

use std::{
    ffi::CStr,
    os::fd::{AsFd, AsRawFd},
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};

use nix::libc;

use super::Dir;

/// The number of `listxattrat(2)`, the same on all of these; no C library has a function for it yet.
#[cfg(any(
    all(target_arch = "x86_64", target_pointer_width = "64"),
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
const LISTXATTRAT: Option<libc::c_long> = Some(465);
#[cfg(not(any(
    all(target_arch = "x86_64", target_pointer_width = "64"),
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
const LISTXATTRAT: Option<libc::c_long> = None;

/// Whether an entry certainly has no extended attributes; `false` as well where only another call can
/// tell.
///
/// The usual calls take paths, and one through `/proc` costs five times as much as this.
pub(crate) fn surely_lacks_xattrs(dir: &Dir, name: &CStr) -> bool {
    static IS_MISSING: AtomicBool = AtomicBool::new(false); // before Linux 6.13, or forbidden
    let Some(number) = LISTXATTRAT.filter(|_| !IS_MISSING.load(Ordering::Relaxed)) else { return false };
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: the name is a C string that outlives the call, and no list is asked for, only its length.
    let length = unsafe {
        let no_list = ptr::null_mut::<libc::c_char>();
        libc::syscall(number, dir, name.as_ptr(), libc::AT_SYMLINK_NOFOLLOW, no_list, 0_usize)
    };
    if length < 0 && matches!(nix::Error::last(), nix::Error::ENOSYS | nix::Error::EPERM) {
        IS_MISSING.store(true, Ordering::Relaxed);
    }
    length == 0
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::platform::Handle;

    #[test]
    fn only_what_has_no_attributes_surely_lacks_them() {
        let place = tempfile::tempdir().unwrap();
        for name in ["without", "with"] {
            fs::write(place.path().join(name), b"x").unwrap();
        }
        symlink("with", place.path().join("link")).unwrap();
        let dir = Dir::open(place.path()).unwrap();
        if Handle::Entry(&dir, c"with").set_xattr(c"user.note", b"x").is_err() {
            return eprintln!("skipped: this filesystem has no extended attributes");
        }
        let lacks = |name: &CStr| surely_lacks_xattrs(&dir, name);
        assert!(!lacks(c"with") && !lacks(c"missing"));
        // A kernel that lacks the call can say it of none.
        assert_eq!(lacks(c"without"), lacks(c"link"));
    }
}
