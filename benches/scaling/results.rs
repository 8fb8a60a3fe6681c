//! Results, and how they are written down.

use serde::Serialize;

use crate::{
    corpus::{Tree, size},
    machine::{Ground, Machine},
    measure::{Copier, Run},
};

/// Everything one call of this bench found out.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) runs: usize,
    /// Trees that were copied with several numbers of workers.
    pub(crate) over_jobs: Vec<Contest>,
    /// Trees of files that grow, copied by default.
    pub(crate) over_size: Vec<Contest>,
}

/// One tree, copied by several.
#[derive(Debug, Serialize)]
pub(crate) struct Contest {
    pub(crate) tree: Tree,
    pub(crate) ground: Ground,
    pub(crate) rows: Vec<Row>,
}

/// How one copier did.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) copier: Copier,
    pub(crate) runs: Vec<Run>,
}

impl Row {
    fn wall_s(&self) -> f64 {
        median(self.runs.iter().map(|run| run.wall_s))
    }

    fn cpu_s(&self) -> f64 {
        median(self.runs.iter().map(|run| run.cpu_s))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

impl Contest {
    pub(crate) fn row(&self, copier: Copier) -> Option<&Row> {
        self.rows.iter().find(|row| row.copier == copier)
    }

    pub(crate) fn files_per_s(&self, row: &Row) -> f64 {
        self.tree.files as f64 / row.wall_s()
    }

    /// In units of a million bytes.
    pub(crate) fn megabytes_per_s(&self, row: &Row) -> f64 {
        self.files_per_s(row) * self.tree.file_bytes as f64 / 1e6
    }

    fn over_jobs(&self, cores: usize) -> String {
        let alone = self.row(Copier::Jobs(1)).map(Row::wall_s);
        let mut text = format!(
            "### {}\n\n{}. {}\n\n\
             | copier            |  wall s |   CPU s |  files/s |     MB/s | times as fast as one worker |\n\
             |:------------------|--------:|--------:|---------:|---------:|----------------------------:|\n",
            self.tree.described(),
            self.ground.described(),
            elsewhere([self], cores)
        );
        for row in &self.rows {
            let times = alone.map_or("–".to_owned(), |alone| format!("{:.2}", alone / row.wall_s()));
            text += &format!(
                "| {:17} | {:>7.3} | {:>7.3} | {:>8.0} | {:>8.0} | {times:>27} |\n",
                format!("`{}`", row.copier.name()),
                row.wall_s(),
                row.cpu_s(),
                self.files_per_s(row),
                self.megabytes_per_s(row)
            );
        }
        text + "\n"
    }

    fn over_size(&self) -> String {
        let (Some(orbit), Some(cp)) = (self.row(Copier::Orbit), self.row(Copier::Cp)) else {
            return String::new();
        };
        format!(
            "| {:>8} | {:>6} | {:>14.3} | {:>13.3} | {:>15.0} | {:>12.0} | {:>13.0} | {:>10.0} | {:>8.2} |\n",
            size(self.tree.file_bytes),
            self.tree.files,
            orbit.wall_s(),
            cp.wall_s(),
            self.files_per_s(orbit),
            self.megabytes_per_s(orbit),
            self.files_per_s(cp),
            self.megabytes_per_s(cp),
            orbit.wall_s() / cp.wall_s()
        )
    }
}

/// Which part of the machine's CPU time went elsewhere during the runs.
fn elsewhere<'a>(contests: impl IntoIterator<Item = &'a Contest>, cores: usize) -> String {
    let rows = contests.into_iter().flat_map(|contest| &contest.rows);
    let (wall_s, others_s) = rows
        .flat_map(|row| &row.runs)
        .fold((f64::MIN_POSITIVE, 0.0), |sum, run| (sum.0 + run.wall_s, sum.1 + run.others_cpu_s));
    let percent = others_s / (wall_s * cores as f64) * 100.0;
    format!(
        "During the runs {percent:.0} % of the machine's CPU time went elsewhere, to the kernel's own threads and other programs."
    )
}

impl Results {
    /// All of it as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "# How Orbit scales\n\n{}\n\nMedians of {} alternating runs, source read again before each run. Every copier's first copy was \
             compared with its source.\n",
            self.machine.described(),
            self.runs
        );
        if !self.over_jobs.is_empty() {
            text += "\n## Over workers\n\n";
            let sections = self.over_jobs.iter().map(|contest| contest.over_jobs(self.machine.cores));
            text += &sections.collect::<String>();
        }
        if let Some(first) = self.over_size.first() {
            text += &format!(
                "\n## Over the size of files\n\n{}. {}\n\n\
                 | size     |  files | `orbit` wall s | `cp -a` wall s | `orbit` files/s | `orbit` MB/s | `cp -a` files/s | `cp -a` MB/s | wall, orbit ÷ cp |\n\
                 |---------:|-------:|---------------:|---------------:|----------------:|-------------:|----------------:|-------------:|-----------------:|\n",
                first.ground.described(),
                elsewhere(&self.over_size, self.machine.cores)
            );
            text += &self.over_size.iter().map(Contest::over_size).collect::<String>();
        }
        text
    }
}
