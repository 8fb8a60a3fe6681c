//! What only the copy has: found when its directory is done, decided about when everything is.

use std::{
    ffi::CStr,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{Deleter, Does};
use crate::{
    entry::{Kind, Meta},
    error::{During, Fault, Op, Sided},
    options::{Compression, Delete, Mirror},
    plan::{Deletion, deletion, is_most, why_it_stays},
    platform::{self, Dir, ListCursor, Names},
    refusal::Refusal,
    report::WarningKind,
    transfer::Watch,
    tree::{DirNode, Dirs, ExtraneousIn, is_internal, names_in},
};

/// What a run is to delete in the end.
#[derive(Debug)]
pub(crate) struct Extraneous {
    of: Vec<OfSource>,
    /// Entries that directories of the copy had when they were entered.
    there: AtomicU64,
    /// Those of them that are extraneous.
    listed: AtomicU64,
    /// Entries that are deleted, also those that were in directories which only the copy had.
    pub(crate) deleted: AtomicU64,
    /// Directories in which there is something left to delete.
    left: AtomicUsize,
}

/// What is known of one source.
#[derive(Debug, Default)]
struct OfSource {
    found: Mutex<Vec<ExtraneousIn>>,
    /// Entries that failed, other than in their attributes.
    failed: AtomicU64,
    /// Whether something else speaks against deleting anything, which was said.
    is_refused: AtomicBool,
}

impl Extraneous {
    /// Nothing yet, of so many sources.
    pub(crate) fn new(sources: usize) -> Extraneous {
        Extraneous {
            of: (0..sources).map(|_| OfSource::default()).collect(),
            there: AtomicU64::new(0),
            listed: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
            left: AtomicUsize::new(0),
        }
    }

    /// Count an entry that the copy has before anything is put there.
    pub(crate) fn count_there(&self) {
        self.there.fetch_add(1, Ordering::Relaxed);
    }

    /// Count an entry of a source that failed; where nobody knows of which, it is one of each.
    pub(crate) fn count_failed(&self, source: Option<usize>) {
        for (index, of) in self.of.iter().enumerate() {
            if source.is_none_or(|source| source == index) {
                of.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn refuse(&self, source: Option<usize>) {
        if let Some(of) = source.and_then(|source| self.of.get(source)) {
            of.is_refused.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn decide(&self, source: usize, mirror: Mirror) -> Deletion {
        let OfSource { failed, is_refused, .. } = &self.of[source];
        deletion(failed.load(Ordering::Relaxed), mirror.ignore_errors, is_refused.load(Ordering::Relaxed))
    }

    /// Keep everything in all copies.
    pub(crate) fn refuse_all(&self) {
        self.of.iter().for_each(|of| of.is_refused.store(true, Ordering::Relaxed));
    }

    /// What was found so far, of all sources; to be put back.
    pub(crate) fn found(&self) -> Vec<ExtraneousIn> {
        (0..self.of.len()).flat_map(|source| self.take(source)).collect()
    }

    pub(crate) fn put_back(&self, found: Vec<ExtraneousIn>) {
        found.into_iter().for_each(|within| self.add(within));
    }

    fn add(&self, within: ExtraneousIn) {
        if let Some(of) = within.place.source_index().and_then(|source| self.of.get(source)) {
            of.found.lock().unwrap_or_else(PoisonError::into_inner).push(within);
        }
    }

    fn take(&self, source: usize) -> Vec<ExtraneousIn> {
        std::mem::take(&mut *self.of[source].found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Entries of a directory of the copy that are to go.
pub(crate) fn extraneous_in(node: &DirNode, source: &Meta, names: Names) -> ExtraneousIn {
    ExtraneousIn {
        place: node.place.clone(),
        id: node.target.id,
        names: Arc::new(names),
        source: *source,
        ignores: node.chosen.ignores.clone(),
        made: node.made.clone(),
    }
}

/// Make sure that the source's directory is what it was. What cannot be looked at may be all there is.
pub(crate) fn check_source(within: &ExtraneousIn) -> Result<(), Fault> {
    match within.place.open_source().and_then(|dir| dir.meta()) {
        Ok(now) if now.id == within.source.id && !has_moved(&within.source, &now) => Ok(()),
        Ok(_) => Err(has_changed()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(has_changed())
        }
        Err(error) => {
            let why =
                format!("its source cannot be looked at any more, so nothing in it is deleted: {error}");
            Err(Fault::refused(Op::Remove, why))
        }
    }
}

/// Said of a directory of the source whose names cannot be read.
const LOCKED: &str = "it is encrypted and its key is not there, so that its names cannot be read, and nothing is \
                      deleted; unlock it first";

/// Whether a directory was changed in any way between two looks; what hides a name may leave its time alone.
fn has_moved(before: &Meta, now: &Meta) -> bool {
    before.size != now.size || before.modified != now.modified || before.changed != now.changed
}

fn has_changed() -> Fault {
    let why = "its source changed while it was copied, so nothing in it is deleted; \
               the next run can tell what is gone";
    Fault::changed(Op::Remove, why)
}

impl Deleter<'_> {
    /// A directory's copy is done: note what it has that the source lacks.
    pub(crate) fn note_extraneous(
        &mut self,
        node: &DirNode,
        dirs: &Dirs,
        source: &Meta,
    ) -> Result<(), Fault> {
        let mirror = self.setting.job.mirror;
        if mirror.delete == Delete::Never
            || !node.target_dir.existed()
            || node.has_failed.load(Ordering::Relaxed)
            || node.chosen.is_boundary
            || node.chosen.some().is_some()
        {
            return Ok(());
        }
        // Descriptors of their own, since these may have been listed to their end.
        let (from, to) = (
            dirs.source.open_dir(c".").during(Op::List)?,
            dirs.target.open_dir(c".").during(Op::List).in_copy()?,
        );
        let mut extraneous = Names::default();
        let mut cursor = ListCursor::default();
        loop {
            let mut names = Names::default();
            let goes_on = to.list(self.listing, &mut cursor, &mut names).during(Op::List).in_copy()?;
            for (name, kind) in (0..names.len()).map(|index| names.get(index)) {
                if self.teller.is_cancelled() {
                    return Ok(());
                }
                if let Some(kind) = self.is_extraneous(node, (&from, &to), name, kind)? {
                    extraneous.push(name, Some(kind));
                }
            }
            if !goes_on {
                break;
            }
        }
        if !extraneous.is_empty() {
            let respelled = self.respelled((&from, &to), &extraneous)?;
            if !respelled.is_empty() {
                extraneous = extraneous.filtered(|name| !respelled.contains(name));
            }
        }
        if extraneous.is_empty() {
            return Ok(());
        }
        if platform::is_locked(&from) {
            return Err(Fault::refused(Op::List, LOCKED));
        }
        let is_top = node.parent.as_ref().is_some_and(|parent| parent.place.is_root());
        if is_top && !mirror.force_empty && self.is_empty(&from)? {
            self.extraneous.refuse(node.place.source_index());
            return Err(Fault::refused(Op::List, Refusal::EmptySource));
        }
        // A name may be missing since its directory is on its way out.
        if has_moved(source, &from.meta().during(Op::Stat)?) {
            self.fail(has_changed().at(node.place.path_in_copy(c"")));
            return Ok(());
        }
        self.extraneous.add(extraneous_in(node, source, extraneous));
        Ok(())
    }

    /// What kind of entry `name` of a directory of the copy is, if it is one to be deleted.
    fn is_extraneous(
        &mut self,
        node: &DirNode,
        (from, to): (&Dir, &Dir),
        name: &CStr,
        listed: Option<Kind>,
    ) -> Result<Option<Kind>, Fault> {
        let kind_there = || match listed {
            Some(kind) => Ok(kind),
            None => to.stat(name).during(Op::Stat).in_copy().map(|there| there.kind),
        };
        // A directory of such a name is not ours.
        if is_internal(name) && kind_there()? != Kind::Directory {
            return Ok(None);
        }
        let excludes = self.setting.job.mirror.delete_excluded && self.setting.job.selection.has_rules();
        let wants = |mirror: &Self, kind| {
            let compression = mirror.setting.job.compression;
            compression.is_wanted(name, |name| mirror.choice.wants(node, name, kind))
        };
        let is_extraneous = match self.source_kind(from, name)? {
            // What the source has is wanted or not as what it is there.
            Some(kind) => excludes && !wants(self, kind),
            None => self.setting.job.mirror.delete_excluded || wants(self, kind_there()?),
        };
        if is_extraneous { kind_there().map(Some) } else { Ok(None) }
    }

    /// What kind of entry the source has, if what is called `name` in the copy may be the copy of one.
    fn source_kind(&mut self, from: &Dir, name: &CStr) -> Result<Option<Kind>, Fault> {
        let compression = self.setting.job.compression;
        let itself = self.kind_in(from, name)?;
        if compression == Compression::None {
            return Ok(itself);
        }
        // Files alone have other names, and a link may lead to one.
        if itself.is_some_and(|kind| kind != Kind::File) {
            return Ok(itself);
        }
        for source in compression.source_names(name) {
            let kind = self.kind_in(from, &source)?;
            if kind.is_some_and(|kind| matches!(kind, Kind::File | Kind::Symlink)) {
                return Ok(kind);
            }
        }
        Ok(None)
    }

    /// What kind of entry `name` of the source is; any answer but that there is none is an error.
    fn kind_in(&mut self, from: &Dir, name: &CStr) -> Result<Option<Kind>, Fault> {
        match from.stat_itself(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // Longer than the source's names can be; but servers say so of paths, too.
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
                let names = names_in(from, self.listing).during(Op::List)?;
                let is_there = (0..names.len()).any(|index| names.get(index).0 == name);
                if is_there { Err(Fault::new(Op::Stat, error)) } else { Ok(None) }
            }
            there => there.during(Op::Stat).map(|there| Some(there.kind)),
        }
    }

    fn is_empty(&mut self, dir: &Dir) -> Result<bool, Fault> {
        names_in(dir, self.listing).during(Op::List).map(|names| names.is_empty())
    }

    /// All sources are done with: what of it is to be deleted, if anything is.
    pub(crate) fn decide(&mut self) -> Vec<ExtraneousIn> {
        let mirror = self.setting.job.mirror;
        if mirror.delete == Delete::Never || self.teller.is_cancelled() {
            return Vec::new();
        }
        let mut goes = Vec::new();
        for source in 0..self.setting.job.sources.len() {
            let found = self.extraneous.take(source);
            match self.extraneous.decide(source, mirror) {
                Deletion::Goes => goes.extend(found),
                Deletion::Stays => {}
                Deletion::StaysBeside(failed) => self.tell_what_stays(&found, failed),
            }
        }
        if goes.is_empty() {
            self.warn_of_most();
            return goes;
        }
        if self.exceeds_limit(&goes.iter().collect::<Vec<_>>()) {
            return Vec::new();
        }
        self.extraneous.count_listed(&goes);
        self.extraneous.left.store(goes.len(), Ordering::Relaxed);
        goes
    }

    /// Say how much of the copy of one source stays because entries of it failed.
    fn tell_what_stays(&mut self, found: &[ExtraneousIn], failed: u64) {
        let Some(first) = found.first() else { return };
        let path = first.place.whole_copy();
        let mut count = 0;
        for within in found {
            // At least what was seen.
            let listed = within.names.len() as u64;
            count += self.walk_extraneous(within, Does::Count).map_or(listed, |walked| walked.entries);
        }
        self.fail(Fault::refused(Op::Remove, why_it_stays(count, failed)).at(path));
    }

    /// Whether more would be deleted than may be; that is a failure.
    pub(crate) fn exceeds_limit(&mut self, found: &[&ExtraneousIn]) -> bool {
        let Some(max) = self.setting.job.mirror.max else { return false };
        let extraneous = self.extraneous;
        let [gone, there, listed] = [&extraneous.deleted, &extraneous.there, &extraneous.listed]
            .map(|count| count.load(Ordering::Relaxed));
        let mut count = gone;
        for within in found {
            match self.walk_extraneous(within, Does::Count) {
                Ok(walked) => count += walked.entries,
                Err(fault) => {
                    self.fail(fault.at(within.place.path_in_copy(c"")));
                    return true;
                }
            }
        }
        // What lies in directories that are extraneous themselves has not been counted there.
        let listed = listed + found.iter().map(|within| within.names.len() as u64).sum::<u64>();
        // Others may have put something there since it was counted, or taken it away.
        let there = (there + count).saturating_sub(listed);
        let exceeds = max.is_exceeded(count, there);
        if exceeds {
            let why = format!(
                "{count} of {there} entries would be deleted, which is more than --max-delete allows; nothing is"
            );
            let path = self.setting.job.target.path().to_owned();
            self.fail(Fault::refused(Op::Remove, Refusal::TooManyDeletions(why)).at(path));
        }
        exceeds
    }

    /// One directory less has something left to delete; the last one tells whether that was much.
    pub(crate) fn end_deletion(&mut self) {
        if self.extraneous.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.warn_of_most();
        }
    }

    fn warn_of_most(&mut self) {
        if self.setting.job.mirror.max.is_some() {
            return;
        }
        let Extraneous { deleted, there, listed, .. } = self.extraneous;
        let [deleted, there, listed] = [deleted, there, listed].map(|count| count.load(Ordering::Relaxed));
        let there = (there + deleted).saturating_sub(listed.min(deleted));
        if is_most(deleted, there) && !self.teller.is_cancelled() {
            let cause = format!("{deleted} of {there} entries; --max-delete sets a limit to that");
            self.teller.warn_of(
                WarningKind::Extraneous,
                || self.setting.job.target.path().to_owned(),
                &cause,
            );
        }
    }
}

impl Extraneous {
    /// Count what is among the entries that were there, and is extraneous.
    pub(crate) fn count_listed<'a>(&self, found: impl IntoIterator<Item = &'a ExtraneousIn>) {
        let listed: u64 = found.into_iter().map(|within| within.names.len() as u64).sum();
        self.listed.fetch_add(listed, Ordering::Relaxed);
    }
}
