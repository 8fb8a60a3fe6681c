//! What was replaced, kept until its successor's name is durable.
//!
//! A filesystem without a journal writes a directory, and the inodes that it names, in any order. After a rename
//! over a file, a power cut can leave a name with an inode that is gone already, or that another file has by now.
//! So what was replaced has a name of ours until the directory is on the device: then both are whole, whichever
//! of them the name stands for after the cut.

use std::{
    collections::{HashMap, HashSet},
    ffi::{CStr, CString},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::Durability;
use crate::{
    entry::{FileId, Kind},
    error::{During, Op, Sided},
    learned::Pair,
    options::Fsync,
    outcomes::Teller,
    platform::{self, Dir, Order},
    report::WarningKind,
    tree::{DirNode, Dirs, EntryRef, Kept, staged},
};

/// Fewer directories are made durable one by one, without what else their filesystem has to write.
const FEW: usize = 4;

/// Something that was replaced, and the directory that has it.
#[derive(Debug)]
pub(crate) struct OldName {
    pub(crate) node: Arc<DirNode>,
    pub(crate) name: CString,
}

/// What runs that died have left under names of ours where one of them may be what was replaced, which a later
/// cut may have made the only one: by directory.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    is_any: AtomicBool,
    names: Mutex<HashMap<FileId, Vec<CString>>>,
}

impl Leftovers {
    /// Leave a name alone until all of its directory is copied.
    pub(crate) fn add(&self, dir: FileId, name: &CStr) {
        self.lock().entry(dir).or_default().push(name.to_owned());
        self.is_any.store(true, Ordering::Relaxed);
    }

    fn take(&self, dir: FileId) -> Vec<CString> {
        if self.is_any.load(Ordering::Relaxed) {
            self.lock().remove(&dir).unwrap_or_default()
        } else {
            Vec::new()
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FileId, Vec<CString>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a crash leaves of the order of changes in directories of the copy on the device `dev`.
pub(crate) fn order(pair: &Pair, dev: u64) -> Order {
    *pair.order.get_or_init(|| platform::order(pair.names[1].as_deref(), dev))
}

impl Durability {
    /// Whether what is replaced in a directory of the copy has to be kept.
    pub(crate) fn keeps_old(&self, pair: &Pair, dev: u64) -> bool {
        self.setting.job.fsync != Fsync::None && order(pair, dev) == Order::Lost
    }

    /// Rename within a directory of the copy, over what is called `to`.
    pub(crate) fn rename_over(&self, node: &DirNode, dir: &Dir, from: &CStr, to: &CStr) -> io::Result<Kept> {
        if !self.keeps_old(&node.pair, node.target.id.dev) {
            return dir.rename(from, to).map(|()| Kept::Nothing);
        }
        // No name more in a directory than there was.
        match dir.exchange(from, to) {
            Ok(true) => return Ok(Kept::Under(from.to_owned())),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // somebody has removed it
            Err(error) => return Err(error),
        }
        let name = self.setting.temporaries.next();
        let kept = match dir.link_from(dir, to, &name) {
            Ok(()) => Kept::Under(name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::Nothing,
            Err(error) => Kept::Not(error),
        };
        match (dir.rename(from, to), kept) {
            (Ok(()), kept) => Ok(kept),
            (Err(error), Kept::Under(name)) => {
                let _ = dir.remove(&name); // a further name; what goes wrong with it is swept later
                Err(error)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// What an entry has replaced, where that was kept; where it could not be, a warning says so.
    pub(crate) fn old(
        &self,
        teller: &mut Teller,
        at: EntryRef<'_>,
        kind: Kind,
        kept: Kept,
    ) -> Option<OldName> {
        let EntryRef { node, name, .. } = at;
        match kept {
            Kept::Nothing => None,
            Kept::Under(name) => Some(OldName { node: node.add_pending(), name }),
            Kept::Not(error) => {
                let filesystem = node.pair.names[1].as_deref().unwrap_or_default();
                let why = format!(
                    "{filesystem} has no journal, and the old one could not be kept beside the new one ({error}); \
                     take away the power, or the device, only after a run with --fsync=end has ended"
                );
                teller.warn(WarningKind::Order, node, name, kind, &why);
                None
            }
        }
    }

    /// Make the names durable that others have now, and remove what these stood for.
    pub(crate) fn let_go_of_all(&self, teller: &mut Teller, olds: &[OldName]) {
        let mut durable = are_names_durable(olds);
        for OldName { node, name } in olds {
            let removed = node.dirs().and_then(|dirs| {
                if !durable.contains(&node.target.id) {
                    dirs.target.sync().during(Op::Sync).in_copy()?;
                    durable.insert(node.target.id);
                }
                remove_old(&dirs, name).during(Op::Remove).in_copy()
            });
            if let Err(fault) = removed {
                let path = || node.place.path_in_copy(name);
                teller.warn_of(
                    WarningKind::Leftover,
                    path,
                    &format!("what was replaced stays: {}", fault.cause),
                );
            }
        }
    }

    /// All that a directory of the copy holds is done: remove what runs that died have left there, unless
    /// anything failed, whose only copy that may be.
    pub(crate) fn sweep_late(&self, teller: &mut Teller, node: &DirNode, dirs: &Dirs) {
        let names = self.leftovers.take(node.target.id);
        if names.is_empty() || teller.has_failed() {
            return;
        }
        let mut tell = |name: &CStr, swept: io::Result<()>| {
            if let Err(error) = swept {
                teller.warn_of(WarningKind::Leftover, || node.place.path_in_copy(name), &error.to_string());
            }
        };
        match dirs.target.sync() {
            Ok(()) => names.iter().for_each(|name| tell(name, staged::sweep(&dirs.target, name))),
            Err(error) => tell(&names[0], Err(error)),
        }
    }
}

fn remove_old(dirs: &Dirs, name: &CStr) -> io::Result<()> {
    match dirs.target.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Make filesystems durable where that is less than each of the directories; which of these are.
fn are_names_durable(olds: &[OldName]) -> HashSet<FileId> {
    let dirs: HashSet<FileId> = olds.iter().map(|old| old.node.target.id).collect();
    if dirs.len() <= FEW {
        return HashSet::new();
    }
    let mut synced = HashMap::new();
    for OldName { node, .. } in olds {
        synced
            .entry(node.target.id.dev)
            .or_insert_with(|| node.dirs().is_ok_and(|dirs| platform::sync_filesystem(&dirs.target).is_ok()));
    }
    dirs.into_iter().filter(|dir| synced[&dir.dev]).collect()
}
