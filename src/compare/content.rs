//! What files hold, byte by byte.

use std::{
    ffi::CStr,
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    Reader, What,
    task::{Large, Part, Task},
    trail::Trail,
};
use crate::{
    entry::Meta,
    error::{During, Fault, Op, Sided},
    frames::{Coding, Content},
    platform::{self, Dir},
    transfer::{CommonHoles, read_full},
};

impl Reader {
    /// Files from this size on are compared in parts of it.
    const PART: u64 = 32 << 20;

    pub(super) fn files(
        &mut self,
        trail: &Trail,
        (source, name, from): (&Dir, &CStr, &Meta),
        (copy, copy_name, to): (&Dir, &CStr, &Meta),
    ) {
        let coding = self.shared.job.compression.coding_of(name);
        // Files that say they are empty may hold something (procfs).
        if coding.is_none() && from.size != to.size && from.size != 0 {
            return self.differs(trail, name, What::Size { source: from.size, copy: to.size });
        }
        let opened = source.open_source(name).during(Op::Open).and_then(|source| {
            let copy = copy.open_source(copy_name).during(Op::Open).in_copy()?;
            Ok((source, copy))
        });
        let (source, copy) = match opened {
            Ok(opened) => opened,
            Err(fault) => return self.failed(self.failure(trail, (name, copy_name), fault)),
        };
        if let Some(coding) = coding {
            let differ_at = self.compare_coded(&source, &copy, coding);
            return self.concluded(trail, (name, copy_name), &source, from, differ_at);
        }
        if from.size < Self::PART * 2 {
            let end = if from.size == 0 { u64::MAX } else { from.size };
            let differ_at = self.compare(&source, &copy, 0, end);
            return self.concluded(trail, (name, copy_name), &source, from, differ_at);
        }
        let files = Arc::new(Large {
            trail: trail.clone(),
            name: name.to_owned(),
            copy_name: copy_name.to_owned(),
            source,
            copy,
            meta: *from,
            differ_at: AtomicU64::new(u64::MAX),
            parts: AtomicUsize::new(1),
        });
        let to = files.meta.size;
        self.shared.queue.give([Task::Part(Part { files, from: 0, to })]);
    }

    pub(super) fn part(&mut self, part: Part) {
        let Part { files, from: begin, to } = part;
        let from = CommonHoles::default().pass([&files.source, &files.copy], begin, to);
        self.report.count_bytes(from - begin);
        // Others compare what lies behind it meanwhile; a list of all parts could be endless.
        let rest = from.saturating_add(Self::PART);
        if rest < to && files.differ_at.load(Ordering::Relaxed) > from {
            files.parts.fetch_add(1, Ordering::Relaxed);
            self.shared.queue.give([Task::Part(Part { files: files.clone(), from: rest, to })]);
        }
        let to = rest.min(to);
        let mut fault = None;
        if files.differ_at.load(Ordering::Relaxed) > from {
            match self.compare(&files.source, &files.copy, from, to) {
                Ok(Some(at)) => {
                    files.differ_at.fetch_min(at, Ordering::Relaxed);
                }
                Ok(None) => {}
                Err(failed) => fault = Some(failed),
            }
        }
        let is_last = files.parts.fetch_sub(1, Ordering::AcqRel) == 1;
        let at = files.differ_at.load(Ordering::Relaxed);
        let names = (&*files.name, &*files.copy_name);
        match fault {
            Some(fault) => self.concluded(&files.trail, names, &files.source, &files.meta, Err(fault)),
            None if is_last => {
                let differ_at = (at < u64::MAX).then_some(at);
                self.concluded(&files.trail, names, &files.source, &files.meta, Ok(differ_at));
            }
            None => {}
        }
    }

    fn concluded(
        &mut self,
        trail: &Trail,
        (name, copy_name): (&CStr, &CStr),
        source: &File,
        meta: &Meta,
        differ_at: Result<Option<u64>, Fault>,
    ) {
        match differ_at {
            Ok(None) => {}
            Ok(Some(offset)) => {
                let has_changed = platform::meta(source).is_ok_and(|now| meta.content_differs(&now));
                if has_changed {
                    let why = Fault::refused(Op::Verify, "it changed while it was compared");
                    let path = self.source_path(trail, name);
                    return self.failed(why.at(path));
                }
                self.differs(trail, name, What::Content { offset });
            }
            Err(fault) => self.failed(self.failure(trail, (name, copy_name), fault)),
        }
    }

    /// Where what two files hold, of which one is in frames, begins to differ.
    fn compare_coded(&mut self, source: &File, copy: &File, coding: Coding) -> Result<Option<u64>, Fault> {
        let mut from = Content::of(source, coding.source_codec()).during(Op::Read)?;
        let mut to = Content::of(copy, coding.copy_codec()).during(Op::Read).in_copy()?;
        let mut at = 0;
        while !self.shared.cancel.is_cancelled() {
            let [one, other] = &mut self.buffers;
            let read = from.read_full(one).during(Op::Read)?;
            let there = to.read_full(other).during(Op::Read).in_copy()?;
            if let Some(equal) = differ_at(&one[..read], &other[..there]) {
                return Ok(Some(at + equal as u64));
            }
            self.report.count_bytes(read as u64);
            at += read as u64;
            if read < one.len() {
                break; // both end here
            }
        }
        Ok(None)
    }

    /// Where two files begin to differ between `at` and `end`.
    fn compare(&mut self, source: &File, copy: &File, mut at: u64, end: u64) -> Result<Option<u64>, Fault> {
        let mut holes = CommonHoles::default();
        while at < end && !self.shared.cancel.is_cancelled() {
            if end != u64::MAX {
                let next = holes.pass([source, copy], at, end);
                self.report.count_bytes(next - at);
                at = next;
                if at == end {
                    break;
                }
            }
            let [one, other] = &mut self.buffers;
            let most = one.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            let read = read_full(source, &mut one[..most], at).during(Op::Read)?;
            let there = read_full(copy, &mut other[..most], at).during(Op::Read).in_copy()?;
            if let Some(equal) = differ_at(&one[..read], &other[..there]) {
                return Ok(Some(at + equal as u64));
            }
            self.report.count_bytes(read as u64);
            at += read as u64;
            if read < most {
                break; // both end here
            }
        }
        Ok(None)
    }
}

/// How many bytes two parts have in common, where they are not the same.
fn differ_at(one: &[u8], other: &[u8]) -> Option<usize> {
    (one != other).then(|| one.iter().zip(other).take_while(|(one, other)| one == other).count())
}
