//! Which properties of the source the copy keeps.

bitflags::bitflags! {
    /// Properties of an entry that a copy can keep.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Attributes: u16 {
        /// Permission bits, setuid, setgid and sticky included.
        const MODE = 1 << 0;
        /// Owner and group.
        const OWNERSHIP = 1 << 1;
        /// Access and modification times, to the nanosecond.
        const TIMESTAMPS = 1 << 2;
        /// Extended attributes, other than POSIX ACLs.
        const XATTR = 1 << 3;
        /// POSIX access and default ACLs.
        const ACL = 1 << 4;
        /// Hard links within what is copied.
        const LINKS = 1 << 5;
        /// Holes in sparse files.
        const SPARSE = 1 << 6;
        /// FIFOs, sockets and device nodes; without it they are skipped and counted.
        const SPECIAL = 1 << 7;
    }
}

/// What a copy keeps; by default everything, as far as privilege and destination allow.
///
/// What was only implied by the default and cannot be kept (an owner, when not root) is a
/// [`Warning`](crate::Warning) of every run that leaves a copy so; what was named with
/// [`Preserve::exactly`] is a failure. An entry that cannot be created, such as a device, is a failure always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preserve {
    kept: Attributes,
    required: Attributes,
}

impl Default for Preserve {
    fn default() -> Self {
        Preserve { kept: Attributes::all(), required: Attributes::empty() }
    }
}

impl Preserve {
    /// Keep exactly these, and fail an entry whose named attribute cannot be kept.
    #[must_use]
    pub fn exactly(attributes: Attributes) -> Self {
        Preserve { kept: attributes, required: attributes }
    }

    /// Keep everything, and fail an entry that cannot keep one of `attributes`.
    #[must_use]
    pub fn all_requiring(attributes: Attributes) -> Self {
        Preserve { kept: Attributes::all(), required: attributes }
    }

    /// The same without `attributes`.
    #[must_use]
    pub fn without(self, attributes: Attributes) -> Self {
        Preserve { kept: self.kept - attributes, required: self.required - attributes }
    }

    /// Whether every one of `attributes` is kept.
    #[must_use]
    pub fn keeps(&self, attributes: Attributes) -> bool {
        self.kept.contains(attributes)
    }

    /// Whether failing to keep `attribute` fails the entry.
    #[must_use]
    pub fn requires(&self, attribute: Attributes) -> bool {
        self.required.contains(attribute)
    }
}
