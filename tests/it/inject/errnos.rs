//! The error numbers of the matrix, by what they mean for a method.

use nix::errno::Errno;

/// About the pair of filesystems: the method is asked once.
pub(super) const OF_THE_PAIR: [&str; 4] = ["ENOSYS", "EXDEV", "EOPNOTSUPP", "ENOTTY"];

/// About one file, as far as anybody can tell: for the next file the method is asked again.
pub(super) const OF_THE_FILE: [&str; 8] =
    ["EINVAL", "EPERM", "EACCES", "EBADF", "ETXTBSY", "ENOENT", "EFBIG", "EOVERFLOW"];

/// What every other kernel copy would meet as well: a failure of the file.
pub(super) const FATAL: [(&str, Errno); 4] = [
    ("ENOSPC", Errno::ENOSPC),
    ("EDQUOT", Errno::EDQUOT),
    ("EROFS", Errno::EROFS),
    ("ENOMEM", Errno::ENOMEM),
];

/// The answers after which a kernel copy is followed by the next method, as strace takes them, and
/// whether the pair remembers them. A copy of no bytes is one: procfs and others answer so.
pub(super) fn all_that_go_on() -> impl Iterator<Item = (String, bool)> {
    let of_the_pair = OF_THE_PAIR.into_iter().map(|errno| (format!("error={errno}"), true));
    let of_the_file = OF_THE_FILE.into_iter().chain(["EIO"]).map(|errno| (format!("error={errno}"), false));
    of_the_pair.chain(of_the_file).chain([("retval=0".to_owned(), false)])
}
