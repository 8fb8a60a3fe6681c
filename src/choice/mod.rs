//! Which entries are wanted, of the source and of what only the copy has.

mod destination;
mod rules_used;

use std::{
    ffi::CStr,
    io::{self, Read},
    sync::Arc,
};

pub(crate) use destination::refuse_directory_name;

use crate::{
    entry::{Kind, Meta},
    error::{During, Fault, Op},
    outcomes::Teller,
    platform::{self, Dir},
    select::Ignores,
    setting::Setting,
    tree::{Chosen, DirNode, DirPath},
};
use rules_used::RulesUsed;

/// Which entries a run wants.
#[derive(Debug)]
pub(crate) struct Choice {
    setting: Arc<Setting>,
    rules_used: RulesUsed,
}

impl Choice {
    pub(crate) fn new(setting: Arc<Setting>) -> Choice {
        Choice { rules_used: RulesUsed::of(&setting.job.selection.rules), setting }
    }

    /// Whether a directory of `parent` is not looked into, because another filesystem begins there.
    pub(crate) fn is_boundary(&self, parent: &DirNode, meta: &Meta) -> bool {
        let is_asked = self.setting.job.selection.one_file_system && !parent.place.is_root();
        is_asked && meta.id.dev != parent.source_id.dev
    }

    /// What is wanted of the directory `name` of `parent`, open as `source`.
    pub(crate) fn chosen(
        &self,
        parent: &DirNode,
        name: &CStr,
        source: &Dir,
        meta: &Meta,
    ) -> Result<Chosen, Fault> {
        let selection = &self.setting.job.selection;
        let is_root = parent.place.is_root();
        let names = match (&selection.files, &parent.chosen.names) {
            (Some(files), _) if is_root => Some(files.root()),
            (_, Some(wanted)) => wanted.below.get(name),
            _ => None,
        };
        let is_whole = !is_root && parent.chosen.is_whole || names.is_some_and(|names| names.whole);
        let mut ignores = parent.chosen.ignores.clone();
        let is_boundary = self.is_boundary(parent, meta);
        if selection.gitignore && !is_boundary {
            ignores = with_ignore_file(ignores, source, parent.place.depth())?;
        }
        Ok(Chosen { ignores, names: names.cloned(), is_whole, is_boundary })
    }

    /// Whether the rules leave an entry out, listed as `listed`.
    pub(crate) fn is_excluded(
        &self,
        node: &DirNode,
        name: &CStr,
        listed: Option<Kind>,
    ) -> Result<bool, Fault> {
        let kind = match listed {
            Some(Kind::Symlink) | None if self.setting.job.selection.has_rules() => {
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
    pub(crate) fn wants(&self, node: &DirNode, name: &CStr, kind: Kind) -> bool {
        self.wants_at(&node.place, node.chosen.ignores.as_deref(), name, kind)
    }

    /// The same of an entry of the directory at `place`, where these ignore files hold.
    pub(crate) fn wants_at(
        &self,
        place: &DirPath,
        ignores: Option<&Ignores>,
        name: &CStr,
        kind: Kind,
    ) -> bool {
        let selection = &self.setting.job.selection;
        let is_directory = kind == Kind::Directory;
        if !selection.has_rules() || place.is_root() && is_directory {
            return true;
        }
        let path = place.path_below(name);
        self.wants_path(&path, is_directory, ignores)
    }

    /// Whether the rules want the entry at `path`, below the source, where these ignore files hold.
    pub(crate) fn wants_path(&self, path: &[u8], is_directory: bool, ignores: Option<&Ignores>) -> bool {
        let rules = &self.setting.job.selection.rules;
        let is_wanted = match rules.decides(path, is_directory) {
            Some(rule) => {
                self.rules_used.note(rule);
                rules.includes(rule)
            }
            None => true,
        };
        is_wanted && ignores.is_none_or(|ignores| ignores.want(path, is_directory))
    }

    /// Leave a regular file out that is not of the size or time that is wanted.
    pub(crate) fn leaves_out(&self, teller: &mut Teller, meta: &Meta) -> bool {
        let wants = self.setting.job.selection.wants_file(meta.size, meta.modified);
        if !wants {
            teller.outcomes.totals.excluded += 1;
        }
        !wants
    }
}

/// The ignore files that hold in a directory `depth` parts below the source, which is open as `source`, where
/// `above` hold in the one above it.
pub(crate) fn with_ignore_file(
    above: Option<Arc<Ignores>>,
    source: &Dir,
    depth: usize,
) -> Result<Option<Arc<Ignores>>, Fault> {
    let room = Ignores::room_below(above.as_deref());
    let text = ignore_file(source, room).map_err(|fault| {
        if fault.is_transient() {
            return fault;
        }
        let why =
            format!("its .gitignore cannot be honoured, and nothing is copied without it: {}", fault.cause);
        Fault { cause: io::Error::new(fault.cause.kind(), why), ..fault }
    })?;
    Ok(match text {
        Some(text) => Some(Ignores::with(above, depth, &text)),
        None => above,
    })
}

/// What the ignore file of a directory says, if it has one; a link or a directory is none, as for git.
fn ignore_file(source: &Dir, room: u64) -> Result<Option<Vec<u8>>, Fault> {
    match source.stat(Ignores::NAME) {
        Ok(Meta { kind: Kind::File, .. }) => {}
        Ok(Meta { kind: Kind::Symlink | Kind::Directory, .. }) => return Ok(None),
        Ok(Meta { kind, .. }) => return Err(Fault::refused(Op::Read, format!("it is {}", kind.described()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::new(Op::Stat, error)),
    }
    let file = source.open_source(Ignores::NAME).during(Op::Read)?;
    if platform::meta(&file).during(Op::Stat)?.kind != Kind::File {
        return Err(Fault::refused(Op::Read, "it is no regular file any more"));
    }
    let mut text = Vec::new();
    file.take(room + 1).read_to_end(&mut text).during(Op::Read)?;
    if text.len() as u64 > room {
        return Err(Fault::refused(
            Op::Read,
            format!("with those above it, it is larger than {} MiB", Ignores::SIZE_MAX >> 20),
        ));
    }
    Ok(Some(text))
}

impl DirPath {
    /// How many names lead from the source to this directory.
    fn depth(&self) -> usize {
        self.names_down().len()
    }

    /// The path of this directory's entry `name`, below the source, with slashes; of the source its own name.
    fn path_below(&self, name: &CStr) -> Vec<u8> {
        let names = self.names_down();
        let parts: Vec<_> = names.iter().skip(1).copied().chain([name]).map(CStr::to_bytes).collect();
        parts.join(&b'/')
    }
}
