//! Windows.
//!
//! A directory is its path here, and what lies below it is named by longer paths. Names are kept as
//! the standard library encodes them, which is WTF-8.

mod data;
mod dir;
mod errors;
mod metadata;
mod sys;

use std::ffi::CStr;

pub(crate) use data::*;
pub(crate) use dir::*;
pub(crate) use errors::*;
pub(crate) use metadata::*;
pub(crate) use sys::{path_of_bytes, to_os};

use crate::method::Method;

/// Calls that move bytes inside the system, in the order in which they are tried.
pub(crate) const KERNEL_METHODS: &[Method] = &[Method::System];
/// The method by which a file can be created as a whole copy of another: `CopyFileExW`.
pub(crate) const WHOLE_COPY: Option<Method> = Some(Method::System);
/// Linux's name for an access ACL, which no file has here: Windows keeps its ACLs elsewhere.
pub(crate) const ACCESS_ACL: &CStr = c"system.posix_acl_access";
/// Linux's name for a default ACL, which no file has here.
pub(crate) const DEFAULT_ACL: &CStr = c"system.posix_acl_default";
/// Other names of ACLs, which no file has here.
pub(crate) const ACL_ALIASES: &[&CStr] = &[];
