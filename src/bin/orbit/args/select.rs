//! Which entries are copied.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, builder::PathBufValueParser};
use orbit::{CopyJob, FileList, FollowLinks, Rule, Selection};
use os_display::Quotable;

use crate::output::progress::Lines;

/// Which entries are copied.
#[derive(Debug, Args)]
pub(crate) struct SelectArgs {
    #[command(flatten)]
    rules: RuleArgs,
    /// Leave out what .gitignore files in the source say, also what git tracks
    #[arg(long)]
    gitignore: bool,
    /// Copy only the names in FILE, one a line, with what they hold, relative to the source or absolute;
    /// `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "files_from0")]
    files_from: Option<PathBuf>,
    /// The same, where each name ends in a NUL
    #[arg(long, value_name = "FILE")]
    files_from0: Option<PathBuf>,
    /// Leave out files that are smaller
    #[arg(long, value_name = "SIZE", value_parser = super::size)]
    min_size: Option<u64>,
    /// Leave out files that are larger
    #[arg(long, value_name = "SIZE", value_parser = super::size)]
    max_size: Option<u64>,
    /// Leave out files that were modified before TIME: 2026-01-31, 2026-01-31T12:00:00Z, or an age
    /// such as 7d or 12h
    #[arg(long, value_name = "TIME", value_parser = time)]
    newer_than: Option<SystemTime>,
    /// Stay on the filesystem of each source
    #[arg(short = 'x', long)]
    one_file_system: bool,
    /// Copy what symbolic links lead to, everywhere in the source
    #[arg(short = 'L', long, overrides_with_all = ["follow_sources", "no_dereference"])]
    dereference: bool,
    /// Copy what symbolic links lead to where they are named as sources
    #[arg(short = 'H', overrides_with_all = ["dereference", "no_dereference"])]
    follow_sources: bool,
    /// Copy symbolic links as links (the default)
    #[arg(short = 'P', long, overrides_with_all = ["dereference", "follow_sources"])]
    no_dereference: bool,
}

/// Rules, in the order in which they were given, of whatever option.
#[derive(Debug)]
pub(crate) struct RuleArgs(Vec<Given>);

#[derive(Debug)]
enum Given {
    Rule(Rule),
    /// A file with a pattern on each line.
    File(PathBuf, fn(String) -> Rule),
}

const RULES: [(&str, &str, &str); 4] = [
    ("include", "GLOB", "Copy what matches, whatever later rules say; the first rule that matches decides"),
    (
        "exclude",
        "GLOB",
        "Leave out what matches: *.o anywhere, /a/b or a/b from the source on, dir/ only directories; \
         ** matches slashes",
    ),
    (
        "include-from",
        "FILE",
        "A rule --include for each line of FILE; behind `+ ` to include and behind `- ` to exclude; empty \
         lines and those that begin with # or ; are none, and ! takes back all rules before it",
    ),
    ("exclude-from", "FILE", "A rule --exclude for each line of FILE"),
];

impl Args for RuleArgs {
    fn augment_args(command: Command) -> Command {
        RULES.into_iter().fold(command, |command, (name, value, help)| {
            let arg = Arg::new(name).long(name).value_name(value).help(help).action(ArgAction::Append);
            command.arg(if value == "FILE" { arg.value_parser(PathBufValueParser::new()) } else { arg })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RuleArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Vec::new();
        for (name, value, _) in RULES {
            let rule = if name.starts_with("include") { Rule::Include } else { Rule::Exclude };
            let places = matches.indices_of(name).into_iter().flatten();
            if value == "FILE" {
                let files = matches.get_many::<PathBuf>(name).into_iter().flatten();
                given.extend(places.zip(files.map(|path| Given::File(path.clone(), rule))));
            } else {
                let globs = matches.get_many::<String>(name).into_iter().flatten();
                given.extend(places.zip(globs.map(|glob| Given::Rule(rule(glob.clone())))));
            }
        }
        given.sort_by_key(|(place, _)| *place);
        Ok(RuleArgs(given.into_iter().map(|(_, given)| given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl RuleArgs {
    pub(crate) fn read(&self) -> anyhow::Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for given in &self.0 {
            match given {
                Given::Rule(rule) => rules.push(unambiguous(rule)?.clone()),
                Given::File(path, rule) => {
                    let reading = || format!("cannot read the rules in {}", path.quote());
                    Rule::add_lines(&mut rules, &fs::read_to_string(path).with_context(reading)?, rule);
                }
            }
        }
        Ok(rules)
    }
}

/// Refuse a rule that rsync would take for one of another kind.
fn unambiguous(rule: &Rule) -> anyhow::Result<&Rule> {
    let pattern = rule.pattern();
    if let Some(rest) = pattern.strip_prefix("+ ").or_else(|| pattern.strip_prefix("- ")) {
        let option = if pattern.starts_with('+') { "--include" } else { "--exclude" };
        bail!(
            "the pattern {} may mean {option} {}, as for rsync, or a name that begins so: write that, or {}",
            pattern.quote(),
            rest.quote(),
            format!("\\{pattern}").quote()
        );
    }
    if pattern == "!" {
        bail!("the pattern ! takes back rules only in a file of rules; write \\! for the name");
    }
    Ok(rule)
}

impl SelectArgs {
    /// Whether a source that is a symbolic link stands for what it leads to.
    pub(crate) fn follows_sources(&self) -> bool {
        self.dereference || self.follow_sources
    }

    pub(crate) fn apply(&self, job: CopyJob) -> anyhow::Result<CopyJob> {
        let sizes = self.min_size.unwrap_or(0)..=self.max_size.unwrap_or(u64::MAX);
        if sizes.is_empty() {
            bail!("--min-size is more than --max-size: no file is of such a size");
        }
        let follow = match (self.dereference, self.follow_sources) {
            (true, _) => FollowLinks::Always,
            (false, true) => FollowLinks::Sources,
            (false, false) => FollowLinks::Never,
        };
        let selection = Selection::default().rules(self.rules.read()?)?.gitignore(self.gitignore);
        let mut selection = selection.sizes(sizes).one_file_system(self.one_file_system).follow(follow);
        if let Some(time) = self.newer_than {
            selection = selection.newer_than(time);
        }
        for (path, separator) in [(&self.files_from, b'\n'), (&self.files_from0, 0)] {
            if let Some(path) = path {
                let listing = || format!("cannot use the list {}", path.quote());
                let list = list(path, separator, job.sources()).with_context(listing)?;
                warn_of_carriage_returns(path, &list);
                selection = selection.files(list);
            }
        }
        Ok(job.select(selection))
    }
}

fn list(path: &Path, separator: u8, sources: &[PathBuf]) -> anyhow::Result<FileList> {
    let from: Box<dyn BufRead> = match path == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(path)?)),
    };
    Ok(match sources {
        [source] => FileList::read_below(source, from, separator)?,
        _ => FileList::read(from, separator)?,
    })
}

/// Say why names that end in a carriage return will hardly be found.
fn warn_of_carriage_returns(path: &Path, list: &FileList) {
    let count = list.carriage_returns();
    if count > 0 {
        let lines = if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
        Lines::default().print(&format!(
            "orbit: warning: {lines} of the list {} end in a carriage return, as those of files from Windows do: it \
             is taken for a part of the name. Where it is none, take it off (tr -d '\\r' <LIST >NEW)",
            path.maybe_quote()
        ));
    }
}

fn time(text: &str) -> Result<SystemTime, String> {
    if let Ok(age) = humantime::parse_duration(text) {
        return SystemTime::now().checked_sub(age).ok_or_else(|| "there was no such time".to_owned());
    }
    let day = format!("{text} 00:00:00");
    let parsed = humantime::parse_rfc3339_weak(text).or_else(|_| humantime::parse_rfc3339_weak(&day));
    parsed.map_err(|_| "neither a time such as 2026-01-31T12:00:00Z nor an age such as 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_dates_moments_or_ages() {
        let epoch = |secs| SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
        assert_eq!(time("1970-01-02"), Ok(epoch(86_400)));
        assert_eq!(time("1970-01-01T00:01:00Z"), Ok(epoch(60)));
        let age = time("1h").unwrap().elapsed().unwrap();
        assert!(age >= Duration::from_secs(3600) && age < Duration::from_secs(4000));
        assert!(time("soon").is_err());
    }
}
