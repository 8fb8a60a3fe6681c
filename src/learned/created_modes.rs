//! Which modes a file can be created with.

use std::sync::atomic::{AtomicU64, Ordering};

/// What becomes of the modes that files are created with: the umask and the filesystem have a say.
///
/// Learned from one file for each mode, so that the others need not be asked.
#[derive(Debug, Default)]
pub(crate) struct CreatedModes {
    kept: Bits,
    changed: Bits,
}

/// A bit for each of the modes up to 0777.
type Bits = [AtomicU64; 8];

impl CreatedModes {
    /// Whether a file created with `mode` has it, where one has been seen.
    pub(crate) fn keeps(&self, mode: u32) -> Option<bool> {
        let is_in = |bits: &Bits| bits[word(mode)].load(Ordering::Relaxed) & bit(mode) != 0;
        // A mode that both have been seen of is no more to be trusted: the umask was changed.
        if is_in(&self.changed) {
            return Some(false);
        }
        is_in(&self.kept).then_some(true)
    }

    /// Learn from a file that was created with `mode` and then had the mode `got`.
    pub(crate) fn learn(&self, mode: u32, got: u32) {
        let bits = if mode == got { &self.kept } else { &self.changed };
        bits[word(mode)].fetch_or(bit(mode), Ordering::Relaxed);
    }
}

fn word(mode: u32) -> usize {
    (mode as usize & 0o777) / 64
}

fn bit(mode: u32) -> u64 {
    1 << (mode % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_is_learned_apart() {
        let modes = CreatedModes::default();
        modes.learn(0o644, 0o644);
        modes.learn(0o666, 0o644);
        let known = [0o644, 0o666, 0o600, 0o777, 0].map(|mode| modes.keeps(mode));
        assert_eq!(known, [Some(true), Some(false), None, None, None]);
        modes.learn(0o644, 0o600);
        assert_eq!(modes.keeps(0o644), Some(false));
    }
}
