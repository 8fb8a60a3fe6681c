//! Ways of moving bytes that need more than a call: today the probe of `io_uring`.

#[cfg(all(target_os = "linux", feature = "uring"))]
mod uring;

/// Whether a ring can be had in this process, and if not, why.
#[cfg(all(target_os = "linux", feature = "uring"))]
pub(crate) fn try_ring() -> Result<(), String> {
    uring::try_ring()
}

/// Whether a ring can be had in this process, and if not, why.
#[cfg(not(all(target_os = "linux", feature = "uring")))]
pub(crate) fn try_ring() -> Result<(), String> {
    Err(if cfg!(target_os = "linux") {
        "this program was built without it".to_owned()
    } else {
        "only Linux has it".to_owned()
    })
}
