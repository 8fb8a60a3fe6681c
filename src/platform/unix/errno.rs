//! What an error number means for the choice of what to do next.

use std::io;

use nix::Error as Errno;

use crate::platform::Verdict;

fn errno(error: &io::Error) -> Errno {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOTSUP) => Errno::EOPNOTSUPP, // two numbers on macOS
        Some(errno) => errno,
        None => match error.kind() {
            io::ErrorKind::Unsupported => Errno::EOPNOTSUPP,
            io::ErrorKind::NotFound => Errno::ENOENT,
            _ => Errno::UnknownErrno,
        },
    }
}

/// What a failed `copy_file_range`, `sendfile` or `splice` means for the file and its filesystems.
pub(crate) fn verdict_on_copy(error: &io::Error) -> Verdict {
    match errno(error) {
        Errno::EINTR => Verdict::Again,
        Errno::ENOSPC | Errno::EDQUOT | Errno::EROFS | Errno::ENOMEM => Verdict::Fatal,
        Errno::ENOSYS | Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::EXDEV => Verdict::NeverHere,
        _ => Verdict::NotThisFile,
    }
}

/// What a failed reflink means for the file and its filesystems.
pub(crate) fn verdict_on_clone(error: &io::Error) -> Verdict {
    match errno(error) {
        Errno::EINTR => Verdict::Again,
        Errno::EIO | Errno::ENOMEM | Errno::ENOSPC | Errno::EDQUOT => Verdict::Fatal,
        Errno::ENOSYS | Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::EXDEV => Verdict::NeverHere,
        _ => Verdict::NotThisFile,
    }
}

/// Whether an open found something else than the regular file or directory that was listed.
pub(crate) fn is_other_kind(error: &io::Error) -> bool {
    matches!(errno(error), Errno::ELOOP | Errno::EMLINK | Errno::ENXIO | Errno::ENOTDIR | Errno::ENODEV)
}

/// Whether another process's use of a file is what keeps us from it; nothing does here.
pub(crate) fn is_in_use(_: &io::Error) -> bool {
    false
}

/// What the system says to someone who lacks a privilege.
pub(crate) fn not_permitted() -> io::Error {
    Errno::EPERM.into()
}

/// Whether a property cannot be kept for want of privilege or of support by the destination.
pub(crate) fn is_not_kept(error: &io::Error) -> bool {
    matches!(
        errno(error),
        Errno::EPERM | Errno::EACCES | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL | Errno::ENOTTY
    )
}

/// Whether a filesystem has no extended attributes at all.
pub(crate) fn lacks_xattrs(error: &io::Error) -> bool {
    // Not where this process has no way to ask: without /proc for a link, or where the call is missing.
    error.raw_os_error().is_some() && errno(error) == Errno::EOPNOTSUPP
}

/// Whether an extended attribute is not there.
pub(crate) fn is_no_xattr(error: &io::Error) -> bool {
    #[cfg(target_vendor = "apple")]
    let absent = Errno::ENOATTR;
    #[cfg(not(target_vendor = "apple"))]
    let absent = Errno::ENODATA;
    errno(error) == absent
}

/// Whether a descriptor serves for naming alone, so that its entry has to be asked by name.
pub(crate) fn is_for_naming_only(error: &io::Error) -> bool {
    errno(error) == Errno::EBADF
}

/// Whether a second name cannot be made for a file that a second copy can stand in for.
pub(crate) fn is_no_more_links(error: &io::Error) -> bool {
    matches!(
        errno(error),
        Errno::EMLINK
            | Errno::EPERM
            | Errno::EACCES
            | Errno::EXDEV
            | Errno::EOPNOTSUPP
            | Errno::ENOSYS
            | Errno::ENOENT
    )
}

/// Whether a file without a name cannot be had here (open(2), `O_TMPFILE`).
pub(crate) fn lacks_unnamed_files(error: &io::Error) -> bool {
    matches!(
        errno(error),
        Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT | Errno::EINVAL | Errno::ENOSYS | Errno::EPERM
    )
}

/// Whether the process, or the system, has no descriptor left, which others may give back.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(errno(error), Errno::EMFILE | Errno::ENFILE)
}

/// Whether a call that failed so may succeed when it is made again later.
pub(crate) fn is_transient(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    let is_of_this_system = matches!(errno(error), Errno::EREMOTEIO | Errno::ENOLINK | Errno::ECOMM);
    #[cfg(not(target_os = "linux"))]
    let is_of_this_system = false;
    is_of_this_system
        || matches!(
            errno(error),
            Errno::EIO
                | Errno::ESTALE
                | Errno::ETIMEDOUT
                | Errno::EAGAIN
                | Errno::ENOMEM
                | Errno::EBUSY
                | Errno::ENETDOWN
                | Errno::ENETUNREACH
                | Errno::ENETRESET
                | Errno::EHOSTDOWN
                | Errno::EHOSTUNREACH
                | Errno::ECONNRESET
                | Errno::ECONNABORTED
                | Errno::ENOTCONN
                | Errno::ENOBUFS
                | Errno::ENFILE
                | Errno::EMFILE
                | Errno::EDEADLK
                | Errno::ENOLCK
        )
}
