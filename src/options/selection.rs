//! Which entries of the sources are copied.

use std::{ffi::CString, fmt, ops::RangeInclusive, path::Path, time::SystemTime};

use crate::{
    entry::Stamp,
    select::{BadPattern, FileList, Rule, Rules},
};

/// Which symbolic links of the sources are followed, and what they lead to copied in their place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FollowLinks {
    /// None: links are copied as links. The default.
    #[default]
    Never,
    /// Sources that are links themselves.
    Sources,
    /// All. A link that leads to a directory which it lies in, or to nothing, is a failure. Whoever may
    /// write in the source then says what is copied.
    Always,
}

/// Which entries of the sources are copied; by default all.
///
/// Paths are those below the source. What is left out is neither copied, nor counted as found, nor ever
/// deleted from the copy.
#[derive(Clone, Debug)]
pub struct Selection {
    pub(crate) rules: Rules,
    /// The rules as they were given, hashed.
    rules_said: Option<blake3::Hash>,
    pub(crate) gitignore: bool,
    sizes: RangeInclusive<u64>,
    newer_than: Option<Stamp>,
    pub(crate) one_file_system: bool,
    pub(crate) follow: FollowLinks,
    pub(crate) files: Option<FileList>,
}

impl Default for Selection {
    fn default() -> Self {
        Selection {
            rules: Rules::default(),
            rules_said: None,
            gitignore: false,
            sizes: 0..=u64::MAX,
            newer_than: None,
            one_file_system: false,
            follow: FollowLinks::Never,
            files: None,
        }
    }
}

impl Selection {
    /// Include and exclude by these rules, in their order; the first that matches decides, and what none
    /// matches is wanted.
    ///
    /// # Errors
    /// For a pattern that cannot be understood, or that nothing could match.
    pub fn rules(self, rules: impl IntoIterator<Item = Rule>) -> Result<Self, BadPattern> {
        let rules: Vec<Rule> = rules.into_iter().collect();
        let rules_said = (!rules.is_empty()).then(|| blake3::hash(format!("{rules:?}").as_bytes()));
        Ok(Selection { rules: Rules::compile(rules)?, rules_said, ..self })
    }

    /// Whether `.gitignore` files of the source hold (gitignore(5)); they do not by default.
    ///
    /// They are those files alone, not what git has in `.git/info/exclude` or in its settings, nor files above the
    /// source; and what git tracks is left out as well where they say so. A directory fails whose file cannot be
    /// read or is too large (16 MiB, with those above it).
    #[must_use]
    pub fn gitignore(self, gitignore: bool) -> Self {
        Selection { gitignore, ..self }
    }

    /// Only regular files of these sizes, in bytes; other entries are not concerned.
    #[must_use]
    pub fn sizes(self, sizes: RangeInclusive<u64>) -> Self {
        Selection { sizes, ..self }
    }

    /// Only regular files that were modified at this time or later; other entries are not concerned.
    #[must_use]
    pub fn newer_than(self, time: SystemTime) -> Self {
        Selection { newer_than: Some(time.into()), ..self }
    }

    /// Whether to stay on the filesystem of each source; directories that others are mounted on are then
    /// created and left empty.
    #[must_use]
    pub fn one_file_system(self, one_file_system: bool) -> Self {
        Selection { one_file_system, ..self }
    }

    /// Which symbolic links are followed; [`FollowLinks::Never`] by default.
    #[must_use]
    pub fn follow(self, follow: FollowLinks) -> Self {
        Selection { follow, ..self }
    }

    /// Only these names below the source, which must be a directory, with everything in them. What is not there, and
    /// what the list takes for a directory when it is none, is a failure.
    #[must_use]
    pub fn files(self, files: FileList) -> Self {
        Selection { files: Some(files), ..self }
    }

    /// Whether rules and lists choose the file at `path`, and the directories that lead there. Ignore files
    /// are not asked.
    pub(crate) fn may_choose(&self, path: &Path) -> bool {
        let mut wanted = self.files.as_ref().map(|files| files.root().clone()).filter(|root| !root.whole);
        let mut so_far = Vec::new();
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            let Ok(name) = CString::new(part.as_os_str().as_encoded_bytes()) else { return true };
            if let Some(list) = wanted.take() {
                let Some(below) = list.below.get(&*name) else { return false };
                wanted = Some(below.clone()).filter(|below| !below.whole);
            }
            if !so_far.is_empty() {
                so_far.push(b'/');
            }
            so_far.extend_from_slice(name.to_bytes());
            if !self.rules.want(&so_far, parts.peek().is_some()) {
                return false;
            }
        }
        true
    }

    /// Whether nothing is left out but what is on other filesystems.
    pub(crate) fn wants_all(&self) -> bool {
        !self.has_rules() && self.sizes == (0..=u64::MAX) && self.newer_than.is_none() && self.files.is_none()
    }

    /// Whether nothing at all is left out.
    pub(crate) fn is_everything(&self) -> bool {
        self.wants_all() && !self.one_file_system
    }

    /// Say which entries these are, so that two which choose the same say the same.
    pub(crate) fn say(&self, to: &mut impl fmt::Write) -> fmt::Result {
        let Selection { rules: _, rules_said, gitignore, sizes, newer_than, one_file_system, follow, files } =
            self;
        write!(
            to,
            "{rules_said:?} {gitignore} {sizes:?} {newer_than:?} {one_file_system} {follow:?} {files:?}"
        )
    }

    /// Whether any rule concerns paths.
    pub(crate) fn has_rules(&self) -> bool {
        !self.rules.are_none() || self.gitignore
    }

    /// Whether a regular file of this size and modification time is wanted.
    pub(crate) fn wants_file(&self, size: u64, modified: Stamp) -> bool {
        self.sizes.contains(&size) && self.newer_than.is_none_or(|time| modified >= time)
    }
}
