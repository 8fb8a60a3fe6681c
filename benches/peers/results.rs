//! Results, and how they are written down.

use std::fmt::Write;

use serde::Serialize;

use crate::{
    held::{Contest, LeftOut},
    machine::Machine,
    verdict::{self, Verdict},
};

/// Everything one call of this bench found out.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) runs: usize,
    pub(crate) contests: Vec<Contest>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) verdicts: Vec<Verdict>,
}

impl Results {
    /// What all trees have in common.
    pub(crate) fn heading(&self) -> String {
        let runs = self.runs;
        format!(
            "# Orbit and its peers\n\n{}\n\nWall and CPU are medians of {runs} alternating runs; CPU is user and system time of \
             the copier. Warm: the source is read again before each run; cold: all caches are dropped before each run. A \
             second run goes over the same copier's own copy, with nothing to do.\n",
            self.machine.described()
        )
    }

    /// All of it as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = self.heading();
        if !self.verdicts.is_empty() {
            text += &format!("\n{}", verdict::section(&self.verdicts, self.runs));
        }
        for contest in &self.contests {
            let _ = write!(text, "\n{}", contest.section(&self.machine)); // writing to a String cannot fail
        }
        text
    }
}
