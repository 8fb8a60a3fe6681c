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

/// Room for what such a file says. None has a size, so that without it one is read by pieces of 32 bytes at first.
pub(super) fn room_for_said() -> String {
    String::with_capacity(4096)
}

/// What such a file says.
pub(super) fn said(path: &str) -> io::Result<String> {
    let mut text = room_for_said();
    open_said(path)?.read_to_string(&mut text)?;
    Ok(text)
}
