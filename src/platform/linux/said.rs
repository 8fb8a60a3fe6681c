//! What the kernel says in small files of /proc and /sys.

use std::{
    fs::File,
    io::{self, Read},
};

use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
};

use super::retried;

/// Open such a file.
pub(super) fn open_said(path: &str) -> io::Result<File> {
    Ok(retried(|| open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()))?.into())
}

/// What such a file says.
pub(super) fn said(path: &str) -> io::Result<String> {
    let mut text = String::new();
    open_said(path)?.read_to_string(&mut text)?;
    Ok(text)
}
