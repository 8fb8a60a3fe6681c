//! What entries have beside their content.

use std::{
    collections::BTreeSet,
    ffi::{CStr, CString},
    io,
    sync::PoisonError,
};

use super::{Reader, What, trail::Trail};
use crate::{
    entry::{Kind, Meta},
    error::{During, Fault, Op, Sided},
    platform::{self, ACL_ALIASES, Dir, Handle},
};

impl Reader {
    pub(super) fn metadata(
        &mut self,
        trail: &Trail,
        (source, name, from): (&Dir, &CStr, &Meta),
        (copy, copy_name, to): (&Dir, &CStr, &Meta),
    ) {
        if from.mode != to.mode && from.kind != Kind::Symlink {
            self.differs(trail, name, What::Mode { source: from.mode, copy: to.mode });
        }
        if (from.uid, from.gid) != (to.uid, to.gid) {
            self.differs(trail, name, What::Owner { source: (from.uid, from.gid), copy: (to.uid, to.gid) });
        }
        if !is_same_time(from, to) {
            self.differs(trail, name, What::Time);
        }
        if from.kind != Kind::Directory && !self.is_linked_alike(from, to) {
            self.differs(trail, name, What::Links);
        }
        match differing_xattr(Handle::Entry(source, name), Handle::Entry(copy, copy_name)) {
            Ok(None) => {}
            Ok(Some(xattr)) => {
                self.differs(trail, name, What::Xattr(xattr.to_string_lossy().into_owned()));
            }
            Err(fault) => self.failed(self.failure(trail, (name, copy_name), fault)),
        }
    }

    /// Whether names that are one file in the source are one in the copy, and no others.
    fn is_linked_alike(&self, from: &Meta, to: &Meta) -> bool {
        if from.nlink == 1 && to.nlink == 1 {
            return true;
        }
        let mut links = self.shared.links.lock().unwrap_or_else(PoisonError::into_inner);
        let [there, back] = &mut *links;
        let is_alike = *there.entry(from.id).or_insert(to.id) == to.id
            && *back.entry(to.id).or_insert(from.id) == from.id;
        // Where each name has a number of its own, how many there are is all that can be compared.
        is_alike || from.nlink == to.nlink && !self.are_numbered()
    }
}

impl Reader {
    /// Whether numbers tell on both sides which names are one file.
    fn are_numbered(&self) -> bool {
        let shared = &self.shared;
        let is_numbered = |dir: &Dir| {
            let mount = shared.mounts.of(dir);
            platform::numbers_files(mount.as_ref().map(|mount| &*mount.filesystem))
        };
        let ask = || [&shared.roots().source, &shared.roots().copy].into_iter().all(is_numbered);
        *shared.are_numbered.get_or_init(ask)
    }
}

/// Whether the copy has the source's time, as closely as its clock tells it.
fn is_same_time(from: &Meta, to: &Meta) -> bool {
    use crate::entry::Granularity::{Nanos, Seconds};
    let steps = [Nanos(1), Nanos(100), Nanos(1_000), Nanos(1_000_000), Seconds(1), Seconds(2)];
    steps.into_iter().any(|step| {
        // Only a step that the copy's own time keeps can be that of its clock.
        to.modified.truncated_to(step) == to.modified && from.modified.truncated_to(step) == to.modified
    })
}

fn differing_xattr(from: Handle<'_>, to: Handle<'_>) -> Result<Option<CString>, Fault> {
    let (here, there) = (names(from).during(Op::ReadXattrs)?, names(to).during(Op::ReadXattrs).in_copy()?);
    if let Some(name) = here.symmetric_difference(&there).next() {
        return Ok(Some(name.clone()));
    }
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for name in here {
        let lengths = (
            from.xattr(&name, &mut one).during(Op::ReadXattrs)?,
            to.xattr(&name, &mut other).during(Op::ReadXattrs).in_copy()?,
        );
        if one[..lengths.0] != other[..lengths.1] {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn names(of: Handle<'_>) -> io::Result<BTreeSet<CString>> {
    let mut list = Vec::new();
    let length = match of.list_xattrs(&mut list) {
        Err(error) if platform::lacks_xattrs(&error) => 0,
        listed => listed?,
    };
    let names = list[..length].split_inclusive(|byte| *byte == 0);
    let names = names.filter_map(|name| CStr::from_bytes_with_nul(name).ok());
    // Each file has its own of these, which is none of a copy's.
    let is_kept = |name: &&CStr| {
        !ACL_ALIASES.contains(name) && *name != c"security.selinux" && *name != c"security.evm"
    };
    Ok(names.filter(is_kept).map(CStr::to_owned).collect())
}
