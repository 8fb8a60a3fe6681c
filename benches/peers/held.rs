//! A contest that was held, and how it is written down.

use serde::Serialize;

use crate::{
    limit::{Absence, Measured},
    machine::{Ground, Machine},
    markdown,
    row::Row,
    sitting::Sitting,
    size::Size,
};

/// One tree, copied by all.
#[derive(Debug, Serialize)]
pub(crate) struct Contest {
    #[serde(flatten)]
    pub(crate) sitting: Sitting,
    pub(crate) scale: f64,
    /// What was short, where the tree was made smaller than wanted.
    pub(crate) short: Option<&'static str>,
    pub(crate) size: Size,
    pub(crate) ground: Ground,
    pub(crate) rows: Vec<Row>,
    pub(crate) absences: Vec<Absence>,
}

/// A contest that could not be held.
#[derive(Debug, Serialize)]
pub(crate) struct LeftOut {
    #[serde(flatten)]
    pub(crate) sitting: Sitting,
    pub(crate) why: String,
}

impl Contest {
    fn reference(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.is_orbit)
    }

    /// How much was copied, and why not more.
    pub(crate) fn extent(&self) -> String {
        let Size { files, directories, bytes, .. } = self.size;
        let short = self.short.map_or(String::new(), |short| format!(", as {short} is short"));
        format!(
            "{files} files, {directories} directories, {} MB, at scale {:.3}{short}",
            bytes / 1_000_000,
            self.scale
        )
    }

    /// The contest in words.
    pub(crate) fn title(&self) -> String {
        format!("{}: {}", self.sitting, self.extent())
    }

    pub(crate) fn measured(&self) -> Measured<'_> {
        Measured { files: self.size.files, rows: &self.rows, absences: &self.absences }
    }

    /// Which part of the machine's CPU time went elsewhere during the runs.
    pub(crate) fn elsewhere(&self, cores: usize) -> f64 {
        let runs = || self.rows.iter().flat_map(|row| &row.runs);
        let wall_s: f64 = runs().map(|run| run.wall_s).sum();
        runs().map(|run| run.others_cpu_s).sum::<f64>() / (wall_s * cores as f64).max(f64::MIN_POSITIVE)
    }

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
                row.trouble.as_ref().map_or(lost, |why| format!("**no copy**: {why}")),
            ]);
        }
        markdown::table(lines)
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
        let absences: Vec<&str> = self.absences.iter().map(|absence| absence.why.as_str()).collect();
        if !absences.is_empty() {
            text += &format!("\nAbsent: {}.\n", absences.join("; "));
        }
        text + "\n" + &self.table()
    }
}
