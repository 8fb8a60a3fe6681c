//! What an error means for the choice of what to do next.

use std::io::{Error, ErrorKind};

use windows_sys::Win32::Foundation::{
    ERROR_INVALID_FUNCTION, ERROR_IO_DEVICE, ERROR_LOCK_VIOLATION, ERROR_NETNAME_DELETED, ERROR_NETWORK_BUSY,
    ERROR_SEM_TIMEOUT, ERROR_SHARING_VIOLATION, ERROR_UNEXP_NET_ERR,
};

use crate::platform::Verdict;

fn is_code(error: &Error, codes: &[u32]) -> bool {
    error.raw_os_error().is_some_and(|code| codes.contains(&code.cast_unsigned()))
}

/// What a failed `CopyFileExW` means for the file and its filesystems.
pub(crate) fn verdict_on_copy(error: &Error) -> Verdict {
    match error.kind() {
        ErrorKind::Interrupted => Verdict::Again,
        ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::OutOfMemory => Verdict::Fatal,
        ErrorKind::Unsupported => Verdict::NeverHere,
        _ => Verdict::NotThisFile,
    }
}

/// What a failed reflink means for the file and its filesystems.
pub(crate) fn verdict_on_clone(error: &Error) -> Verdict {
    verdict_on_copy(error)
}

/// Whether an open found something else than the regular file or directory that was listed.
pub(crate) fn is_other_kind(error: &Error) -> bool {
    error.kind() == ErrorKind::NotADirectory
}

/// Whether another process's use of a file is what keeps us from it.
pub(crate) fn is_in_use(error: &Error) -> bool {
    is_code(error, &[ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION])
}

/// What the system says to someone who lacks a privilege.
pub(crate) fn not_permitted() -> Error {
    ErrorKind::PermissionDenied.into()
}

/// Whether a property cannot be kept for want of privilege or of support by the destination.
pub(crate) fn is_not_kept(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::InvalidInput)
}

/// Whether a filesystem has no extended attributes at all.
pub(crate) fn lacks_xattrs(error: &Error) -> bool {
    error.kind() == ErrorKind::Unsupported
}

/// Whether an extended attribute is not there.
pub(crate) fn is_no_xattr(_: &Error) -> bool {
    false
}

/// Whether a directory serves for naming alone; every directory is a path here.
pub(crate) fn is_for_naming_only(_: &Error) -> bool {
    false
}

/// Whether a second name cannot be made for a file that a second copy can stand in for.
pub(crate) fn is_no_more_links(error: &Error) -> bool {
    // FAT has no hard links, and says that it does not know the function.
    is_code(error, &[ERROR_INVALID_FUNCTION])
        || matches!(
            error.kind(),
            ErrorKind::TooManyLinks
                | ErrorKind::PermissionDenied
                | ErrorKind::CrossesDevices
                | ErrorKind::Unsupported
                | ErrorKind::NotFound
        )
}

/// Whether a file without a name cannot be had here.
pub(crate) fn lacks_unnamed_files(error: &Error) -> bool {
    error.kind() == ErrorKind::Unsupported
}

/// Whether the process has no handle left, of which it can have more than it has memory for.
pub(crate) fn is_out_of_descriptors(_: &Error) -> bool {
    false
}

/// Whether a call that failed so may succeed when it is made again later.
pub(crate) fn is_transient(error: &Error) -> bool {
    let passing = [
        ERROR_SHARING_VIOLATION,
        ERROR_LOCK_VIOLATION,
        ERROR_NETWORK_BUSY,
        ERROR_UNEXP_NET_ERR,
        ERROR_NETNAME_DELETED,
        ERROR_SEM_TIMEOUT,
        ERROR_IO_DEVICE,
    ];
    is_code(error, &passing)
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::Foundation::{
        ERROR_ACCESS_DENIED, ERROR_DISK_FULL, ERROR_TOO_MANY_LINKS, ERROR_WRITE_PROTECT,
    };

    use super::*;

    fn of(code: u32) -> Error {
        Error::from_raw_os_error(code.cast_signed())
    }

    #[test]
    fn codes_of_windows_decide_as_the_errnos_of_unix() {
        assert_eq!(verdict_on_copy(&of(ERROR_DISK_FULL)), Verdict::Fatal);
        assert_eq!(verdict_on_copy(&of(ERROR_WRITE_PROTECT)), Verdict::Fatal);
        assert_eq!(verdict_on_copy(&of(ERROR_SHARING_VIOLATION)), Verdict::NotThisFile);
        assert_eq!(verdict_on_copy(&ErrorKind::Unsupported.into()), Verdict::NeverHere);
        assert!(is_no_more_links(&of(ERROR_TOO_MANY_LINKS)));
        assert!(is_no_more_links(&of(ERROR_INVALID_FUNCTION)));
        assert!(is_not_kept(&of(ERROR_ACCESS_DENIED)));
        assert!(is_in_use(&of(ERROR_SHARING_VIOLATION)));
    }
}
