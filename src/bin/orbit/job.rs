//! From arguments to a job.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{CommandFactory, error::ErrorKind};
use orbit::{CopyJob, DataOptions, Preserve, ZeroCopy};
use os_display::Quotable;

use super::{
    args::{Backend, Cli, CopyArgs, Existing, Kept, Reflink, Sparse},
    log,
};

/// The sources, and where their copies go as far as the arguments alone say.
#[derive(Debug, PartialEq, Eq)]
struct Places {
    sources: Vec<PathBuf>,
    destination: Destination,
}

#[derive(Debug, PartialEq, Eq)]
enum Destination {
    /// Into this directory.
    Within(PathBuf),
    /// This path becomes the copy.
    Exact(PathBuf),
    /// Into it where it is a directory; otherwise it becomes the copy.
    Either(PathBuf),
}

impl Destination {
    fn path(&self) -> &Path {
        match self {
            Destination::Within(path) | Destination::Exact(path) | Destination::Either(path) => path,
        }
    }
}

/// The job that the arguments describe; looks at what the destination is.
pub(crate) fn job_of(args: &CopyArgs) -> Result<CopyJob, clap::Error> {
    let places = places(args)?;
    // Through symbolic links, as for every command.
    let is_directory = fs::metadata(places.destination.path()).is_ok_and(|found| found.is_dir());
    let job = job(args, places, is_directory)?;
    if let Some(log) = &args.log {
        log::check_place(log, args.checks.manifest.as_deref(), &job)
            .map_err(|why| refusal(ErrorKind::ValueValidation, why))?;
    }
    Ok(job)
}

fn refusal(kind: ErrorKind, why: impl std::fmt::Display) -> clap::Error {
    Cli::command().error(kind, why)
}

fn places(args: &CopyArgs) -> Result<Places, clap::Error> {
    let mut sources = [&args.source[..], &args.paths[..]].concat();
    let mut last = None;
    if args.dest.is_none() && args.target_directory.is_none() && !args.paths.is_empty() {
        last = sources.pop();
    }
    let missing = |what: String| Err(refusal(ErrorKind::MissingRequiredArgument, what));
    let destination = match (&args.target_directory, args.dest.clone().or(last)) {
        (Some(directory), _) => Destination::Within(directory.clone()),
        (None, Some(path)) if args.no_target_directory => Destination::Exact(path),
        (None, Some(path)) => Destination::Either(path),
        (None, None) => return missing("a source and a destination are needed".to_owned()),
    };
    if sources.is_empty() {
        return missing(format!("nothing to copy to {}: a source is needed", destination.path().quote()));
    }
    Ok(Places { sources, destination })
}

/// The job that the arguments describe, where the destination is a directory or is not.
fn job(args: &CopyArgs, places: Places, is_directory: bool) -> Result<CopyJob, clap::Error> {
    if args.reflink == Reflink::Always && args.sparse != Sparse::Auto {
        let why = "--reflink=always shares blocks as they are, which --sparse=always or never would change";
        return Err(refusal(ErrorKind::ArgumentConflict, why));
    }
    if let Some(option) = args.compress.given() {
        let moved_as_it_is = match args {
            CopyArgs { reflink: Reflink::Always, .. } => Some("--reflink=always"),
            CopyArgs { backend: Backend::Uring, .. } => Some("--backend=uring"),
            _ => None,
        };
        if let Some(other) = moved_as_it_is {
            let why = format!("{option} changes what {other} would move as it is");
            return Err(refusal(ErrorKind::ArgumentConflict, why));
        }
    }
    let Places { sources, destination } = places;
    let job = match destination {
        Destination::Within(path) if is_directory => CopyJob::into_directory(sources, path),
        Destination::Either(path) if is_directory => CopyJob::into_directory(sources, path),
        Destination::Exact(path) | Destination::Either(path) if sources.len() == 1 => {
            CopyJob::new(&sources[0], path)
        }
        Destination::Exact(_) => {
            let why = "with --no-target-directory there is one source and one destination";
            return Err(refusal(ErrorKind::TooManyValues, why));
        }
        Destination::Within(path) | Destination::Either(path) => {
            let why = format!("{} is not a directory", path.quote());
            return Err(refusal(ErrorKind::ValueValidation, why));
        }
    };
    let job = job.existing(existing(args.existing)).preserve(preserve(args)).data(data(args));
    let job = args.compress.apply(job);
    let job = args
        .limits
        .apply(args.mirror.apply(args.checks.apply(args.durable.apply(job))))
        .entry_events(args.wants_entries())
        .entry_costs(args.log.is_some());
    let unusable = |error: anyhow::Error| refusal(ErrorKind::ValueValidation, format!("{error:#}"));
    let job = args.select.apply(job).map_err(unusable)?;
    Ok(match args.jobs {
        Some(jobs) => job.jobs(jobs.into()),
        None => job,
    })
}

fn existing(asked: Existing) -> orbit::Existing {
    match asked {
        Existing::Update => orbit::Existing::Update,
        Existing::Replace => orbit::Existing::Replace,
        Existing::Newer => orbit::Existing::Newer,
        Existing::Skip => orbit::Existing::Skip,
        Existing::Fail => orbit::Existing::Fail,
    }
}

fn preserve(args: &CopyArgs) -> Preserve {
    let kept = match &args.preserve {
        Some(names) => Preserve::exactly(Kept::attributes(names)),
        None => Preserve::default(),
    };
    kept.without(Kept::attributes(&args.no_preserve))
}

fn data(args: &CopyArgs) -> DataOptions {
    let reflink = match args.reflink {
        Reflink::Auto => orbit::Reflink::Auto,
        Reflink::Always => orbit::Reflink::Always,
        Reflink::Never => orbit::Reflink::Never,
    };
    let backend = match args.backend {
        Backend::Auto => orbit::Backend::Auto,
        Backend::Blocking => orbit::Backend::Blocking,
        Backend::Uring => orbit::Backend::Uring,
    };
    let sparse = match args.sparse {
        Sparse::Auto => orbit::Sparse::Auto,
        Sparse::Always => orbit::Sparse::Always,
        Sparse::Never => orbit::Sparse::Never,
    };
    let zero_copy = match (args.zero_copy, args.no_zero_copy) {
        (true, _) => ZeroCopy::Force,
        (false, true) => ZeroCopy::Forbid,
        (false, false) => ZeroCopy::Auto,
    };
    let data = DataOptions::default().reflink(reflink).sparse(sparse).backend(backend).zero_copy(zero_copy);
    match args.threshold {
        Some(bytes) => data.threshold(bytes),
        None => data,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn parsed(arguments: &[&str]) -> Result<CopyArgs, clap::Error> {
        let cli = Cli::try_parse_from([&["orbit"], arguments].concat())?;
        assert!(cli.command.is_none(), "{arguments:?}");
        Ok(cli.copy)
    }

    /// The job of these arguments, where the destination is or is not a directory.
    fn described(arguments: &[&str], is_directory: bool) -> Result<CopyJob, clap::Error> {
        let args = parsed(arguments)?;
        job(&args, places(&args)?, is_directory)
    }

    fn assert_same(job: CopyJob, expected: CopyJob, about: &[&str]) {
        // Jobs have no equality, which is for nobody but this test to ask.
        assert_eq!(format!("{job:?}"), format!("{:?}", expected.entry_events(false)), "{about:?}");
    }

    #[test]
    fn every_form_names_the_same_sources_and_destination() {
        for arguments in [
            &["a", "d"][..],
            &["-s", "a", "-d", "d"],
            &["-s", "a", "d"],
            &["a", "-d", "d"],
            &["--source=a", "--dest=d"],
            &["--", "a", "d"],
        ] {
            assert_same(described(arguments, true).unwrap(), CopyJob::into_directory(["a"], "d"), arguments);
            assert_same(described(arguments, false).unwrap(), CopyJob::new("a", "d"), arguments);
        }
        for arguments in [
            &["a", "b", "d"][..],
            &["-t", "d", "a", "b"],
            &["a", "-td", "b"],
            &["-s", "a", "-s", "b", "-d", "d"],
            &["-s", "a", "-t", "d", "b"],
        ] {
            let expected = CopyJob::into_directory(["a", "b"], "d");
            assert_same(described(arguments, true).unwrap(), expected, arguments);
            assert_eq!(described(arguments, false).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
        assert_same(described(&["-T", "a", "d"], true).unwrap(), CopyJob::new("a", "d"), &["-T"]);
        assert_same(
            described(&["capabilities/", "d"], false).unwrap(),
            CopyJob::new("capabilities/", "d"),
            &[],
        );
        let named = ["--", "capabilities", "d"];
        assert_same(described(&named, false).unwrap(), CopyJob::new("capabilities", "d"), &named);
    }

    #[test]
    fn what_contradicts_itself_is_wrong_usage() {
        for arguments in [
            &[][..],
            &["a"],
            &["-d", "d"],
            &["-t", "d"],
            &["-s", "a"],
            &["-T", "a", "b", "d"],
            &["-T", "-t", "d", "a"],
            &["-t", "d", "-d", "d", "a"],
            &["", "d"],
            &["--zero-copy", "--no-zero-copy", "a", "d"],
            &["--reflink=always", "--sparse=never", "a", "d"],
            &["--reflink=always", "--sparse=always", "a", "d"],
            &["--preserve=color", "a", "d"],
            &["--preserve=", "a", "d"],
            &["--no-preserve", "mode", "a", "d"],
            &["--jobs=0", "a", "d"],
            &["--threshold=lots", "a", "d"],
            &["-q", "-v", "a", "d"],
            &["-q", "--explain", "a", "d"],
            &["--frobnicate", "a", "d"],
        ] {
            let refused =
                described(arguments, true).err().unwrap_or_else(|| panic!("{arguments:?} is taken"));
            assert_eq!(refused.exit_code(), 2, "{arguments:?}");
        }
    }

    #[test]
    fn options_become_those_of_the_job() {
        let base = || CopyJob::new("a", "d");
        let data = DataOptions::default();
        let all = orbit::Attributes::all();
        let two = orbit::Attributes::MODE | orbit::Attributes::ACL;
        for (options, expected) in [
            (&["--existing=newer"][..], base().existing(orbit::Existing::Newer)),
            (&["--existing", "fail"], base().existing(orbit::Existing::Fail)),
            (&["--preserve"], base().preserve(Preserve::exactly(all))),
            (&["--preserve=all"], base().preserve(Preserve::exactly(all))),
            (&["--preserve=mode,acl"], base().preserve(Preserve::exactly(two))),
            (&["--preserve=mode", "--preserve=acl"], base().preserve(Preserve::exactly(two))),
            (&["--no-preserve=mode,acl"], base().preserve(Preserve::default().without(two))),
            (
                &["--preserve", "--no-preserve=acl", "--no-preserve=mode"],
                base().preserve(Preserve::exactly(all).without(two)),
            ),
            (&["--jobs=7"], base().jobs(7)),
            (&["-j", "7"], base().jobs(7)),
            (&["--zero-copy"], base().data(data.zero_copy(ZeroCopy::Force))),
            (&["--no-zero-copy"], base().data(data.zero_copy(ZeroCopy::Forbid))),
            (&["--threshold=1M"], base().data(data.threshold(1 << 20))),
            (&["--threshold", "64KiB"], base().data(data.threshold(64 << 10))),
            (&["--threshold=0"], base().data(data.threshold(0))),
            (&["--reflink=never"], base().data(data.reflink(orbit::Reflink::Never))),
            (&["--backend=uring"], base().data(data.backend(orbit::Backend::Uring))),
            (&["--backend=blocking"], base().data(data.backend(orbit::Backend::Blocking))),
            (&["--sparse=always"], base().data(data.sparse(orbit::Sparse::Always))),
            (&["-vv", "--json", "--explain", "--progress=never"], base()),
        ] {
            let arguments = [options, &["a", "d"]].concat();
            assert_same(described(&arguments, false).unwrap(), expected, &arguments);
        }
    }

    #[test]
    fn the_definition_of_the_arguments_is_sound() {
        Cli::command().debug_assert();
    }
}
