//! Files with several names: copied once, linked for every further name.

use std::{
    collections::HashMap,
    ffi::CStr,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::dir_node::{DirNode, Dirs};
use crate::{
    entry::{FileId, Granularity, Meta},
    platform::Dir,
    tree::DirPath,
};

/// The groups of names that share an inode, from the first name seen until the last.
#[derive(Debug)]
pub(crate) struct LinkGroups {
    shards: [Mutex<HashMap<FileId, Group>>; SHARDS],
    /// Whether a name may be met twice, so that counting them says nothing of the last.
    repeats: bool,
}

const SHARDS: usize = 32;

#[derive(Debug)]
struct Group {
    /// Names not done with yet, as far as the source's link count tells.
    left: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// A worker copies the first name; names that came meanwhile wait here, blocking nobody.
    Copying(Vec<WaitingName>),
    /// The copy is finished.
    Copied(LinkTarget),
}

/// A name that waits for the first of its group; its directory counts it as unfinished.
#[derive(Debug)]
pub(crate) struct WaitingName {
    pub(crate) node: Arc<DirNode>,
    pub(crate) name: Box<CStr>,
}

/// The copy that further names are linked to.
#[derive(Clone, Debug)]
pub(crate) struct LinkTarget {
    pub(crate) place: Arc<DirPath>,
    /// The source's name, which is the copy's but for a root.
    pub(crate) name: Box<CStr>,
    pub(crate) id: FileId,
}

/// The directory of the copy that was last linked from, kept open for the next.
#[derive(Debug, Default)]
pub(crate) struct LinkCache(Option<(Arc<DirPath>, Dir)>);

impl LinkCache {
    /// The open directory that holds `target`, seen from the directory `node` of the copy.
    pub(crate) fn directory<'a>(
        &'a mut self,
        node: &DirNode,
        dirs: &'a Dirs,
        target: &LinkTarget,
    ) -> io::Result<&'a Dir> {
        if Arc::ptr_eq(&node.place, &target.place) {
            return Ok(&dirs.target);
        }
        if !self.0.as_ref().is_some_and(|(place, _)| Arc::ptr_eq(place, &target.place)) {
            self.0 = Some((target.place.clone(), target.place.open_target()?));
        }
        Ok(&self.0.as_ref().expect("it was filled a line above").1)
    }
}

/// What to do with a name of a group.
#[derive(Debug)]
pub(crate) enum Claim {
    /// Copy it, then settle or fail the group.
    Copy,
    /// It waits; whoever copies the first name will see to it.
    Waits,
    /// Link it to this.
    Link(LinkTarget),
}

impl LinkGroups {
    /// No groups yet; `repeats` where one name may be met twice, as with sources that overlap.
    pub(crate) fn new(repeats: bool) -> LinkGroups {
        LinkGroups { shards: Default::default(), repeats }
    }

    fn shard(&self, id: FileId) -> MutexGuard<'_, HashMap<FileId, Group>> {
        let index = (id.ino ^ (id.ino >> 17)) as usize % SHARDS;
        // A panic never happens between two changes of a group.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claim a name of the source inode `id`, which has `nlink` names.
    ///
    /// A name that is linked, or will not be, is to be [`finished`](Self::finished).
    pub(crate) fn claim(&self, id: FileId, nlink: u64, node: &Arc<DirNode>, name: &CStr) -> Claim {
        let mut shard = self.shard(id);
        let Some(group) = shard.get_mut(&id) else {
            let left = if self.repeats { u64::MAX } else { nlink };
            shard.insert(id, Group { left, state: State::Copying(Vec::new()) });
            return Claim::Copy;
        };
        match &mut group.state {
            State::Copying(parked) => {
                parked.push(WaitingName { node: node.add_pending(), name: name.into() });
                Claim::Waits
            }
            State::Copied(target) => Claim::Link(target.clone()),
        }
    }

    /// The first name is copied: the names to link to it now.
    pub(crate) fn settle(&self, id: FileId, target: LinkTarget) -> Vec<WaitingName> {
        let mut shard = self.shard(id);
        let Some(group) = shard.get_mut(&id) else { return Vec::new() };
        let parked = match std::mem::replace(&mut group.state, State::Copied(target)) {
            State::Copying(parked) => parked,
            State::Copied(_) => Vec::new(),
        };
        Self::count(&mut shard, id);
        parked
    }

    /// A name that was claimed needs its group no more: it is linked, or failed.
    pub(crate) fn finished(&self, id: FileId) {
        Self::count(&mut self.shard(id), id);
    }

    /// Count a name as done with; the last one ends its group.
    fn count(shard: &mut HashMap<FileId, Group>, id: FileId) {
        let Some(group) = shard.get_mut(&id) else { return };
        group.left = group.left.saturating_sub(1);
        // Whoever copies for a group, or waits for it, still has to find it.
        if group.left == 0 && matches!(group.state, State::Copied(_)) {
            shard.remove(&id);
        }
    }

    /// The first name could not be copied: the name that takes over, if one waits. Whether the first
    /// `comes_again` itself matters to who counts names.
    pub(crate) fn fail(&self, id: FileId, comes_again: bool) -> Option<WaitingName> {
        let mut shard = self.shard(id);
        let group = shard.get_mut(&id)?;
        group.left = group.left.saturating_sub(u64::from(!comes_again));
        let State::Copying(parked) = &mut group.state else { return None };
        let next = parked.pop();
        if next.is_none() {
            shard.remove(&id);
        }
        next
    }

    /// How many names wait for the first of the group `id`.
    #[cfg(test)]
    pub(crate) fn waiting(&self, id: FileId) -> usize {
        match self.shard(id).get(&id) {
            Some(Group { state: State::Copying(parked), .. }) => parked.len(),
            _ => 0,
        }
    }

    /// The copy `full` takes no more names: begin a second copy, unless another worker has.
    pub(crate) fn renew(&self, id: FileId, full: FileId, node: &Arc<DirNode>, name: &CStr) -> Claim {
        let mut shard = self.shard(id);
        let Some(group) = shard.get_mut(&id) else {
            // It had more names than its link count said: names came while they were copied.
            shard.insert(id, Group { left: 1, state: State::Copying(Vec::new()) });
            return Claim::Copy;
        };
        match &mut group.state {
            State::Copied(target) if target.id == full => {
                group.state = State::Copying(Vec::new());
                Claim::Copy
            }
            State::Copied(target) => Claim::Link(target.clone()),
            State::Copying(parked) => {
                parked.push(WaitingName { node: node.add_pending(), name: name.into() });
                Claim::Waits
            }
        }
    }
}

/// Whether what is found under the name of a copy can still be that copy, where numbers do not tell.
pub(crate) fn looks_like_copy(source: &Meta, there: &Meta) -> bool {
    let [one, other] = [source, there].map(|meta| meta.modified.truncated_to(Granularity::Seconds(1)));
    source.kind == there.kind && source.size == there.size && one == other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_lasts_until_its_last_name_is_done_with() {
        let id = FileId { dev: 1, ino: 2 };
        let groups = LinkGroups::new(false);
        groups.shard(id).insert(id, Group { left: 3, state: State::Copying(Vec::new()) });
        let place = Arc::new(DirPath::nowhere());
        assert!(groups.settle(id, LinkTarget { place, name: c"first".into(), id }).is_empty());
        groups.finished(id);
        assert!(groups.shard(id).contains_key(&id), "one name may still find its target full");
        groups.finished(id);
        assert!(!groups.shard(id).contains_key(&id));
    }
}
