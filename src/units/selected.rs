//! Which entries of a directory are wanted.

use std::{ffi::CStr, io::Read, path::PathBuf, sync::Arc};

use super::{Node, Place};
use crate::{
    entry::{Kind, Meta},
    error::{During, Fault, Op},
    platform::{self, Dir},
    scheduler::Worker,
    select::{Ignores, Wanted},
};

/// What is wanted of what a directory holds.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// The ignore files that hold here.
    pub(super) ignores: Option<Arc<Ignores>>,
    /// The names that are wanted, where not all are.
    pub(super) names: Option<Arc<Wanted>>,
    /// Whether nothing is, because another filesystem begins here.
    pub(super) is_boundary: bool,
}

impl Worker {
    /// What is wanted of the directory `name` of `parent`, open as `source`.
    pub(super) fn chosen(
        &self,
        parent: &Node,
        name: &CStr,
        source: &Dir,
        meta: &Meta,
    ) -> Result<Chosen, Fault> {
        let selection = &self.context.job.selection;
        let is_root = parent.place.is_root();
        let names = match (&selection.files, &parent.chosen.names) {
            (Some(files), _) if is_root => Some(files.root()).filter(|wanted| !wanted.whole),
            (_, Some(wanted)) => wanted.below.get(name).filter(|below| !below.whole),
            _ => None,
        };
        let mut ignores = parent.chosen.ignores.clone();
        if selection.gitignore
            && let Some(text) = ignore_file(source)?
        {
            ignores = Some(Ignores::with(ignores, parent.place.depth(), &text));
        }
        let is_boundary = selection.one_file_system && !is_root && meta.id.dev != parent.source_id.dev;
        Ok(Chosen { ignores, names: names.cloned(), is_boundary })
    }

    /// Whether the rules leave an entry out, listed as `listed`.
    pub(super) fn is_excluded(&self, node: &Node, name: &CStr, listed: Option<Kind>) -> Result<bool, Fault> {
        let kind = match listed {
            Some(Kind::Symlink) | None if self.context.job.selection.has_rules() => {
                let dirs = node.dirs()?;
                match listed {
                    Some(kind) if !dirs.source.follows() => kind,
                    _ => dirs.source.stat(name).during(Op::Stat)?.kind,
                }
            }
            Some(kind) => kind,
            None => return Ok(false),
        };
        Ok(!self.wants(node, name, kind))
    }

    /// Whether the rules want an entry of this name and kind; asked of entries of the source, and of
    /// those that only the copy has.
    pub(super) fn wants(&self, node: &Node, name: &CStr, kind: Kind) -> bool {
        self.wants_at(&node.place, node.chosen.ignores.as_deref(), name, kind)
    }

    /// The same of an entry of the directory at `place`, where these ignore files hold.
    pub(super) fn wants_at(&self, place: &Place, ignores: Option<&Ignores>, name: &CStr, kind: Kind) -> bool {
        let selection = &self.context.job.selection;
        let is_directory = kind == Kind::Directory;
        if !selection.has_rules() || place.is_root() && is_directory {
            return true;
        }
        let path = place.path_below(name);
        selection.wants_path(&path, is_directory)
            && ignores.is_none_or(|ignores| ignores.want(&path, is_directory))
    }

    /// Leave a regular file out that is not of the size or time that is wanted.
    pub(super) fn leaves_out(&mut self, meta: &Meta) -> bool {
        let wants = self.context.job.selection.wants_file(meta.size, meta.modified);
        if !wants {
            self.outcomes.totals.excluded += 1;
        }
        !wants
    }
}

/// What the ignore file of a directory says, if it has one; a link is none, as for git.
fn ignore_file(source: &Dir) -> Result<Option<Vec<u8>>, Fault> {
    let file = match source.open_existing(Ignores::NAME) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if platform::is_other_kind(&error) => return Ok(None),
        Err(error) => return Err(Fault::new(Op::Read, error)),
    };
    if platform::meta(&file).during(Op::Stat)?.kind != Kind::File {
        return Ok(None);
    }
    let mut text = Vec::new();
    file.take(Ignores::SIZE_MAX).read_to_end(&mut text).during(Op::Read)?;
    Ok(Some(text))
}

impl Place {
    /// How many names lead from the source to this directory.
    fn depth(&self) -> usize {
        self.names_down().len()
    }

    /// The path of this directory's entry `name`, below the source; of the source its own name.
    fn path_below(&self, name: &CStr) -> PathBuf {
        let names = self.names_down();
        names.iter().skip(1).copied().chain([name]).map(platform::to_os).collect()
    }
}
