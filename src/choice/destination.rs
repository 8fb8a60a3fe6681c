//! Looks at where a copy is to go, before anything is done.

use std::{
    ffi::{CStr, CString},
    fs, io,
    path::{Component, Path},
};

use super::Choice;
use crate::{
    choice::with_ignore_file,
    entry::{FileId, Kind, Meta},
    error::{During, Failure, Fault, Op, Sided},
    job::Target,
    platform::{self, Dir, Mounts},
    refusal::Refusal,
    tree::{SplitPath, ends_in_separator},
};

impl Choice {
    /// What is there where the copy of `source`, which is no directory, is to go; refused where that is no place
    /// for it.
    pub(crate) fn look_at_destination(
        &self,
        source: &Meta,
        target: &Dir,
        to: &SplitPath,
    ) -> Result<Option<Meta>, Failure> {
        let path = || to.directory.join(platform::to_os(&to.name));
        let failed = |error| Failure::new(Op::Replace, path(), error);
        let refused = |why: Refusal| Err(failed(io::Error::other(why)));
        let found = match target.stat(&to.name) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let there = match found.kind {
            Kind::Symlink => target.stat_through(&to.name),
            _ => Ok(found),
        };
        // A link that is met in a tree is replaced; one that the caller names to be written to must not turn out
        // to be the source.
        if there.as_ref().is_ok_and(|there| there.id == source.id) {
            return refused(Refusal::SameFile);
        }
        if found.kind != Kind::Symlink || !matches!(self.setting.job.target, Target::Exact(_)) {
            return Ok(Some(found));
        }
        match there {
            Ok(there) if there.kind.is_special() => refused(
                format!("it is a link to {}, which a copy does not replace", there.kind.described()).into(),
            ),
            Ok(there) if there.kind == Kind::File && leads_to_open_file(&path(), &self.setting.mounts) => {
                refused("it is a link to an open file of a process; name that file itself".into())
            }
            // One to nothing is replaced like any other.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(Some(found)),
        }
    }

    /// Refuse a source directory that holds the directory which its copy goes into, unless this run cannot come
    /// to where the copy is: because of a rule, a list, or another filesystem.
    pub(crate) fn refuse_into_itself(
        &self,
        (source, meta): (&Dir, &Meta),
        (target, to): (&Dir, &SplitPath),
    ) -> Result<(), Fault> {
        let Some(depth) = depth_below(target, meta.id).during(Op::Copy)? else { return Ok(()) };
        let is_met = match names_to(&to.directory, depth) {
            Some(names) => self.comes_to(source, meta, &names, &to.name)?,
            None => true,
        };
        if !is_met {
            return Ok(());
        }
        Err(Fault::refused(
            Op::Copy,
            Refusal::IntoItself("a directory cannot be copied into itself; leave out the directory that the copy is in (--exclude), or \
             where that is on another filesystem, stay on this one (-x)".to_owned()),
        ))
    }

    /// Whether the walk of a source comes to what is called `copy` in the directory that `names` lead to from it.
    fn comes_to(&self, source: &Dir, meta: &Meta, names: &[CString], copy: &CStr) -> Result<bool, Fault> {
        let selection = &self.setting.job.selection;
        // Of several copies in one directory none may be come to.
        let is_only_one = self.setting.job.sources.len() == 1;
        let copy = Some(copy).filter(|copy| *copy != c"." && is_only_one);
        let mut path = Vec::new();
        let mut dir = source.open_dir(c".").during(Op::Open)?;
        let mut wanted =
            selection.files.as_ref().map(|files| files.root().clone()).filter(|root| !root.whole);
        let mut ignores = None;
        for (depth, name) in names.iter().map(|name| &**name).chain(copy).enumerate() {
            if selection.gitignore {
                ignores = with_ignore_file(ignores, &dir, depth)?;
            }
            if let Some(list) = wanted.take() {
                let Some(below) = list.below.get(name) else { return Ok(false) };
                wanted = Some(below.clone()).filter(|below| !below.whole);
            }
            if depth > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name.to_bytes());
            if selection.has_rules() && !self.wants_path(&path, true, ignores.as_deref()) {
                return Ok(false);
            }
            dir = match dir.open_dir(name) {
                // The copy, which is not there yet.
                Err(error) if depth == names.len() && error.kind() == io::ErrorKind::NotFound => {
                    return Ok(true);
                }
                // What is in its way is told when it is made.
                Err(error) if depth == names.len() && error.kind() == io::ErrorKind::NotADirectory => {
                    return Ok(false);
                }
                opened => opened.during(Op::Open).in_copy()?,
            };
            if selection.one_file_system && dir.meta().during(Op::Stat)?.id.dev != meta.id.dev {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// How many directories lead down from the one that is `source` to `target`, if it lies below.
fn depth_below(target: &Dir, source: FileId) -> io::Result<Option<usize>> {
    let mut at = target.duplicate()?;
    let mut id = at.meta()?.id;
    for depth in 0.. {
        if id == source {
            return Ok(Some(depth));
        }
        // A directory above that may not be searched ends the climb: what holds it is not asked.
        let Ok(above) = at.open_path(c"..") else { break };
        let above_id = above.meta()?.id;
        if above_id == id {
            break;
        }
        (at, id) = (above, above_id);
    }
    Ok(None)
}

/// The last `depth` names of a directory's path without links, if that has so many.
fn names_to(directory: &Path, depth: usize) -> Option<Vec<CString>> {
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let path = fs::canonicalize(here).ok()?;
    let names: Vec<_> = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let names = &names[names.len().checked_sub(depth)?..];
    names.iter().map(|name| platform::to_name(name.as_os_str()).ok()).collect()
}

/// Whether a chain of links leads through one that stands for what a process has open, as /dev/stdout does.
fn leads_to_open_file(link: &Path, mounts: &Mounts) -> bool {
    const LINKS_MAX: usize = 40;
    let mut at = link.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(points_to) = fs::read_link(&at) else { return false };
        let holder = at.parent().filter(|holder| !holder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mount = Dir::open(holder).ok().and_then(|holder| mounts.of(&holder));
        if mount.is_some_and(|mount| mount.filesystem == "proc") {
            return true;
        }
        at = holder.join(points_to);
    }
    true
}

/// Refuse to make anything but a directory under a name that a separator marks as one.
pub(crate) fn refuse_directory_name(
    path: &Path,
    target: &Dir,
    name: &CStr,
    kind: Kind,
) -> Result<(), Failure> {
    let is_directory = || target.stat(name).is_ok_and(|there| there.kind == Kind::Directory);
    if kind == Kind::Directory || !ends_in_separator(path) || is_directory() {
        return Ok(());
    }
    let op = match kind {
        Kind::Symlink => Op::CreateSymlink,
        kind if kind.is_special() => Op::CreateSpecial,
        _ => Op::CreateFile,
    };
    Err(Failure::new(op, path, io::ErrorKind::NotADirectory))
}
