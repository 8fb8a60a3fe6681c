//! Directories: enter, list, finish.

use std::{
    ffi::CStr,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use super::entry::Handled;
use crate::{
    copy::{Batch, Copier, Unit},
    entry::{Granularity, Kind, Meta},
    error::{During, Fault, Op, Sided},
    event::Done,
    fidelity::{MetadataTarget, acl},
    guard::caught,
    learned::Pair,
    naming::{OpenedTarget, claim_directory, look_at_target_dir},
    options::{Attributes, Fsync},
    platform::{self, DEFAULT_ACL, Dir, Handle, Names},
    refusal::Refusal,
    setting::OWNERS,
    transfer::Watch,
    tree::{DirNode, DirNodeParts, DirPath, Dirs, EntryRef, Owner, TargetDir},
};

impl Copier {
    /// Names of one directory that are copied as one batch, at most, in bytes.
    const BATCH: usize = 64 * 1024;

    /// Open a directory on both sides, creating its copy, and go on with what it holds.
    pub(super) fn enter(&mut self, at: EntryRef<'_>) -> Result<Handled, Fault> {
        let EntryRef { node: parent, dirs, name } = at;
        let source = match source_directory(dirs, name)? {
            Ok(source) => source,
            Err(kind) => return Ok(Handled::KindChanged(kind)),
        };
        let meta = source.meta().during(Op::Stat)?;
        self.refuse_loop(parent, &source, &meta)?;
        let chosen = self.run.choice.chosen(parent, name, &source, &meta)?;
        let target_name = &*parent.place.target_name(name, Kind::Directory);
        self.speller().claim_name(at, target_name, false)?;
        if self.setting.is_dry() {
            self.naming().refuse_told(parent, target_name)?;
        }
        let (OpenedTarget { target, found, existed, opened_up }, is_of_other) =
            claim_directory(parent, self.run.tree.made_within.is_some(), target_name, || {
                let only_counts = self.setting.job.only_counts;
                match self.setting.is_dry() {
                    true => look_at_target_dir(parent, dirs, target_name, &meta, only_counts),
                    false => self.target_dirs().open_or_create(parent, dirs, target_name, &meta),
                }
            })?;
        if parent.place.is_root() {
            self.run.tree.copies.write().unwrap_or_else(PoisonError::into_inner).insert(found.id);
        }
        let inherits_acl = self.inherits_acl(parent, &target, existed);
        let target_dir = self.came_by(parent, target_name, existed, is_of_other);
        if target_dir == (TargetDir::OnlyTold { before: false }) {
            self.run.space.add_entry(parent, dirs);
        }
        let pair = if parent.source_id.dev == meta.id.dev && parent.target.id.dev == found.id.dev {
            parent.pair.clone()
        } else {
            self.pair_of(&source, &meta, &target, &found)
        };
        if target_dir == TargetDir::WasThere {
            self.earlier_runs().meet_earlier_runs(parent, &target, found.id, &pair, target_name)?;
        }
        // In what this run has made for itself alone it meets nothing but its own.
        let meets_others = target_dir.is_absent() || target_dir == TargetDir::WasThere;
        let made = meets_others.then(|| match &self.run.tree.made_within {
            Some(within) => within.directory(found.id),
            None => Arc::default(),
        });
        let child = DirNode::new(DirNodeParts {
            place: Arc::new(DirPath::below(&parent.place, name)),
            parent: Some(parent.add_pending()),
            source_index: None,
            source: Some(meta),
            source_id: meta.id,
            target: found,
            target_dir,
            mode_to_restore: self.mode_to_restore(&meta, &found, existed, opened_up),
            inherits_acl,
            pair,
            made,
            chosen,
            dirs: Arc::new(Dirs::new(source, target, &self.setting.descriptors)),
        });
        // Without setgid, what is created there belongs to whom the directory itself does.
        if !existed && found.mode & 0o2000 == 0 {
            let _ = child.default_owner.set(Owner::of(&found));
        }
        self.go_on_in(parent, Arc::new(child));
        Ok(Handled::Done)
    }

    /// How the run came by a directory of the copy, which existed when its source was come to, or not.
    fn came_by(&self, parent: &DirNode, target_name: &CStr, existed: bool, is_of_other: bool) -> TargetDir {
        match (existed, is_of_other) {
            (true, true) => TargetDir::CreatedForOtherSource,
            (true, false) => TargetDir::WasThere,
            (false, _) if self.setting.is_dry() => {
                TargetDir::OnlyTold { before: self.naming().tell_directory_once(parent, target_name) }
            }
            (false, _) => TargetDir::CreatedHere,
        }
    }

    /// Whether what is created in a directory of the copy gets an ACL from it.
    fn inherits_acl(&self, parent: &DirNode, target: &Dir, existed: bool) -> bool {
        match existed || !self.setting.is_dry() && self.setting.is_open_to_strangers(&parent.target) {
            true => has_default_acl(target),
            false => parent.inherits_acl,
        }
    }

    /// The mode that a directory gets when it is finished, where the source's is not kept.
    fn mode_to_restore(
        &self,
        meta: &Meta,
        found: &Meta,
        existed: bool,
        opened_up: Option<u32>,
    ) -> Option<u32> {
        match existed {
            _ if self.setting.keeps(Attributes::MODE) => None,
            true => opened_up,
            false => Some(found.mode & !(OWNERS & !meta.mode)),
        }
    }

    /// Let what a directory holds be copied.
    fn go_on_in(&mut self, parent: &Arc<DirNode>, child: Arc<DirNode>) {
        if self.setting.descriptors.are_scarce() {
            parent.suspend();
        }
        self.run.ledger.found.opened();
        self.teller.outcomes.directories_open += 1;
        child.span.in_scope(|| tracing::debug!("directory entered"));
        if parent.place.is_root() {
            self.run.durability.expect_mark(&child);
        }
        self.hands.push(Unit::List(child));
    }

    /// Refuse a directory that is the copy, or that leads back to one that it lies in.
    fn refuse_loop(&self, parent: &DirNode, source: &Dir, meta: &Meta) -> Result<(), Fault> {
        // Where another filesystem begins that is not to be copied, the copy may be all of that.
        let is_boundary = self.run.choice.is_boundary(parent, meta);
        let is_copy =
            || self.run.tree.copies.read().unwrap_or_else(PoisonError::into_inner).contains(&meta.id);
        if !is_boundary && is_copy() {
            return Err(Fault::refused(
                Op::Copy,
                Refusal::IntoItself(
                    "it is the copy itself: a directory cannot be copied into itself".to_owned(),
                ),
            ));
        }
        if source.follows() && parent.lies_in(meta.id) {
            return Err(Fault::refused(Op::Open, Refusal::Loop));
        }
        Ok(())
    }

    /// List a directory's next entries, and make units of them.
    pub(crate) fn list(&mut self, node: Arc<DirNode>) {
        let span = node.span.clone();
        let _entered = span.enter();
        let mut names = Names::default();
        let listed = caught(|| self.list_into(&node, &mut names));
        names.finish(); // also where the listing broke off: what it gave is copied
        let tried = node.tried.load(Ordering::Relaxed);
        let goes_on_later = listed.as_ref().is_err_and(|fault| self.setting.may_retry(fault, tried));
        let is_last = *listed.as_ref().unwrap_or(&!goes_on_later);
        self.teller.outcomes.totals.entries_found += names.len() as u64;
        let found = &self.run.ledger.found;
        let may_hold = (0..names.len()).filter(|index| found.may_hold(names.get(*index).1)).count();
        found.add(names.len() as u64, may_hold);
        if is_last {
            found.closed();
        }
        let batch = (!names.is_empty()).then(|| Batch {
            node: node.add_pending(),
            next: 0,
            end: names.len(),
            names: Arc::new(names),
        });
        if let Err(fault) = listed {
            if goes_on_later {
                node.tried.store(tried + 1, Ordering::Relaxed);
                batch.into_iter().for_each(|batch| self.hands.push(Unit::Batch(batch)));
                let failure = node.failure(c"", Some(Kind::Directory), fault);
                return self.retry_later(Unit::List(node), tried, failure);
            }
            self.fail_directory(&node, fault);
        }
        if is_last {
            batch.into_iter().for_each(|batch| self.hands.push(Unit::Batch(batch)));
            self.finish_if_last(node);
        } else {
            self.hands.push(Unit::List(node));
            batch.into_iter().for_each(|batch| self.hands.push(Unit::Batch(batch)));
        }
        self.hands.share_if_wanted();
    }

    /// Add the next entries to `names`; whether they are the last.
    fn list_into(&mut self, node: &DirNode, names: &mut Names) -> Result<bool, Fault> {
        #[cfg(test)]
        crate::guard::break_down(c"breaks-down-listed", node.place.name());
        if node.chosen.is_boundary {
            return Ok(true);
        }
        let dirs = node.dirs()?;
        if let Some(wanted) = node.chosen.some() {
            wanted.below.keys().for_each(|name| names.push(name, None));
            return Ok(true);
        }
        let mut cursor = node.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        dirs.seek(*cursor).during(Op::List)?;
        while names.bytes() < Self::BATCH / 2 {
            if !dirs.source.list(&mut self.tools.listing, &mut cursor, names).during(Op::List)? {
                node.chosen.add_missing(&dirs.source, names)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// As [`finish_if_last`](Self::finish_if_last), for a directory that is not needed for a while where something
    /// else keeps it unfinished.
    pub(crate) fn finish_or_close(&mut self, node: Arc<DirNode>) {
        // Links that wait may be many, and in as many directories.
        if self.setting.descriptors.are_scarce() {
            node.suspend_if_pending();
        }
        self.finish_if_last(node);
    }

    /// Something of a directory is done; the last thing finishes it, and perhaps those above.
    pub(crate) fn finish_if_last(&mut self, mut node: Arc<DirNode>) {
        while node.done_one() && !self.teller.is_cancelled() {
            node.span.in_scope(|| {
                match caught(|| self.with_retries(&node, |copier| copier.finish_directory(&node))) {
                    Ok(()) => self.record_directory(&node),
                    Err(fault) => self.fail_directory(&node, fault),
                }
            });
            match node.parent.clone() {
                Some(parent) => node = parent,
                None => {
                    node.source_index.into_iter().for_each(|index| self.after_source(index));
                    break;
                }
            }
        }
    }

    /// Note that a directory is done, unless it has failed before.
    fn record_directory(&mut self, node: &DirNode) {
        if let (Some(parent), false) = (&node.parent, node.has_failed.load(Ordering::Relaxed)) {
            let done = if node.target_dir.existed() || node.target_dir.is_of_other_source() {
                Done::Merged
            } else {
                Done::Created
            };
            self.teller.outcomes.directories_open -= 1;
            self.teller.record(&parent.place, node.place.name(), Kind::Directory, done, 0);
        }
    }

    /// Note that a directory failed: each time a failure, and one entry that failed in all.
    pub(super) fn fail_directory(&mut self, node: &DirNode, fault: Fault) {
        let failed_before = self.teller.outcomes.totals.failed;
        if node.has_failed.swap(true, Ordering::Relaxed) {
            self.fail_uncounted(node, c"", Some(Kind::Directory), fault);
            self.teller.outcomes.totals.failed = failed_before;
        } else {
            self.fail(node, c"", Some(Kind::Directory), fault);
            self.teller.outcomes.directories_open -= i64::from(node.parent.is_some());
        }
    }

    /// All that a directory holds is done: give its copy the source's metadata.
    fn finish_directory(&mut self, node: &DirNode) -> Result<(), Fault> {
        let Some(meta) = &node.source else { return Ok(()) };
        let dirs = node.dirs()?;
        node.resume_parent(&dirs);
        if !node.is_noted.load(Ordering::Relaxed) {
            self.deleter().note_extraneous(node, &dirs, meta)?;
        }
        if self.setting.is_dry() {
            return Ok(());
        }
        self.run.resume.close_journal(&mut self.teller, node);
        self.run.durability.sweep_late(&mut self.teller, node, &dirs);
        self.run.durability.remove_marks(&mut self.teller, node, &dirs.target);
        let (from, to) = (Handle::Open(&dirs.source), Handle::Open(&dirs.target));
        let now = if node.target_dir.existed() { to.meta().during(Op::Stat).in_copy()? } else { node.target };
        let subject = MetadataTarget {
            node,
            name: c"",
            from,
            to,
            meta,
            found: Some(&now),
            created: (!node.target_dir.existed()).then_some(node.target.mode),
            replaces: None,
            times: true,
        };
        let is_due = !node.target_dir.existed()
            || self.fidelity().differs(&subject, Granularity::Nanos(1))
            || self.fidelity().have_xattrs_changed(&subject);
        let done = match is_due {
            true => self.fidelity().attributes(&subject).map(drop),
            false => self.fidelity().owner_not_kept(&subject, &now),
        };
        match node.mode_to_restore {
            Some(mode) if mode != now.mode => done.and(to.set_mode(mode).during(Op::SetMode)),
            _ => done,
        }
        .map_err(Fault::of_attributes)?;
        if self.setting.syncs_each() { dirs.target.sync().during(Op::Sync) } else { Ok(()) }
    }

    /// What is known of the filesystems of two open directories.
    pub(super) fn pair_of(
        &self,
        source: &Dir,
        source_meta: &Meta,
        target: &Dir,
        target_meta: &Meta,
    ) -> Arc<Pair> {
        let (from, to) = (source_meta.id.dev, target_meta.id.dev);
        self.run.pair(from, to, || {
            if self.setting.job.fsync == Fsync::End
                && let Ok(target) = target.duplicate()
            {
                self.run.durability.filesystems().entry(to).or_insert(target);
            }
            let storage = platform::storage(source, from);
            let other_storage = if from == to { storage } else { platform::storage(target, to) };
            let mounts = &self.setting.mounts;
            let mount = mounts.of(source);
            let other = if from == to { mount.clone() } else { mounts.of(target) };
            let compresses = other.as_ref().is_some_and(|mount| mount.compresses);
            let is_numbered = platform::numbers_files(other.as_ref().map(|mount| &*mount.filesystem));
            let [name, other] = [mount, other].map(|mount| mount.map(|mount| mount.filesystem));
            let pair = Pair::between(from == to, storage, other_storage).named(name, other);
            pair.compressing(compresses).numbered(is_numbered)
        })
    }
}

/// Open a directory of the source, or say of what kind the entry is instead.
fn source_directory(dirs: &Dirs, name: &CStr) -> Result<Result<Dir, Kind>, Fault> {
    match dirs.source.open_dir(name) {
        Err(error) if platform::is_other_kind(&error) => {
            match dirs.source.stat(name).during(Op::Stat)?.kind {
                Kind::Directory => Err(Fault::new(Op::Open, error)),
                kind => Ok(Err(kind)),
            }
        }
        opened => opened.during(Op::Open).map(Ok),
    }
}

/// Whether what is created in a directory gets an ACL from it.
pub(super) fn has_default_acl(dir: &Dir) -> bool {
    let mut value = Vec::new();
    let mut asked = |of: Handle<'_>| of.xattr(DEFAULT_ACL, &mut value);
    match asked(Handle::Open(dir)) {
        // Where the system was not even asked by name, for want of /proc, there may be one.
        Err(error) if platform::is_for_naming_only(&error) => {
            !asked(Handle::Entry(dir, c".")).is_err_and(|error| error.raw_os_error().is_some())
        }
        asked => asked.is_ok_and(|length| length > 0 && !acl::is_idle(DEFAULT_ACL, &value[..length])),
    }
}
