//! Where an entry lies, without holding it open.

use std::{
    borrow::Cow,
    ffi::{CStr, CString},
    io, mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    entry::Kind,
    error::shown,
    options::Compression,
    platform::{self, Dir},
};

/// A directory of the tree that is copied: its name and the one above it.
///
/// Places outlive the work on their directory: hard links and events refer to them.
#[derive(Debug)]
pub(crate) struct DirPath {
    above: Above,
    name: Box<CStr>,
    compression: Compression,
}

#[derive(Debug)]
enum Above {
    DirPath(Arc<DirPath>),
    /// This is where the copy begins: the directories that hold the source and the copy.
    Root(Box<Root>),
    /// It was taken away; only while dropping.
    Nothing,
}

/// Where a source and its copy lie; the latter's directory is open for as long as the run needs it.
#[derive(Debug)]
pub(crate) struct Root {
    /// The number of the source.
    pub(crate) source_index: usize,
    pub(crate) target: Arc<Dir>,
    pub(crate) source_path: PathBuf,
    pub(crate) target_path: PathBuf,
    /// The copy's name, where it is not what follows from the source's.
    pub(crate) renamed: Option<CString>,
    /// What copies of files are called, apart from that.
    pub(crate) compression: Compression,
    /// The span of the run, for those of its directories.
    pub(crate) run: tracing::Span,
}

impl DirPath {
    pub(crate) fn root(root: Root) -> DirPath {
        let compression = root.compression;
        DirPath { above: Above::Root(Box::new(root)), name: c"".into(), compression }
    }

    /// A place that is in no tree.
    #[cfg(test)]
    pub(crate) fn nowhere() -> DirPath {
        DirPath { above: Above::Nothing, name: c"".into(), compression: Compression::None }
    }

    pub(crate) fn below(parent: &Arc<DirPath>, name: &CStr) -> DirPath {
        DirPath { above: Above::DirPath(parent.clone()), name: name.into(), compression: parent.compression }
    }

    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }

    pub(crate) fn is_root(&self) -> bool {
        matches!(self.above, Above::Root(_))
    }

    /// What the copy of this place's entry `name`, which is a `kind`, is called.
    pub(crate) fn target_name<'a>(&'a self, name: &'a CStr, kind: Kind) -> Cow<'a, CStr> {
        match &self.above {
            Above::Root(root) if root.renamed.is_some() => {
                Cow::Borrowed(root.renamed.as_deref().unwrap_or(name))
            }
            _ if kind == Kind::File => self.compression.copy_name(name),
            _ => Cow::Borrowed(name),
        }
    }

    /// The root, and the names that lead from there to here.
    fn path_down(&self) -> (&Root, Vec<&CStr>) {
        let mut names = Vec::new();
        let mut at = self;
        loop {
            match &at.above {
                Above::Root(root) => {
                    names.reverse();
                    return (root, names);
                }
                Above::DirPath(parent) => {
                    names.push(&*at.name);
                    at = parent;
                }
                Above::Nothing => unreachable!("places are asked only while they live"),
            }
        }
    }

    /// The number of the source that this lies in.
    pub(crate) fn source_index(&self) -> Option<usize> {
        let mut at = self;
        loop {
            match &at.above {
                Above::Root(root) => return Some(root.source_index),
                Above::DirPath(parent) => at = parent,
                Above::Nothing => return None,
            }
        }
    }

    /// The names that lead from the root to here, that of the source first.
    pub(crate) fn names_down(&self) -> Vec<&CStr> {
        self.path_down().1
    }

    /// The path of this place's source entry `name`.
    pub(crate) fn source_path(&self, name: &CStr) -> PathBuf {
        let (root, mut names) = self.path_down();
        names.push(name);
        joined(&root.source_path, &names)
    }

    /// The path of the copy of this place's entry `name`, which is a `kind`.
    pub(crate) fn target_path(&self, name: &CStr, kind: Kind) -> PathBuf {
        self.path_in_copy(&self.target_name(name, kind))
    }

    /// The path of what is called `name` in the copy of this place.
    pub(crate) fn path_in_copy(&self, name: &CStr) -> PathBuf {
        let (root, mut names) = self.path_down();
        names.push(name);
        if let Some(renamed) = &root.renamed {
            names[0] = renamed;
        }
        joined(&root.target_path, &names)
    }

    /// The path of the copy of the whole source.
    pub(crate) fn whole_copy(&self) -> PathBuf {
        let (root, names) = self.path_down();
        let first = names.first().copied().unwrap_or_default();
        joined(&root.target_path, &[root.renamed.as_deref().unwrap_or(first)])
    }

    /// A span for work on this place; its path is built only where somebody wants it.
    pub(crate) fn span(&self) -> tracing::Span {
        let run = || &self.path_down().0.run;
        tracing::debug_span!(parent: run(), "directory", path = %shown(&self.source_path(c"")))
    }

    /// Open this place's directory in the source again, by its path.
    pub(crate) fn open_source(&self) -> io::Result<Dir> {
        let path = self.source_path(c"");
        match Dir::open(or_here(&path)) {
            // Longer than a path may be.
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
                let (root, names) = self.path_down();
                Dir::open(or_here(&root.source_path))?.open_beneath(&names)
            }
            opened => opened,
        }
    }

    /// Open this place's directory in the copy again, for naming what is in it.
    pub(crate) fn open_target(&self) -> io::Result<Dir> {
        let (root, mut names) = self.path_down();
        if let (Some(renamed), Some(first)) = (&root.renamed, names.first_mut()) {
            *first = renamed;
        }
        root.target.open_beneath(&names)
    }
}

/// A path to a directory, where an empty one is the present one.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn joined(base: &Path, names: &[&CStr]) -> PathBuf {
    let length = names.iter().map(|name| name.count_bytes() + 1).sum();
    let mut path = base.as_os_str().to_owned();
    path.reserve(length);
    let mut path = PathBuf::from(path);
    for name in names {
        match name.to_bytes() {
            b"" | b"." => {} // the place itself
            _ => path.push(platform::to_os(name)),
        }
    }
    path
}

impl Drop for DirPath {
    /// Unwinds a chain of any depth in a loop: dropping it by recursion could overflow the stack.
    fn drop(&mut self) {
        let mut above = mem::replace(&mut self.above, Above::Nothing);
        while let Above::DirPath(place) = above {
            let Some(mut place) = Arc::into_inner(place) else { break };
            above = mem::replace(&mut place.above, Above::Nothing);
        }
    }
}
