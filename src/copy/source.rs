//! Where a run begins: one of the sources that the caller named.

use std::{
    ffi::CString,
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
};

use super::directory::has_default_acl;
use crate::{
    choice::refuse_directory_name,
    copy::{Batch, Copier, Unit},
    entry::{Kind, Meta},
    error::{During, Failure, Fault, Op, Sided},
    job::Target,
    learned::Pair,
    method::Method,
    options::{Compression, Delete, FollowLinks, ZeroCopy},
    plan::{self, default_jobs, default_jobs_reason},
    platform::{Dir, Names},
    refusal::Refusal,
    resume::LookedAt,
    setting::Setting,
    tree::{Chosen, DirNode, DirNodeParts, DirPath, Dirs, Root, SplitPath, TargetDir},
};

impl Copier {
    /// A source is done with: begin the one that waited for it, or what comes after the last.
    pub(crate) fn after_source(&mut self, index: usize) {
        self.run.tree.namesakes.after(index).into_iter().for_each(|next| self.hands.push(Unit::Source(next)));
        if self.run.sources_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.run.space.warn_of_expected(&mut self.teller);
            self.run.choice.warn_of_rules(&mut self.teller);
            self.delete_extraneous();
        }
    }

    /// All sources are done with: delete what only their copies have.
    pub(super) fn delete_extraneous(&mut self) {
        let goes = self.deleter().decide();
        if goes.is_empty() {
            return;
        }
        goes.into_iter().for_each(|within| self.hands.push(Unit::Delete(within)));
        self.hands.share_if_wanted();
    }

    /// Begin the source of number `index`.
    pub(crate) fn source(&mut self, index: usize) {
        let path = self.setting.job.sources[index].clone();
        let mut tried = 0;
        let begun = loop {
            let may_retry = tried < self.setting.job.retry.times && !self.setting.cancel.is_cancelled();
            match self.begin(index, &path) {
                Err(failure) if may_retry && failure.is_transient() => {
                    self.back_off(failure, tried);
                    tried += 1;
                }
                begun => break begun,
            }
        };
        if let Err(failure) = begun {
            self.teller.outcomes.totals.entries_found += 1;
            self.run.ledger.found.add(1, 0);
            self.run.ledger.found.closed();
            self.run.extraneous.count_failed(Some(index));
            self.fail_at(failure);
            self.after_source(index);
        }
    }

    fn begin(&mut self, index: usize, path: &Path) -> Result<(), Failure> {
        let from = SplitPath::of(path)?;
        let mut to = self.named_copy(&from)?;
        if self.setting.job.mirror.delete != Delete::Never && !self.run.tree.namesakes.are_none() {
            let why = "sources of one name cannot be mirrored: what one has the other would delete";
            return Err(Failure::new(Op::Copy, path, io::Error::other(Refusal::from(why))));
        }
        let (from, source) = self.open_source(from, path)?;
        let target = to.open().map_err(Failure::in_copy)?;
        let at = |op| move |error| Failure::new(op, path, error);
        let meta = source.stat(&from.name).map_err(at(Op::Stat))?;
        if meta.kind == Kind::File {
            to.name = self.coded_name(to.name);
        }
        if let Target::Exact(exact) = &self.setting.job.target {
            refuse_directory_name(exact, &target, &to.name, meta.kind)?;
        }
        let source_meta = source.meta().map_err(at(Op::Stat))?;
        let at_copy = |fault: Fault| fault.at(to.directory.clone());
        let target_meta = target.meta().during(Op::Stat).in_copy().map_err(at_copy)?;
        let pair = self.pair_of(&source, &source_meta, &target, &target_meta);
        if self.run.workers.reason.get().is_none() {
            self.choose_jobs(&pair);
            self.tell_zero_copy(&pair);
        }
        if self.setting.job.selection.files.is_some() && meta.kind != Kind::Directory {
            let why = "a list of names is for a directory that holds them";
            return Err(Failure::new(Op::Copy, path, io::Error::other(Refusal::from(why))));
        }
        if meta.kind == Kind::Directory {
            let opened = source.open_dir(&from.name).during(Op::Open).map_err(|fault| fault.at(path))?;
            self.run
                .choice
                .refuse_into_itself((&opened, &meta), (&target, &to))
                .map_err(|fault| fault.at(path))?;
        } else {
            self.meet_earlier_runs_beside(&meta, (&target, &target_meta), &to, &pair)?;
        }
        let copies = target.duplicate().during(Op::Open).in_copy().map_err(at_copy)?;
        let copies = self.run.space.target(copies);
        self.run.space.warn_of_whole(&mut self.teller, (&source, &from.name, &meta), (&target, &to.name));
        let names = Names::one(&from.name, meta.kind);
        let (dirs, metas) = ((source, target, copies), (source_meta, target_meta));
        let node = self.holding_node(index, (from, to), dirs, metas, pair);
        self.push_source(node, names, meta.kind);
        Ok(())
    }

    /// The directory that only holds a source, of which this is the only entry.
    fn holding_node(
        &self,
        index: usize,
        (from, to): (SplitPath, SplitPath),
        (source, target, copies): (Dir, Dir, Arc<Dir>),
        (source_meta, target_meta): (Meta, Meta),
        pair: Arc<Pair>,
    ) -> Arc<DirNode> {
        let compression = self.setting.job.compression;
        let inherits_acl = has_default_acl(&target);
        let root = Root {
            source_index: index,
            target: copies,
            source_path: from.directory,
            target_path: to.directory,
            renamed: (to.name != from.name || compression != Compression::None).then_some(to.name),
            compression,
            run: tracing::Span::current(),
        };
        Arc::new(DirNode::new(DirNodeParts {
            place: Arc::new(DirPath::root(root)),
            parent: None,
            source_index: Some(index),
            source: None,
            source_id: source_meta.id,
            target: target_meta,
            target_dir: TargetDir::WasThere,
            mode_to_restore: None,
            inherits_acl,
            pair,
            made: self.run.tree.made_within.as_ref().map(|within| within.directory(target_meta.id)),
            chosen: Chosen::default(),
            dirs: Arc::new(Dirs::new(source, target, &self.setting.descriptors)),
        }))
    }

    /// Take note of what runs before this one have left where the copy of a single file goes.
    fn meet_earlier_runs_beside(
        &mut self,
        meta: &Meta,
        (target, target_meta): (&Dir, &Meta),
        to: &SplitPath,
        pair: &Pair,
    ) -> Result<(), Failure> {
        let found = self.run.choice.look_at_destination(meta, target, to)?;
        if !self.setting.is_dry() {
            self.run
                .resume
                .load_journal(&mut self.tools.listing, target, target_meta.id)
                .map_err(|fault| fault.at(to.directory.clone()))?;
        }
        let may_take_up = self.setting.is_dry() && self.setting.job.resume;
        if may_take_up || found.is_some() {
            self.run.durability.note_above(&mut self.tools.listing, target, pair);
            self.earlier_runs().sweep(LookedAt::Holder, target, target_meta.id, pair, &to.directory);
        }
        Ok(())
    }

    /// Open the directory that holds a source, or what a source that is a link leads to.
    fn open_source(&self, from: SplitPath, path: &Path) -> Result<(SplitPath, Dir), Failure> {
        let follow = self.setting.job.selection.follow;
        let from = if follow == FollowLinks::Sources { from.followed(path)? } else { from };
        let mut source = from.open()?;
        if follow == FollowLinks::Always {
            source = source.following().map_err(|error| Failure::new(Op::Open, path, error))?;
        }
        Ok((from, source))
    }

    /// The name that the copy of a source gets.
    fn named_copy(&self, from: &SplitPath) -> Result<SplitPath, Failure> {
        match &self.setting.job.target {
            Target::Exact(path) => SplitPath::of_target(path).map_err(Failure::in_copy),
            Target::Within(directory) => {
                let base = from.base.clone();
                Ok(SplitPath { directory: directory.clone(), name: base.clone(), base })
            }
        }
    }

    /// The name of a copy that may be compressed or brought back on its way.
    fn coded_name(&self, name: CString) -> CString {
        let compression = self.setting.job.compression;
        match &self.setting.job.target {
            _ if compression == Compression::None => name,
            Target::Exact(_) => compression.wanted_name(name),
            Target::Within(_) => compression.copy_name(&name).into_owned(),
        }
    }

    /// Let a source be copied as the one entry of its directory.
    fn push_source(&mut self, node: Arc<DirNode>, names: Names, kind: Kind) {
        self.teller.outcomes.totals.entries_found += 1;
        self.run.ledger.found.add(1, 0);
        // Otherwise what it holds is found when the entry is dealt with.
        if !self.run.ledger.found.may_hold(Some(kind)) {
            self.run.ledger.found.closed();
        }
        self.hands.push(Unit::Batch(Batch { node, names: Arc::new(names), next: 0, end: 1 }));
    }

    /// Say whether the kernel will move the bytes of files that are large enough for it.
    fn tell_zero_copy(&self, pair: &Pair) {
        let Setting { job, capabilities, .. } = &*self.setting;
        let threshold = match job.data.zero_copy {
            ZeroCopy::Force => 1,
            _ => job.data.threshold.unwrap_or_else(|| pair.threshold.bytes()).max(1),
        };
        // As for one worker: whether several share a huge file is another question.
        let ladder = match job.compression {
            Compression::Zstd { .. } | Compression::Lz4 => {
                plan::ladder_of_coded(&job.data, capabilities, pair)
            }
            Compression::None | Compression::Decompress => {
                plan::ladder(&job.data, capabilities, pair, threshold)
            }
        };
        let methods: Vec<_> =
            ladder.methods().filter(|method| *method != Method::Buffered).map(Method::name).collect();
        match ladder.declined {
            Some(declined) => tracing::info!("Zero-copy disabled: {}", declined.reason()),
            None => {
                let methods = methods.join(", ");
                tracing::info!("Zero-copy enabled: {methods}, for files of at least {threshold} bytes");
            }
        }
    }

    /// Settle how many workers there may be, from the first source on.
    fn choose_jobs(&self, pair: &Pair) {
        let run = &self.run;
        let limits = run.workers.limit;
        let (mut jobs, mut reason) = match limits.asked {
            Some(asked) => (asked, "as asked".to_owned()),
            None => {
                let cores = thread::available_parallelism().map_or(1, usize::from);
                let [from, to] = pair.storages;
                (default_jobs(cores, from, to), default_jobs_reason(cores, from, to))
            }
        };
        if limits.engine < jobs {
            jobs = limits.engine;
            reason += ", bounded by the engine";
        }
        let workers_max = run.setting.descriptors.workers_max();
        if workers_max < jobs {
            jobs = workers_max;
            reason += ", bounded by the limit of open files";
        }
        if run.workers.reason.set(reason).is_ok() {
            run.queue.set_limit(jobs);
        }
    }
}
