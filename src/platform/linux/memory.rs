//! What of a file is in memory, and when it goes to its device.

use std::{fs, fs::File, io, os::fd::AsRawFd};

use nix::{
    errno::Errno,
    fcntl::{PosixFadviseAdvice, posix_fadvise},
    libc,
};

use super::{super::Memory, retried};

/// How much memory files may take now; nothing where `/proc` does not tell.
///
/// The kernel begins to write back from `dirty_background_bytes` on, and lets writers wait from `dirty_bytes` on, or from
/// those parts of what is available (Documentation/admin-guide/sysctl/vm.rst).
pub(crate) fn memory() -> Option<Memory> {
    let about = fs::read_to_string("/proc/meminfo").ok()?;
    let available = about.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let available = available.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.saturating_mul(1024);
    let setting = |name: &str| -> Option<u64> {
        fs::read_to_string(format!("/proc/sys/vm/{name}")).ok()?.trim().parse().ok()
    };
    let part = |bytes: &str, ratio: &str| match setting(bytes)? {
        0 => Some(available / 100 * setting(ratio)?.min(100)),
        bytes => Some(bytes),
    };
    let background = part("dirty_background_bytes", "dirty_background_ratio")?;
    let limit = part("dirty_bytes", "dirty_ratio")?;
    Some(Memory { available, background, limit })
}

/// Begin to write a range of a file to its device, without waiting for it (sync_file_range(2)).
pub(crate) fn begin_writeback(file: &File, at: u64, length: u64) -> io::Result<()> {
    sync_range(file, at, length, libc::SYNC_FILE_RANGE_WRITE)
}

/// Wait until a range of a file is on its device, but for what the filesystem notes of it (sync_file_range(2)).
pub(crate) fn await_writeback(file: &File, at: u64, length: u64) -> io::Result<()> {
    let all =
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    sync_range(file, at, length, all)
}

/// Let go of what the page cache holds of a range; what is not on its device yet stays (posix_fadvise(2)).
pub(crate) fn forget(file: &File, at: u64, length: u64) -> io::Result<()> {
    let [at, length] = [at, length].map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    Ok(posix_fadvise(file, at, length, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}

fn sync_range(file: &File, at: u64, length: u64, flags: libc::c_uint) -> io::Result<()> {
    let [at, length] = [at, length].map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    #[allow(unsafe_code, reason = "neither nix nor rustix has the call")]
    // SAFETY: the descriptor is open for as long as the borrow lasts, and no memory is handed over.
    let synced = || Errno::result(unsafe { libc::sync_file_range(file.as_raw_fd(), at, length, flags) });
    match retried(synced) {
        // No file that has a device of its own: there is nothing to wait for.
        Err(Errno::ESPIPE | Errno::ENOSYS | Errno::EINVAL) => Ok(()),
        done => Ok(done.map(drop)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_and_a_range_goes_to_its_device_and_out_of_memory() {
        let memory = memory().expect("/proc is there");
        assert!(
            0 < memory.background && memory.background < u64::MAX && memory.available > 1 << 20,
            "{memory:?}"
        );
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &[1; 1 << 20]).unwrap();
        begin_writeback(&file, 0, 1 << 19).unwrap();
        await_writeback(&file, 0, 1 << 20).unwrap();
        forget(&file, 0, 1 << 20).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1 << 20);
    }
}
