//! When the kernel begins to write back what was written to memory.

use std::fs;

use anyhow::{Context, Result};

const BACKGROUND: &str = "dirty_background_bytes";
/// How much may be written to memory with `--writeback` before the kernel writes it back, in bytes: so little that it
/// does so under every tree of large files, as it does with the usual limits under larger ones.
const EARLY: u64 = 256 << 20;

/// The kernel writes back early for as long as this lives.
#[derive(Debug)]
pub(crate) struct EarlyWriteback {
    /// What to write where in the end.
    before: (&'static str, String),
}

impl EarlyWriteback {
    pub(crate) fn begin() -> Result<EarlyWriteback> {
        // Of these two settings the one that is not 0 holds; writing one makes the other 0.
        let bytes = setting(BACKGROUND)?;
        let ratio = "dirty_background_ratio";
        let before = if bytes == "0" { (ratio, setting(ratio)?) } else { (BACKGROUND, bytes) };
        set(BACKGROUND, &EARLY.to_string())?;
        Ok(EarlyWriteback { before })
    }
}

impl Drop for EarlyWriteback {
    fn drop(&mut self) {
        let (name, value) = &self.before;
        if let Err(error) = set(name, value) {
            eprintln!("peers: {error:#}; set vm.{name} to {value} yourself");
        }
    }
}

fn path(name: &str) -> String {
    format!("/proc/sys/vm/{name}")
}

fn setting(name: &str) -> Result<String> {
    Ok(fs::read_to_string(path(name)).with_context(|| path(name))?.trim().to_owned())
}

fn set(name: &str, value: &str) -> Result<()> {
    fs::write(path(name), value).with_context(|| format!("{} (as root)", path(name)))
}
