//! Where a log may lie.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use orbit::{CopyJob, Target};
use same_file::is_same_file;

use crate::output::text::quoted;

/// Say what is wrong with the place of a log: within a source it would change while it is copied, and
/// within a copy it would be replaced or deleted, or be written into.
pub(crate) fn check(log: &Path, manifest: Option<&Path>, job: &CopyJob) -> Result<(), String> {
    let log_is = |place: &str| Err(format!("the log {} lies {place}; name another file", quoted(log)));
    if is_no_file(log) {
        return Ok(());
    }
    if fs::symlink_metadata(log).is_ok_and(|meta| meta.is_symlink()) && !log.exists() {
        return log_is("behind a symbolic link to nothing");
    }
    if manifest.is_some_and(|manifest| is_within(log, manifest)) {
        return log_is("where the manifest goes");
    }
    if job.sources().iter().any(|source| is_copied(log, source, job)) {
        return log_is("in a source");
    }
    if copies(job).iter().any(|copy| is_within(log, copy)) {
        return log_is("in the copy");
    }
    Ok(())
}

/// Whether there is something that is neither a file nor a directory, such as a pipe.
fn is_no_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// Where the copies of the sources go.
pub(crate) fn copies(job: &CopyJob) -> Vec<PathBuf> {
    match job.target() {
        Target::Within(directory) => {
            let copy = |source: &PathBuf| match source.file_name() {
                Some(name) => directory.join(name),
                None => directory.clone(), // its name is found out later
            };
            job.sources().iter().map(copy).collect()
        }
        target => vec![target.path().to_owned()],
    }
}

/// Whether `path`, which need not be there, is or lies in a `source`, and the run may come to it.
fn is_copied(path: &Path, source: &Path, job: &CopyJob) -> bool {
    is_within(path, source) && {
        let below = real(path).ok().zip(fs::canonicalize(source).ok());
        let below = below.and_then(|(path, source)| path.strip_prefix(source).ok().map(Path::to_owned));
        // Where it lies there by another name, that may be come to.
        below.is_none_or(|below| job.may_come_to(source, &below))
    }
}

/// Whether `path`, which need not be there, is `root` or lies below it, by whatever names.
fn is_within(path: &Path, root: &Path) -> bool {
    let Ok(real) = real(path) else { return false };
    if real_or_given(root) == real {
        return true;
    }
    real.ancestors().any(|above| is_same_file(above, root).unwrap_or(false))
}

fn real_or_given(path: &Path) -> PathBuf {
    real(path).unwrap_or_else(|_| path.to_owned())
}

/// The path without symbolic links; only the last component may be missing.
fn real(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path).or_else(|error| {
        let Some(name) = path.file_name() else { return Err(error) };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok(fs::canonicalize(parent.unwrap_or(Path::new(".")))?.join(name))
    })
}

#[cfg(test)]
mod tests {
    use orbit::{FileList, FollowLinks, Rule, Selection};

    use super::*;

    fn refusal(log: &Path, job: &CopyJob) -> Option<String> {
        check(log, None, job).err()
    }

    #[test]
    fn a_log_lies_beside_what_is_copied_and_not_in_it() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("src/below")).unwrap();
        fs::create_dir_all(at("dst/src")).unwrap();
        let within = CopyJob::into_directory([at("src")], at("dst"));
        let exact = CopyJob::new(at("src"), at("dst"));
        let new = CopyJob::new(at("src"), at("new"));
        for (log, job, is_fine) in [
            ("log", &within, true),
            ("dst/log", &within, true),
            ("dst/src/log", &within, false),
            ("dst/log", &exact, false),
            ("dst/../log", &exact, true),
            ("src/below/log", &exact, false),
            ("src/below/../../log", &exact, true),
            ("src/log", &within, false),
            ("new", &new, false),
            ("newer", &new, true),
        ] {
            assert_eq!(refusal(&at(log), job).is_none(), is_fine, "{log}: {job:?}");
        }
        assert!(check(&at("sums"), Some(&at("dst/../sums")), &new).is_err());
    }

    #[test]
    fn a_log_may_lie_in_a_source_where_the_run_does_not_come() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("src/logs/old")).unwrap();
        let rules = |rules: &[&str]| {
            let rules = rules.iter().map(|rule| Rule::Exclude((*rule).to_owned()));
            Selection::default().rules(rules).unwrap()
        };
        let list = |names: &str| Selection::default().files(FileList::read(names.as_bytes(), b'\n').unwrap());
        for (log, selection, is_fine) in [
            ("src/logs/log", Selection::default(), false),
            ("src/logs/log", rules(&["/logs"]), true),
            ("src/logs/old/log", rules(&["logs/"]), true),
            ("src/logs/log", rules(&["*.txt"]), false),
            ("src/logs/log", rules(&["log"]), true),
            ("src/logs/log", rules(&["log/"]), false),
            ("src/logs/log", list("a\nlogs/other"), true),
            ("src/logs/log", list("a\nlogs/log"), false),
            ("src/logs/log", list("a\nlogs"), false),
            ("src/logs/log", rules(&["/logs"]).follow(FollowLinks::Always), false),
            // All is of one filesystem.
            ("src/logs/log", Selection::default().one_file_system(true), false),
        ] {
            let job = CopyJob::new(at("src"), at("dst")).select(selection);
            assert_eq!(refusal(&at(log), &job).is_none(), is_fine, "{log}: {job:?}");
            let sources = CopyJob::into_directory([at("src"), at("src/logs")], at("dst"));
            assert!(refusal(&at(log), &sources.select(rules(&["/logs"]))).is_some(), "of another source");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_log_is_found_in_the_copy_through_links() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in ["src", "dst", "elsewhere"] {
            fs::create_dir(at(name)).unwrap();
        }
        std::os::unix::fs::symlink(at("dst"), at("elsewhere/link")).unwrap();
        std::os::unix::fs::symlink(at("dst/a"), at("log")).unwrap();
        fs::write(at("dst/a"), b"").unwrap();
        let job = CopyJob::new(at("src"), at("dst"));
        assert!(refusal(&at("elsewhere/link/log"), &job).is_some());
        assert!(refusal(&at("log"), &job).is_some());
        assert!(refusal(&at("elsewhere/log"), &job).is_none());
    }
}
