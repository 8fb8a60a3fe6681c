//! What becomes of what only the destination has, and what would be done.

use clap::{Args, ValueEnum};
use orbit::{Compare, CopyJob, Delete, MaxDelete, Mirror};

/// What becomes of what only the destination has, and what would be done.
#[derive(Debug, Args)]
pub(crate) struct MirrorArgs {
    /// Delete from the copy what the source does not have: after everything is copied, or before
    #[arg(
        long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true,
        default_missing_value = "after", conflicts_with_all = ["files_from", "files_from0"]
    )]
    pub(crate) delete: Option<When>,
    /// Delete nothing, and fail, where more than N entries, or P% of those the copy had, would go
    #[arg(long, value_name = "N|P%", value_parser = max_delete, requires = "delete")]
    max_delete: Option<MaxDelete>,
    /// Let an empty source empty its copy
    #[arg(long, requires = "delete")]
    force_empty: bool,
    /// Delete although entries failed: without, nothing of a source is deleted then
    #[arg(long, requires = "delete")]
    ignore_errors: bool,
    /// Delete what rules and ignore files exclude, too: without, it stays in the copy
    #[arg(long, requires = "delete")]
    delete_excluded: bool,
    /// Touch nothing, and say what would be done with each entry
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Say what is done with each entry
    #[arg(short, long)]
    pub(crate) itemize: bool,
    /// Compare files that are there already by their content, and not by size and time
    #[arg(short, long)]
    checksum: bool,
}

/// `--delete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// When everything is copied
    After,
    /// Before anything is copied, to make room
    Before,
}

impl MirrorArgs {
    /// Whether to say what is done with each entry.
    pub(crate) fn tells_entries(&self) -> bool {
        self.dry_run || self.itemize
    }

    pub(crate) fn apply(&self, job: CopyJob) -> CopyJob {
        let compare = if self.checksum { Compare::Content } else { Compare::Times };
        let delete = match self.delete {
            None => Delete::Never,
            // What was deleted before is not there any more after; where nothing is, all is told at once.
            Some(When::Before) if !self.dry_run => Delete::Never,
            Some(When::Before | When::After) => Delete::After,
        };
        job.compare(compare).dry_run(self.dry_run).mirror(self.mirror(delete))
    }

    /// The run that deletes before anything is copied, if there is to be one.
    pub(crate) fn deletes_before(&self, job: &CopyJob) -> Option<CopyJob> {
        let wanted = self.delete == Some(When::Before) && !self.dry_run;
        wanted.then(|| job.clone().mirror(self.mirror(Delete::Only)))
    }

    fn mirror(&self, delete: Delete) -> Mirror {
        let mirror = Mirror::default()
            .delete(delete)
            .force_empty(self.force_empty)
            .ignore_errors(self.ignore_errors)
            .delete_excluded(self.delete_excluded);
        match self.max_delete {
            Some(max) => mirror.max(max),
            None => mirror,
        }
    }
}

fn max_delete(text: &str) -> Result<MaxDelete, String> {
    let parsed = match text.strip_suffix('%') {
        Some(percent) => percent.parse().ok().filter(|percent| *percent <= 100).map(MaxDelete::Percent),
        None => text.parse().ok().map(MaxDelete::Entries),
    };
    parsed.ok_or_else(|| "neither a number of entries nor 0% to 100%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_or_percentages() {
        assert_eq!(max_delete("0"), Ok(MaxDelete::Entries(0)));
        assert_eq!(max_delete("1000000"), Ok(MaxDelete::Entries(1_000_000)));
        assert_eq!(max_delete("10%"), Ok(MaxDelete::Percent(10)));
        for bad in ["", "%", "-1", "101%", "many"] {
            assert!(max_delete(bad).is_err(), "{bad}");
        }
    }
}
