//! Results, and how they are written down.

use std::fmt::Write;

use serde::Serialize;

use crate::{
    machine::{Ground, Machine},
    measure::{Cache, Pass, Run},
};

/// Everything one call of this bench found out.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) runs: usize,
    pub(crate) cache: Cache,
    pub(crate) pass: Pass,
    pub(crate) contests: Vec<Contest>,
}

/// One tree, copied by all.
#[derive(Debug, Serialize)]
pub(crate) struct Contest {
    pub(crate) tree: &'static str,
    pub(crate) scale: f64,
    pub(crate) size: Size,
    pub(crate) ground: Ground,
    pub(crate) rows: Vec<Row>,
}

/// What a tree holds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Size {
    pub(crate) files: u64,
    pub(crate) directories: u64,
    pub(crate) bytes: u64,
}

/// How one copier did on one tree.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) copier: String,
    pub(crate) version: String,
    pub(crate) is_reference: bool,
    pub(crate) runs: Vec<Run>,
    /// What its copies lack, here or in the tree with one of everything.
    pub(crate) lost: Vec<&'static str>,
    /// Why its copy is none: it failed, or something is missing or differs.
    pub(crate) trouble: Option<String>,
}

impl Row {
    pub(crate) fn wall_s(&self) -> Option<f64> {
        median(self.runs.iter().map(|run| run.wall_s))
    }

    pub(crate) fn cpu_s(&self) -> Option<f64> {
        median(self.runs.iter().map(|run| run.cpu_s))
    }

    fn fastest_s(&self) -> Option<f64> {
        self.runs.iter().map(|run| run.wall_s).min_by(f64::total_cmp)
    }

    fn peak_rss_mib(&self) -> Option<f64> {
        self.runs.iter().map(|run| run.rss_kib as f64 / 1024.0).max_by(f64::total_cmp)
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

impl Contest {
    fn reference(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.is_reference)
    }

    /// The tree in words.
    pub(crate) fn title(&self) -> String {
        let Size { files, directories, bytes } = self.size;
        format!(
            "{} at scale {}: {files} files, {directories} directories, {} MB",
            self.tree,
            self.scale,
            bytes / 1_000_000
        )
    }

    /// Which part of the machine's CPU time went elsewhere during the runs.
    fn elsewhere(&self, cores: usize) -> f64 {
        let runs = || self.rows.iter().flat_map(|row| &row.runs);
        let wall_s: f64 = runs().map(|run| run.wall_s).sum();
        runs().map(|run| run.others_cpu_s).sum::<f64>() / (wall_s * cores as f64).max(f64::MIN_POSITIVE)
    }

    /// A Markdown table, with its columns aligned so that it reads well as text too.
    fn table(&self) -> String {
        const HEAD: [&str; 8] = [
            "copier",
            "version",
            "wall s",
            "fastest",
            "wall ÷ orbit's",
            "CPU s",
            "peak RSS MiB",
            "what it lost",
        ];
        let reference = self.reference().and_then(Row::wall_s);
        let shown =
            |value: Option<f64>, digits| value.map_or("–".to_owned(), |value| format!("{value:.digits$}"));
        let mut lines = vec![HEAD.map(str::to_owned)];
        for row in &self.rows {
            let ratio = row.wall_s().zip(reference).map(|(wall, reference)| wall / reference);
            let lost = if row.lost.is_empty() { "nothing".to_owned() } else { row.lost.join(", ") };
            lines.push([
                format!("`{}`", row.copier),
                row.version.clone(),
                shown(row.wall_s(), 3),
                shown(row.fastest_s(), 3),
                shown(ratio, 2),
                shown(row.cpu_s(), 3),
                shown(row.peak_rss_mib(), 1),
                // A bar would end the cell.
                row.trouble.as_ref().map_or(lost, |why| format!("**no copy**: {}", why.replace('|', "/"))),
            ]);
        }
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 8] = std::array::from_fn(width);
        lines.insert(1, widths.map(|width| "-".repeat(width)));
        let mut table = String::new();
        for line in lines {
            let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            table += &format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
        }
        table
    }

    /// The section about this tree.
    pub(crate) fn section(&self, machine: &Machine) -> String {
        let percent = self.elsewhere(machine.cores) * 100.0;
        let mut text = format!(
            "## {}\n\n{}. During the runs {percent:.0} % of the machine's CPU time went elsewhere, to the kernel's own \
             threads and other programs.\n",
            self.title(),
            self.ground.described()
        );
        if let Some(doubt) = self.ground.doubt {
            text += &format!("\n**Do not believe these times**: {doubt}.\n");
        }
        text + "\n" + &self.table()
    }
}

impl Results {
    /// What all trees have in common.
    pub(crate) fn heading(&self) -> String {
        let cache = match self.cache {
            Cache::Warm => "source read again before each run",
            Cache::Cold => "all caches dropped before each run",
        };
        let pass = match self.pass {
            Pass::First => "",
            Pass::Again => ", each over the same copier's own copy, with nothing to do",
        };
        let runs = self.runs;
        format!(
            "# Orbit and its peers\n\n{}\n\nWall and CPU are medians of {runs} alternating runs, {cache}{pass}; CPU is user and \
             system time of the copier.\n",
            self.machine.described()
        )
    }

    /// All of it as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = self.heading();
        for contest in &self.contests {
            let _ = write!(text, "\n{}", contest.section(&self.machine)); // writing to a String cannot fail
        }
        text
    }
}
