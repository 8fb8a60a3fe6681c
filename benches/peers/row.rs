//! How one copier did in one contest.

use serde::Serialize;

use crate::run::Run;

/// How one copier did on one tree.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// What bars call this copier.
    pub(crate) id: String,
    pub(crate) copier: String,
    pub(crate) version: String,
    pub(crate) is_orbit: bool,
    pub(crate) runs: Vec<Run>,
    pub(crate) footprint: Option<Footprint>,
    /// What its copies lack, here or in the tree with one of everything.
    pub(crate) lost: Vec<&'static str>,
    /// Why its copy is none: it failed, or something is missing or differs.
    pub(crate) trouble: Option<String>,
}

/// What a copy takes on its filesystem.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Footprint {
    /// Bytes allocated to files, shared or not.
    pub(crate) allocated_bytes: u64,
    /// Whether most of them are the source's own.
    pub(crate) is_shared: bool,
}

impl Row {
    pub(crate) fn wall_s(&self) -> Option<f64> {
        median(self.runs.iter().map(|run| run.wall_s))
    }

    pub(crate) fn cpu_s(&self) -> Option<f64> {
        median(self.runs.iter().map(|run| run.cpu_s))
    }

    pub(crate) fn fastest_s(&self) -> Option<f64> {
        self.runs.iter().map(|run| run.wall_s).min_by(f64::total_cmp)
    }

    pub(crate) fn peak_rss_mib(&self) -> Option<f64> {
        self.runs.iter().map(|run| run.rss_kib as f64 / 1024.0).max_by(f64::total_cmp)
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.footprint.is_some_and(|footprint| footprint.is_shared)
    }

    /// Whether it is Orbit, not told to keep less than everything.
    pub(crate) fn must_keep_all(&self) -> bool {
        self.is_orbit && !self.copier.contains("preserve")
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
