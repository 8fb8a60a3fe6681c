//! Directories: enter, list, finish.

use std::{
    ffi::CStr,
    io,
    sync::{Arc, PoisonError},
};

use super::{
    Node, Place,
    attributes::Subject,
    entry::Handled,
    node::{Dirs, NodeParts},
    stage,
};
use crate::{
    entry::{Kind, Meta},
    error::{During, Fault, Op},
    event::Done,
    options::Attributes,
    platform::{self, DEFAULT_ACL, Dir, Handle, Names},
    scheduler::{Batch, Unit, Worker, caught},
    transfer::Watch,
};

/// What the owner of a directory needs to work in it.
const OWNERS: u32 = 0o700;

impl Worker {
    /// Names of one directory that are copied as one batch, at most, in bytes.
    const BATCH: usize = 64 * 1024;

    /// Open a directory on both sides, creating its copy, and go on with what it holds.
    pub(super) fn enter(&mut self, parent: &Arc<Node>, dirs: &Dirs, name: &CStr) -> Result<Handled, Fault> {
        let source = match dirs.source.open_source_dir(name) {
            Err(error) if platform::is_other_kind(&error) => {
                let kind = dirs.source.stat(name).during(Op::Stat)?.kind;
                return if kind == Kind::Directory {
                    Err(Fault::new(Op::Open, error))
                } else {
                    Ok(Handled::Is(kind))
                };
            }
            opened => opened.during(Op::Open)?,
        };
        let meta = source.meta().during(Op::Stat)?;
        let is_copy = |copies: &Vec<_>| copies.contains(&meta.id);
        if is_copy(&self.context.copies.read().unwrap_or_else(PoisonError::into_inner)) {
            return Err(Fault::refused(
                Op::Copy,
                "it is the copy itself: a directory cannot be copied into itself",
            ));
        }
        let target_name = parent.place.target_name(name);
        let existed = self.make_directory(parent, dirs, target_name, &meta)?;
        let (target, opened_up) = self.open_target(dirs, target_name, existed)?;
        let found = target.meta().during(Op::Stat)?;
        if found.id == meta.id {
            return Err(Fault::refused(Op::Copy, "source and destination are the same directory"));
        }
        // Directories of several sources are merged, whichever of them made theirs first.
        if self.context.made.is_none() {
            self.refuse_made(parent, &found)?;
            self.remember_made(parent, || Ok(found.id))?;
        }
        if parent.place.is_root() {
            self.context.copies.write().unwrap_or_else(PoisonError::into_inner).push(found.id);
        }
        let inherits_acl = if existed { has_default_acl(&target) } else { parent.inherits_acl };
        if existed {
            stage::sweep(&target, &mut self.listing).during(Op::Remove)?;
        }
        let pair = if parent.source_id.dev == meta.id.dev && parent.target_id.dev == found.id.dev {
            parent.pair.clone()
        } else {
            self.pair_of(&source, &meta, &target, &found)
        };
        let made = match &self.context.made {
            Some(of_run) => Some(of_run.clone()),
            None => existed.then(Arc::default),
        };
        let child = Node::new(NodeParts {
            place: Arc::new(Place::below(&parent.place, name)),
            parent: Some(parent.hold()),
            source: Some(meta),
            source_id: meta.id,
            target_id: found.id,
            existed,
            closes_to: match existed {
                _ if self.keeps(Attributes::MODE) => None,
                true => opened_up,
                false => Some(found.mode & !(OWNERS & !meta.mode)),
            },
            inherits_acl,
            pair,
            made,
            dirs: Arc::new(Dirs::new(source, target, &self.context.descriptors)),
        });
        if !existed && found.mode & 0o2000 == 0 {
            if let Some(owner) = parent.born.get() {
                let _ = child.born.set(*owner);
            }
        }
        if self.context.descriptors.are_scarce() {
            parent.suspend();
        }
        self.outcomes.listings_open += 1;
        let done = if existed { Done::Merged } else { Done::Created };
        self.record(&parent.place, name, Kind::Directory, done, 0);
        tracing::debug!(path = %child.source_path(c"").display(), "directory entered");
        self.push(Unit::List(Arc::new(child)));
        Ok(Handled::Yes)
    }

    /// Create the copy's directory; whether it was there already.
    fn make_directory(&self, parent: &Node, dirs: &Dirs, name: &CStr, meta: &Meta) -> Result<bool, Fault> {
        let mode = if self.keeps(Attributes::MODE) { 0o700 } else { meta.mode & 0o777 | OWNERS };
        match dirs.target.make_dir(name, mode) {
            Ok(()) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && parent.existed => {
                match dirs.target.stat(name).during(Op::Stat)?.kind {
                    Kind::Directory => Ok(true),
                    kind => Err(Fault::refused(
                        Op::CreateDirectory,
                        format!("{} is in the way", kind.described()),
                    )),
                }
            }
            Err(error) => Err(self.creation_fault(parent, Op::CreateDirectory, error)),
        }
    }

    /// Open the copy's directory; one that its mode closes to its owner is opened up until the end,
    /// and the mode it had comes with it.
    fn open_target(&self, dirs: &Dirs, name: &CStr, existed: bool) -> Result<(Dir, Option<u32>), Fault> {
        let mut opened_up = None;
        if existed && !self.context.is_privileged {
            let there = dirs.target.stat(name).during(Op::Stat)?;
            if there.mode & OWNERS != OWNERS && there.uid == self.context.user {
                dirs.target.set_mode_of(name, there.mode | OWNERS).during(Op::SetMode)?;
                opened_up = Some(there.mode);
            }
        }
        Ok((dirs.target.open_dir(name).during(Op::CreateDirectory)?, opened_up))
    }

    /// List a directory's next entries, and make units of them.
    pub(crate) fn list(&mut self, node: Arc<Node>) {
        match caught(|| self.listed(&node)) {
            Ok((names, is_complete)) => {
                self.outcomes.totals.entries_found += names.len() as u64;
                self.outcomes.listings_open += names.directories() as i64 - i64::from(is_complete);
                let batch = (!names.is_empty()).then(|| Batch {
                    node: node.hold(),
                    next: 0,
                    end: names.len(),
                    names: Arc::new(names),
                });
                if is_complete {
                    batch.into_iter().for_each(|batch| self.push(Unit::Batch(batch)));
                    self.release(node);
                } else {
                    self.push(Unit::List(node));
                    batch.into_iter().for_each(|batch| self.push(Unit::Batch(batch)));
                }
            }
            Err(fault) => {
                self.outcomes.listings_open -= 1;
                self.fail(&node, c"", fault);
                self.release(node);
            }
        }
        self.share_if_wanted();
    }

    /// The next entries, and whether they are the last.
    fn listed(&mut self, node: &Node) -> Result<(Names, bool), Fault> {
        #[cfg(test)]
        crate::scheduler::break_down(c"breaks-down-listed", node.place.name());
        let dirs = node.dirs().during(Op::Open)?;
        let mut cursor = node.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        dirs.seek(*cursor).during(Op::List)?;
        let mut names = Names::default();
        let mut is_complete = false;
        while !is_complete && names.bytes() < Self::BATCH / 2 {
            is_complete = !dirs.source.list(&mut self.listing, &mut cursor, &mut names).during(Op::List)?;
        }
        names.finish();
        Ok((names, is_complete))
    }

    /// Something of a directory is done; the last thing finishes it, and perhaps those above.
    pub(crate) fn release(&mut self, mut node: Arc<Node>) {
        while node.release() && !self.is_cancelled() {
            self.guarded(&node.clone(), c"", |worker| {
                if let Err(fault) = worker.finish_directory(&node) {
                    worker.fail(&node, c"", fault);
                }
            });
            match node.parent.clone() {
                Some(parent) => node = parent,
                None => break,
            }
        }
    }

    /// All that a directory holds is done: give its copy the source's metadata.
    fn finish_directory(&mut self, node: &Node) -> Result<(), Fault> {
        let Some(meta) = &node.source else { return Ok(()) };
        let dirs = node.dirs().during(Op::Open)?;
        node.resume_parent(&dirs);
        let (from, to, name) = (Handle::Open(&dirs.source), Handle::Open(&dirs.target), c"");
        let found = to.meta().during(Op::Stat)?;
        self.attributes(&Subject { node, name, from, to, meta, found: Some(&found), times: true })?;
        match node.closes_to {
            Some(mode) if mode != found.mode => to.set_mode(mode).during(Op::SetMode),
            _ => Ok(()),
        }
    }

    /// What is known of the filesystems of two open directories.
    pub(super) fn pair_of(
        &self,
        source: &Dir,
        source_meta: &Meta,
        target: &Dir,
        target_meta: &Meta,
    ) -> Arc<crate::plan::Pair> {
        let (from, to) = (source_meta.id.dev, target_meta.id.dev);
        self.context.pair(from, to, || platform::storage(source, from).slower(platform::storage(target, to)))
    }
}

/// Whether what is created in a directory gets an ACL from it.
pub(super) fn has_default_acl(dir: &Dir) -> bool {
    Handle::Open(dir).xattr(DEFAULT_ACL, &mut Vec::new()).is_ok()
}
