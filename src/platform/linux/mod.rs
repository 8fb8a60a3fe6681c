//! Linux.

mod data;
mod devices;
mod dir;
mod durable;
mod encryption;
mod filesystem;
mod memory;
mod mount;
mod mounts;
mod pinned;
mod priority;
mod privileges;
mod probe;
mod said;
mod xattr;

use nix::fcntl::OFlag;

pub(crate) use super::unix::*;
pub(crate) use data::*;
pub(crate) use devices::*;
pub(crate) use dir::*;
pub(crate) use durable::*;
pub(crate) use encryption::*;
pub(crate) use filesystem::*;
pub(crate) use memory::*;
pub(crate) use mount::*;
pub(crate) use mounts::*;
pub(crate) use pinned::*;
pub(crate) use priority::*;
pub(crate) use privileges::*;
pub(crate) use probe::*;
pub(crate) use xattr::*;

use crate::method::Method;

/// Opens without touching the access time; refused to all but owners (open(2)).
pub(crate) const O_QUIET: Option<OFlag> = Some(OFlag::O_NOATIME);
/// Opens a directory for naming what is below it.
pub(crate) const O_NAMING: OFlag = OFlag::O_PATH;
/// Calls that move bytes inside the kernel, in the order in which they are tried.
pub(crate) const KERNEL_METHODS: &[Method] = &[Method::CopyFileRange, Method::Sendfile, Method::Splice];
/// The method by which a file can be created as a whole copy of another.
pub(crate) const WHOLE_COPY: Option<Method> = None;
/// The extended attribute that holds a POSIX access ACL (acl(5)).
pub(crate) const ACCESS_ACL: &std::ffi::CStr = c"system.posix_acl_access";
/// The extended attribute that holds a directory's default ACL.
pub(crate) const DEFAULT_ACL: &std::ffi::CStr = c"system.posix_acl_default";
/// Names under which XFS shows root the ACLs a second time.
pub(crate) const ACL_ALIASES: &[&std::ffi::CStr] = &[c"trusted.SGI_ACL_FILE", c"trusted.SGI_ACL_DEFAULT"];
