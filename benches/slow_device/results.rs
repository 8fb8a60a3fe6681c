//! Results, and how they are written down.

use serde::Serialize;

use crate::{
    machine::Machine,
    trial::{Side, Trial},
};

/// Everything one call of this bench found out.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) latency_ms: u64,
    pub(crate) rounds: usize,
    pub(crate) contests: Vec<Contest>,
}

/// Numbers of workers beside each other.
#[derive(Debug, Serialize)]
pub(crate) struct Contest {
    pub(crate) side: Side,
    /// Whether this is the whole tree, which the bar is for; of a shorter copy, finding the number of
    /// workers is a larger part.
    pub(crate) is_whole: bool,
    /// Of the tree that the default copies; smaller numbers of workers may have had fewer.
    pub(crate) files: usize,
    pub(crate) rows: Vec<Row>,
}

/// One number of workers.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// As given by --jobs; none is the default, which adapts.
    pub(crate) jobs: Option<usize>,
    pub(crate) files: usize,
    pub(crate) trials: Vec<Trial>,
}

impl Row {
    pub(crate) fn files_per_s(&self) -> f64 {
        median(self.trials.iter().map(|trial| trial.files_per_s))
    }

    fn wall_s(&self) -> f64 {
        median(self.trials.iter().map(|trial| trial.wall_s))
    }

    fn requests_per_file(&self) -> f64 {
        let requests: u64 = self.trials.iter().map(|trial| trial.requests).sum();
        requests as f64 / (self.files * self.trials.len()) as f64
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

impl Contest {
    /// What the default has to reach of the best fixed number's rate.
    const BAR: f64 = 0.9;

    /// The fixed number that was fastest.
    pub(crate) fn best(&self) -> Option<&Row> {
        let fixed = self.rows.iter().filter(|row| row.jobs.is_some());
        fixed.max_by(|one, other| one.files_per_s().total_cmp(&other.files_per_s()))
    }

    pub(crate) fn default_row(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.jobs.is_none())
    }

    pub(crate) fn title(&self) -> String {
        let side = match self.side {
            Side::Source => "from the slow device",
            Side::Destination => "to the slow device",
        };
        format!("{} files {side}", self.files)
    }

    fn table(&self) -> String {
        let best = self.best().map_or(f64::NAN, Row::files_per_s);
        let mut table = "| `--jobs` | files | wall s | files/s | of the best | workers at most | requests a file |\n\
                         |---------:|------:|-------:|--------:|------------:|----------------:|----------------:|\n"
            .to_owned();
        for row in &self.rows {
            let jobs = row.jobs.map_or("default".to_owned(), |jobs| jobs.to_string());
            table += &format!(
                "| {jobs:>8} | {:>5} | {:>6.2} | {:>7.0} | {:>9.0} % | {:>15} | {:>15.1} |\n",
                row.files,
                row.wall_s(),
                row.files_per_s(),
                row.files_per_s() / best * 100.0,
                row.trials.iter().map(|trial| trial.jobs.peak).max().unwrap_or_default(),
                row.requests_per_file()
            );
        }
        table
    }

    fn verdict(&self) -> String {
        let (Some(best), Some(default)) = (self.best(), self.default_row()) else { return String::new() };
        let part = default.files_per_s() / best.files_per_s();
        let bar = match part >= Self::BAR {
            _ if !self.is_whole => String::new(),
            true => format!(": the bar of {:.0} % is met", Self::BAR * 100.0),
            false => format!(": the bar of {:.0} % is **missed**", Self::BAR * 100.0),
        };
        format!(
            "The default reaches **{:.0} %** of the rate of {} workers, the best fixed number{bar}.\n",
            part * 100.0,
            best.jobs.unwrap_or_default()
        )
    }

    /// The section about this contest.
    pub(crate) fn section(&self) -> String {
        let steps = self.default_row().and_then(|row| row.trials.first()).map(|trial| trial.jobs.steps());
        let steps = steps.map_or(String::new(), |steps| format!("\nIts workers, the first time:\n\n{steps}"));
        format!("## {}\n\n{}\n{}{steps}", self.title(), self.table(), self.verdict())
    }
}

impl Results {
    /// What all contests have in common.
    pub(crate) fn heading(&self) -> String {
        format!(
            "# Orbit on a slow device\n\n{}\n\nA FUSE filesystem in memory answers each request {} ms after it came, \
             however many there are; the other side of each copy is a directory. Medians of {} alternating rounds, each \
             with a device mounted for it alone. Files have 1 KiB and lie a hundred to a directory. A few workers copy \
             fewer files, to save time.\n",
            self.machine.described(),
            self.latency_ms,
            self.rounds
        )
    }

    /// All of it as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let sections = self.contests.iter().map(|contest| format!("\n{}", contest.section()));
        self.heading() + &sections.collect::<String>()
    }
}
