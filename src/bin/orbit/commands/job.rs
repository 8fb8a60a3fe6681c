//! From arguments to a job.

use std::path::Path;

use clap::{CommandFactory, error::ErrorKind};
use orbit::{CopyJob, DataOptions, Preserve, ZeroCopy};

use crate::{
    args::{Backend, Cli, CopyArgs, Existing, Kept, Reflink, Sparse},
    commands::destination::{Found, Places},
    output::{log, text::cause_text},
};

/// The job that the arguments describe; looks at what the destination is.
pub(crate) fn job_of(args: &CopyArgs) -> Result<CopyJob, clap::Error> {
    let places = Places::of(args)?;
    let found = places.look(args.select.follows_sources());
    let job = job(args, places, found)?;
    for (option, file) in [("--log", &args.log), ("--manifest", &args.checks.manifest)] {
        if file.as_deref() == Some(Path::new("-")) {
            let why = format!(
                "{option} - names no file: for standard output, which has the summary as well without -q, write \
                 {option} /dev/stdout, and for a file of that name {option} ./-"
            );
            return Err(refusal(ErrorKind::ValueValidation, why));
        }
    }
    if let Some(log) = &args.log {
        log::check_place(log, args.checks.manifest.as_deref(), &job)
            .map_err(|why| refusal(ErrorKind::ValueValidation, why))?;
    }
    Ok(job)
}

pub(crate) fn refusal(kind: ErrorKind, why: impl std::fmt::Display) -> clap::Error {
    Cli::command().error(kind, why)
}

/// The job that the arguments describe, where source and destination are what was found.
fn job(args: &CopyArgs, places: Places, found: Found) -> Result<CopyJob, clap::Error> {
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
    let job = places.job(found)?;
    let job = job.existing(existing(args.existing)).preserve(preserve(args)).data(data(args));
    let job = args.compress.apply(job);
    let job = args
        .limits
        .apply(args.mirror.apply(args.checks.apply(args.durable.apply(job))))
        .entry_events(args.wants_entries())
        .entry_costs(args.log.is_some());
    let unusable =
        |error: anyhow::Error| refusal(ErrorKind::ValueValidation, cause_text(&format!("{error:#}")));
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

    /// The job of these arguments for a source that is no directory, where the destination is one or not.
    fn described(arguments: &[&str], is_directory: bool) -> Result<CopyJob, clap::Error> {
        found(arguments, Found { is_directory, ..Found::default() })
    }

    fn found(arguments: &[&str], found: Found) -> Result<CopyJob, clap::Error> {
        let args = parsed(arguments)?;
        job(&args, Places::of(&args)?, found)
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
    fn a_directory_becomes_the_destination_unless_that_is_said_to_hold_it() {
        let there = Found { source_is_directory: true, is_directory: true, is_link: false };
        let missing = Found { is_directory: false, ..there };
        for arguments in [&["a", "d"][..], &["a/", "d"], &["-T", "a", "d"], &["-s", "a", "-d", "d"]] {
            let source = if arguments[0] == "a/" { "a/" } else { "a" };
            for what in [there, missing] {
                assert_same(found(arguments, what).unwrap(), CopyJob::new(source, "d"), arguments);
            }
        }
        let linked = Found { is_link: true, ..there };
        assert_same(found(&["a", "d"], linked).unwrap(), CopyJob::new("a", "d/"), &["through a link"]);
        assert_same(found(&["-T", "a", "d"], linked).unwrap(), CopyJob::new("a", "d"), &["-T"]);
        for arguments in [&["a", "d/"][..], &["a", "--into=d/"], &["-t", "d/", "a"], &["-s", "a", "-d", "d/"]]
        {
            assert_same(found(arguments, there).unwrap(), CopyJob::into_directory(["a"], "d/"), arguments);
            assert_eq!(found(arguments, missing).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
        assert_same(found(&["a", "."], there).unwrap(), CopyJob::into_directory(["a"], "."), &["."]);
        assert_same(found(&["-T", "a", "d/"], there).unwrap(), CopyJob::new("a", "d/"), &["-T"]);
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
