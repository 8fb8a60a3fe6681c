//! Directories and what they hold.

use std::{borrow::Cow, collections::HashSet, ffi::CStr, io, sync::Arc};

use super::{Reader, What, task::Task, trail::Trail};
use crate::{
    entry::{Kind, Meta},
    error::{During, Fault, Op, Sided},
    platform::{Dir, ListCursor, Names},
    tree::is_internal,
};

impl Reader {
    /// Names that one worker compares without giving others a part.
    const BATCH: usize = 256;

    pub(super) fn directory(&mut self, trail: &Trail) {
        let listed = self.open(trail).and_then(|(source, copy)| {
            let names = self.list(&source)?;
            let there = self.list(&copy).in_copy()?;
            Ok((source, copy, names, there))
        });
        let (source, copy, names, there) = match listed {
            Ok(listed) => listed,
            Err(fault) => return self.failed(self.failure(trail, (c"", c""), fault)),
        };
        let known: HashSet<Cow<'_, CStr>> =
            (0..names.len()).flat_map(|index| self.copy_names(names.get(index))).collect();
        let compression = self.shared.job.compression;
        for (name, kind) in (0..there.len()).map(|index| there.get(index)) {
            let wants = |name: &CStr| self.wants(trail, name, kind.unwrap_or(Kind::File));
            if !known.contains(name) && compression.is_wanted(name, wants) {
                self.differs(trail, name, What::Extra);
            }
        }
        drop(known);
        if names.len() > Self::BATCH {
            let names = Arc::new(names);
            let begins = (0..names.len()).step_by(Self::BATCH);
            self.shared.queue.give(begins.map(|from| Task::Batch {
                trail: trail.clone(),
                names: names.clone(),
                from,
                to: (from + Self::BATCH).min(names.len()),
            }));
        } else {
            self.entries(trail, &source, &copy, &names, 0, names.len());
        }
    }

    pub(super) fn batch(&mut self, trail: &Trail, names: &Names, from: usize, to: usize) {
        // Opened anew: batches that wait keep nothing open, however deep the tree is.
        match self.open(trail) {
            Ok((source, copy)) => self.entries(trail, &source, &copy, names, from, to),
            Err(fault) => self.failed(self.failure(trail, (c"", c""), fault)),
        }
    }

    fn open(&self, trail: &Trail) -> Result<(Dir, Dir), Fault> {
        let names = trail.names();
        let open = |root: &Dir| root.open_beneath(&names).and_then(|dir| dir.open_dir(c"."));
        let roots = self.shared.roots();
        let source = open(&roots.source).during(Op::Open)?;
        let copy = open(&roots.copy).during(Op::Open).in_copy()?;
        Ok((source, copy))
    }

    pub(super) fn list(&mut self, dir: &Dir) -> Result<Names, Fault> {
        let mut names = Names::default();
        let mut cursor = ListCursor::default();
        while dir.list(&mut self.listing, &mut cursor, &mut names).during(Op::List)? {}
        let mut kept = Names::default();
        for (name, kind) in (0..names.len()).map(|index| names.get(index)) {
            if !is_internal(name) {
                kept.push(name, kind);
            }
        }
        Ok(kept)
    }

    fn wants(&self, trail: &Trail, name: &CStr, kind: Kind) -> bool {
        let rules = &self.shared.job.rules;
        rules.are_none() || rules.want(&trail.path_of_parts(name), kind == Kind::Directory)
    }

    fn entries(&mut self, trail: &Trail, source: &Dir, copy: &Dir, names: &Names, from: usize, to: usize) {
        for index in from..to {
            if self.shared.cancel.is_cancelled() {
                return;
            }
            let (name, _) = names.get(index);
            self.entry(trail, source, copy, name, None);
        }
    }

    /// What a copy of an entry of the source may be called; of a file another name than of anything else.
    fn copy_names<'a>(
        &self,
        (name, kind): (&'a CStr, Option<Kind>),
    ) -> impl Iterator<Item = Cow<'a, CStr>> + use<'a> {
        let of_file =
            (kind.is_none_or(|kind| kind == Kind::File)).then(|| self.shared.job.compression.copy_name(name));
        let of_others = (kind != Some(Kind::File)).then_some(Cow::Borrowed(name));
        of_file.into_iter().chain(of_others)
    }

    /// Compare an entry of two directories; its copy has a certain name where the caller gave it.
    pub(super) fn entry(
        &mut self,
        trail: &Trail,
        source: &Dir,
        copy: &Dir,
        name: &CStr,
        copy_name: Option<&CStr>,
    ) {
        let Some(from) = self.source_meta(trail, source, name) else { return };
        let copy_name = match copy_name {
            Some(given) => Cow::Borrowed(given),
            None if from.kind == Kind::File => self.shared.job.compression.copy_name(name),
            None => Cow::Borrowed(name),
        };
        let copy_name = &*copy_name;
        let to = match copy.stat(copy_name) {
            Ok(to) => Some(to),
            // With a suffix it may be longer than any name.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename) =>
            {
                None
            }
            Err(error) => {
                let fault = Fault::new(Op::Stat, error).in_copy();
                return self.failed(self.failure(trail, (name, copy_name), fault));
            }
        };
        self.report.entries += 1;
        let Some(to) = to else { return self.differs(trail, name, What::Missing) };
        if from.kind != to.kind {
            return self.differs(trail, name, What::Kind { source: from.kind, copy: to.kind });
        }
        match from.kind {
            Kind::File => self.files(trail, (source, name, &from), (copy, copy_name, &to)),
            Kind::Directory => self.shared.queue.give([Task::Directory(trail.down(name))]),
            Kind::Symlink => {
                let targets = source.read_link(name).during(Op::ReadSymlink).and_then(|from| {
                    let to = copy.read_link(copy_name).during(Op::ReadSymlink).in_copy()?;
                    Ok((from, to))
                });
                match targets {
                    Ok((from, to)) if from != to => self.differs(trail, name, What::Target),
                    Ok(_) => {}
                    Err(fault) => self.failed(self.failure(trail, (name, copy_name), fault)),
                }
            }
            Kind::CharDevice | Kind::BlockDevice if from.rdev != to.rdev => {
                self.differs(trail, name, What::Device);
            }
            _ => {}
        }
        if self.shared.job.metadata {
            self.metadata(trail, (source, name, &from), (copy, copy_name, &to));
        }
    }

    /// What the source says of an entry; nothing where it is gone or not wanted.
    fn source_meta(&mut self, trail: &Trail, source: &Dir, name: &CStr) -> Option<Meta> {
        let from = match source.stat(name) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                let path = self.source_path(trail, name);
                self.failed(Fault::new(Op::Stat, error).at(path));
                return None;
            }
        };
        self.wants(trail, name, from.kind).then_some(from)
    }

    /// Compare what the directories themselves have that everything else lies in.
    pub(super) fn top(&mut self) {
        if !self.shared.job.metadata {
            return;
        }
        let shared = self.shared.clone();
        let roots = shared.roots();
        let metas = roots.source.meta().during(Op::Stat).and_then(|from| {
            let to = roots.copy.meta().during(Op::Stat).in_copy()?;
            Ok((from, to))
        });
        match metas {
            Ok((from, to)) => {
                let trail = Trail::default();
                self.metadata(&trail, (&roots.source, c".", &from), (&roots.copy, c".", &to));
            }
            Err(fault) => self.failed(self.failure(&Trail::default(), (c"", c""), fault)),
        }
    }
}
