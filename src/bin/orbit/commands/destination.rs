//! Where the copies go: what the arguments say, and what the destination is.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf, is_separator},
};

use clap::error::ErrorKind;
use orbit::{CopyJob, is_own_name};
use os_display::Quotable;

use crate::{args::CopyArgs, commands::job::refusal, output::text::cause_text};

/// The sources, and where their copies go as far as the arguments alone say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Places {
    sources: Vec<PathBuf>,
    destination: Destination,
}

#[derive(Debug, PartialEq, Eq)]
enum Destination {
    /// Into this directory.
    Within(PathBuf),
    /// This path becomes the copy.
    Exact(PathBuf),
    /// The copy of a directory becomes it; a file, or several sources, go into it where it is a directory.
    Either(PathBuf),
}

/// What a look at the source and the destination says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// The one source is a directory, which its copy will be as well.
    pub(crate) source_is_directory: bool,
    /// The destination is a directory, or a symbolic link to one.
    pub(crate) is_directory: bool,
    /// The destination is a symbolic link.
    pub(crate) is_link: bool,
}

impl Places {
    /// What the arguments say.
    pub(crate) fn of(args: &CopyArgs) -> Result<Places, clap::Error> {
        let mut sources = [&args.source[..], &args.paths[..]].concat();
        let mut last = None;
        if args.dest.is_none() && args.target_directory.is_none() && !args.paths.is_empty() {
            last = sources.pop();
        }
        let missing = |what: String| Err(refusal(ErrorKind::MissingRequiredArgument, what));
        let destination = match (&args.target_directory, args.dest.clone().or(last)) {
            (Some(directory), _) => Destination::Within(directory.clone()),
            (None, Some(path)) if args.no_target_directory => Destination::Exact(path),
            (None, Some(path)) if means_into(&path) => Destination::Within(path),
            (None, Some(path)) => Destination::Either(path),
            (None, None) => return missing("a source and a destination are needed".to_owned()),
        };
        let places = Places { sources, destination };
        if places.sources.is_empty() {
            return missing(format!("nothing to copy to {}: a source is needed", places.path().quote()));
        }
        Ok(places)
    }

    fn path(&self) -> &Path {
        match &self.destination {
            Destination::Within(path) | Destination::Exact(path) | Destination::Either(path) => path,
        }
    }

    /// Look at the source and the destination, through symbolic links where the copy goes through them.
    pub(crate) fn look(&self, follows_sources: bool) -> Found {
        let source_is_directory = match &self.sources[..] {
            [source] if follows_sources => fs::metadata(source),
            [source] => fs::symlink_metadata(source),
            _ => return Found { source_is_directory: false, ..Found::of(self.path()) },
        }
        .is_ok_and(|found| found.is_dir());
        Found { source_is_directory, ..Found::of(self.path()) }
    }

    /// The job that copies there; refused where the destination is a directory of other things.
    pub(crate) fn job(self, found: Found) -> Result<CopyJob, clap::Error> {
        let Places { sources, destination } = self;
        match (destination, &sources[..]) {
            (Destination::Exact(path), [source]) => Ok(CopyJob::new(source, path)),
            (Destination::Exact(_), _) => {
                let why = "with --no-target-directory there is one source and one destination";
                Err(refusal(ErrorKind::TooManyValues, why))
            }
            (Destination::Either(path), [source]) if found.source_is_directory && found.is_directory => {
                if let Some(refusal) = stranger(source, &path) {
                    return Err(refusal);
                }
                // Through a link, as everything that is named is.
                let path = if found.is_link { path.join("") } else { path };
                Ok(CopyJob::new(source, path))
            }
            (Destination::Within(path) | Destination::Either(path), _) if found.is_directory => {
                Ok(CopyJob::into_directory(sources, path))
            }
            (Destination::Either(path), [source]) => Ok(CopyJob::new(source, path)),
            (Destination::Within(path) | Destination::Either(path), _) => {
                let mut why = format!("{} is not a directory", path.maybe_quote());
                let looked = fs::metadata(&path).and(fs::symlink_metadata(&path));
                let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
                if let Some(error) = looked.err().filter(|error| !is_missing(error)) {
                    why =
                        format!("cannot look at {}: {}", path.maybe_quote(), cause_text(&error.to_string()));
                } else if fs::symlink_metadata(&path).is_err() {
                    let name = path.components().collect::<PathBuf>();
                    why = format!("{} does not exist", path.maybe_quote());
                    why += &format!("; to copy into it, make it first: mkdir {}", name.maybe_quote());
                    if let [_] = &sources[..] {
                        why += "; without the slash at its end it becomes the copy";
                    }
                }
                Err(refusal(ErrorKind::ValueValidation, why))
            }
        }
    }
}

impl Found {
    fn of(destination: &Path) -> Found {
        Found {
            source_is_directory: false,
            is_directory: fs::metadata(destination).is_ok_and(|found| found.is_dir()),
            is_link: fs::symlink_metadata(destination).is_ok_and(|found| found.is_symlink()),
        }
    }
}

/// Whether a destination says by its own form that copies go into it: `DIR/`, `.`, `DIR/.` and `DIR/..`.
fn means_into(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    let last = text.rsplit(|byte| is_separator(char::from(*byte))).next().unwrap_or_default();
    !text.is_empty() && matches!(last, b"" | b"." | b"..")
}

/// The refusal to merge `source` into a directory that is no earlier copy of it, where it is none.
fn stranger(source: &Path, copy: &Path) -> Option<clap::Error> {
    if is_earlier_copy(source, copy) {
        return None;
    }
    let (from, to) = (source.maybe_quote(), copy.maybe_quote());
    let into = copy.join("");
    let into = into.maybe_quote();
    let why = format!(
        "{to} is a directory that holds other things, and nothing of a name that {from} has: it is no earlier \
         copy of it, so nothing was done. To copy {from} into it, write `orbit {from} {into}`; to merge {from} \
         with what it holds, write `orbit -T {from} {to}`"
    );
    Some(refusal(ErrorKind::ValueValidation, why))
}

/// Whether a directory may be an earlier copy of `source`, or is empty.
///
/// Directories that cannot be listed are left to the copy, which says what it cannot do.
fn is_earlier_copy(source: &Path, copy: &Path) -> bool {
    let Ok(there) = fs::read_dir(copy) else { return true };
    let mut is_empty = true;
    for entry in there {
        let Ok(entry) = entry else { return true };
        let name = entry.file_name();
        if is_own_name(&name) || has_entry(source, &name) {
            return true;
        }
        is_empty = false;
    }
    is_empty || has_times_of(source, copy)
}

/// Whether the source has an entry whose copy may be called `name`.
fn has_entry(source: &Path, name: &OsStr) -> bool {
    let has = |name: &Path| fs::symlink_metadata(source.join(name)).is_ok();
    let name = Path::new(name);
    // As --compress and --decompress call them.
    let suffixed = |suffix: &str| {
        let mut longer = OsString::from(name);
        longer.push(suffix);
        has(Path::new(&longer))
    };
    let is_frame = name.extension().is_some_and(|suffix| suffix == "zst" || suffix == "lz4");
    has(name) || is_frame && has(&name.with_extension("")) || suffixed(".zst") || suffixed(".lz4")
}

/// Whether a directory has a modification time that it was given, and that its source may have had.
///
/// What a mirror keeps may have changed all its names since the last run. A run leaves its copy the time that
/// the source had: later than the source was made, no later than it has been changed since, and other than the
/// time of the directory's last change, which the kernel notes.
fn has_times_of(source: &Path, copy: &Path) -> bool {
    let (Ok(from), Ok(to)) = (fs::metadata(source), fs::metadata(copy)) else { return false };
    let (Ok(made), Ok(changed), Ok(given)) = (from.created(), from.modified(), to.modified()) else {
        return false;
    };
    made <= given && given <= changed && was_given_times(&to)
}

#[cfg(unix)]
fn was_given_times(meta: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (meta.mtime(), meta.mtime_nsec()) != (meta.ctime(), meta.ctime_nsec())
}

#[cfg(not(unix))]
fn was_given_times(_: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_says_that_copies_go_into_a_directory() {
        for into in ["d/", "/", ".", "..", "a/.", "a/..", "d//"] {
            assert!(means_into(Path::new(into)), "{into}");
        }
        for other in ["d", "/d", "a/d", "...", "d.", ".d", ""] {
            assert!(!means_into(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn a_directory_is_an_earlier_copy_where_a_name_is_shared_or_a_marker_lies_there() {
        let root = tempfile::tempdir().unwrap();
        let (source, copy) = (root.path().join("s"), root.path().join("d"));
        fs::create_dir(&source).unwrap();
        fs::create_dir(&copy).unwrap();
        fs::write(source.join("a"), "").unwrap();
        assert!(is_earlier_copy(&source, &copy), "it is empty");
        fs::write(copy.join("other"), "").unwrap();
        assert!(!is_earlier_copy(&source, &copy));
        for shared in ["a", "a.zst", "a.lz4", ".orbit-0123456789abcdef.tmp"] {
            fs::write(copy.join(shared), "").unwrap();
            assert!(is_earlier_copy(&source, &copy), "{shared}");
            fs::remove_file(copy.join(shared)).unwrap();
        }
        for other in [".orbit-notes.tmp", ".orbit-.run", ".orbit-0123456789abcdef.journal.tmp"] {
            fs::write(copy.join(other), "").unwrap();
            assert!(!is_earlier_copy(&source, &copy), "{other} is no file of ours");
            fs::remove_file(copy.join(other)).unwrap();
        }
        assert!(!is_earlier_copy(&source, &copy));
        fs::write(source.join("other.zst"), "").unwrap();
        assert!(is_earlier_copy(&source, &copy), "a frame that was brought back");
    }
}
