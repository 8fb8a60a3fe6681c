//! What to compare, and how closely.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use crate::{
    digest::DigestKind,
    manifest::ManifestLine,
    options::Compression,
    select::{BadPattern, Rule, Rules},
};

/// What to compare, and how closely; given to [`Engine::compare`](crate::Engine::compare).
///
/// ```
/// use orbit::Comparison;
///
/// let comparison = Comparison::new("photos", "/backup/photos").metadata(true);
/// ```
#[derive(Clone, Debug)]
pub struct Comparison {
    pub(super) with: With,
    pub(super) copy: PathBuf,
    pub(super) metadata: bool,
    pub(super) compression: Compression,
    pub(super) rules: Rules,
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// What the copy is compared with.
#[derive(Clone, Debug)]
pub(super) enum With {
    Source(PathBuf),
    Manifest(DigestKind, Vec<ManifestLine>),
}

impl Comparison {
    /// Compare `copy` with `source`: the kinds of all entries, what files hold, where links lead.
    ///
    /// Paths that lead to directories are followed there; below them no symbolic link is.
    pub fn new(source: impl AsRef<Path>, copy: impl AsRef<Path>) -> Self {
        Self::with(With::Source(source.as_ref().to_owned()), copy.as_ref())
    }

    /// Compare the files of the directory `copy` with the digests in `lines`, which are of this kind.
    pub fn with_manifest(
        kind: DigestKind,
        lines: impl IntoIterator<Item = ManifestLine>,
        copy: impl AsRef<Path>,
    ) -> Self {
        Self::with(With::Manifest(kind, lines.into_iter().collect()), copy.as_ref())
    }

    fn with(with: With, copy: &Path) -> Self {
        Comparison {
            with,
            copy: copy.to_owned(),
            metadata: false,
            compression: Compression::None,
            rules: Rules::default(),
            jobs: None,
        }
    }

    /// Whether metadata is compared as well: mode, owner, modification time (as closely as the copy's
    /// clock tells it), extended attributes, ACLs, device numbers, and which names are one file.
    #[must_use]
    pub fn metadata(self, metadata: bool) -> Self {
        Comparison { metadata, ..self }
    }

    /// What a copy made like this should be: names are told apart, and what files hold is compared, out of
    /// its frames. A manifest is not concerned.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        Comparison { compression, ..self }
    }

    /// Compare only what these rules want, as [`Selection::rules`](crate::Selection::rules) does.
    ///
    /// # Errors
    /// For a pattern that cannot be understood.
    pub fn rules(self, rules: impl IntoIterator<Item = Rule>) -> Result<Self, BadPattern> {
        Ok(Comparison { rules: Rules::compile(rules)?, ..self })
    }

    /// At most this many workers; by default as many as there are cores.
    #[must_use]
    pub fn jobs(self, jobs: NonZeroUsize) -> Self {
        Comparison { jobs: Some(jobs), ..self }
    }
}
