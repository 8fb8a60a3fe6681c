//! What of an entry is kept beside its content.

pub(crate) mod acl;
