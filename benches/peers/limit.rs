//! One thing that a bar demands, and whether it was measured so. Pure: nothing is run here.

use serde::Serialize;

use crate::{
    row::Row,
    ways::{WAYS, orbit_called},
};

/// Something that must hold of what was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// Orbit takes at most `most` times what someone else takes.
    Ratio { of: Quantity, most: f64, against: Against },
    /// A file takes Orbit at most `most` times what it takes in a smaller tree of the same shape.
    TimeAFile { most: f64 },
    /// Orbit never holds more memory.
    PeakMemory { most_mib: f64 },
    /// Orbit's copy has no more blocks than this peer's.
    Blocks { of: &'static str },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Quantity {
    Wall,
    Cpu,
}

/// Whom Orbit is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Against {
    Peer(&'static str),
    FastestPeer,
    /// Of those whose copies have blocks of their own.
    FastestPeerWithoutSharing,
    /// The fastest of Orbit's own ways, each gone by itself.
    BestWay,
}

/// Someone who did not take part.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Absence {
    pub(crate) id: String,
    /// In a sentence that names it.
    pub(crate) why: String,
}

/// What was measured in one contest.
#[derive(Clone, Copy)]
pub(crate) struct Measured<'a> {
    pub(crate) files: u64,
    pub(crate) rows: &'a [Row],
    pub(crate) absences: &'a [Absence],
}

/// What became of one limit.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) must: String,
    /// What must not be more than `most`.
    pub(crate) value: Option<f64>,
    pub(crate) most: f64,
    /// The value, and what it comes from.
    pub(crate) measured: String,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Met,
    /// How.
    Missed(String),
    /// Why.
    NotRun(String),
}

impl Outcome {
    pub(crate) fn described(&self) -> String {
        match self {
            Outcome::Met => "met".to_owned(),
            Outcome::Missed(how) => format!("**missed**: {how}"),
            Outcome::NotRun(why) => format!("not run: {why}"),
        }
    }
}

impl Quantity {
    fn name(self) -> &'static str {
        match self {
            Quantity::Wall => "wall",
            Quantity::Cpu => "CPU",
        }
    }

    fn of(self, row: &Row) -> Option<f64> {
        match self {
            Quantity::Wall => row.wall_s(),
            Quantity::Cpu => row.cpu_s(),
        }
    }
}

impl Against {
    fn name(self) -> &'static str {
        match self {
            Against::Peer(id) => id,
            Against::FastestPeer => "the fastest peer",
            Against::FastestPeerWithoutSharing => "the fastest peer that shares no blocks",
            Against::BestWay => "the best of its own ways",
        }
    }
}

impl Limit {
    /// The limit in words.
    pub(crate) fn must(self) -> String {
        match self {
            Limit::Ratio { of, most, against } => format!("{} ≤ {most:.2} × {}", of.name(), against.name()),
            Limit::TimeAFile { most } => format!("time a file ≤ {most:.2} × that in the smaller tree"),
            Limit::PeakMemory { most_mib } => format!("peak memory ≤ {most_mib} MiB"),
            Limit::Blocks { of } => format!("no more blocks than {of}"),
        }
    }

    fn most(self) -> f64 {
        match self {
            Limit::Ratio { most, .. } | Limit::TimeAFile { most } => most,
            Limit::PeakMemory { most_mib } => most_mib,
            Limit::Blocks { .. } => 1.0,
        }
    }

    /// What became of this limit when nothing could be measured.
    pub(crate) fn not_run(self, why: &str) -> Finding {
        self.without_value(Outcome::NotRun(why.to_owned()))
    }

    fn without_value(self, outcome: Outcome) -> Finding {
        Finding { must: self.must(), value: None, most: self.most(), measured: String::new(), outcome }
    }
}

/// Whether a limit holds of the Orbit called `orbit` in a contest, and in one with a smaller tree.
pub(crate) fn judge(limit: Limit, orbit: &str, here: Measured, smaller: Option<Measured>) -> Finding {
    let (value, measured) = match measure(limit, orbit, here, smaller) {
        Ok(found) => found,
        Err(outcome) => return limit.without_value(outcome),
    };
    let most = limit.most();
    let outcome = if value <= most {
        Outcome::Met
    } else {
        Outcome::Missed(format!("{:.1} % above", (value / most - 1.0) * 100.0))
    };
    Finding { must: limit.must(), value: Some(value), most, measured, outcome }
}

/// The value that a limit bounds, and in words what it comes from.
fn measure(
    limit: Limit,
    orbit: &str,
    here: Measured,
    smaller: Option<Measured>,
) -> Result<(f64, String), Outcome> {
    let ours = here.orbit(orbit)?;
    match limit {
        Limit::Ratio { of, against, .. } => {
            let peer = here.rival(against)?;
            let who = match against {
                Against::Peer(_) => String::new(),
                _ => format!(" of {}", peer.id),
            };
            let (ours, theirs) = (some(of.of(ours))?, some(of.of(peer))?);
            let ratio = ours / theirs;
            Ok((ratio, format!("{ratio:.2} × ({} ÷ {} ms{who})", ms(ours), ms(theirs))))
        }
        Limit::TimeAFile { .. } => {
            let smaller = smaller.ok_or_else(|| not_run("the smaller tree was not copied"))?;
            let a_file = |row: &Row, files: u64| Ok(some(row.wall_s())? * 1e6 / files as f64);
            let (ours, there) = (a_file(ours, here.files)?, a_file(smaller.orbit(orbit)?, smaller.files)?);
            let ratio = ours / there;
            Ok((ratio, format!("{ratio:.2} × ({ours:.1} ÷ {there:.1} µs)")))
        }
        Limit::PeakMemory { .. } => {
            let peak = some(ours.peak_rss_mib())?;
            Ok((peak, format!("{peak:.1} MiB")))
        }
        Limit::Blocks { of } => {
            let bytes = |row: &Row| some(row.footprint.map(|footprint| footprint.allocated_bytes as f64));
            let (ours, theirs) = (bytes(ours)?, bytes(here.peer(of)?)?);
            let blocks = |bytes: f64| bytes / 4096.0;
            let ratio = ours / theirs;
            Ok((ratio, format!("{ratio:.4} × ({:.0} ÷ {:.0} blocks of 4 KiB)", blocks(ours), blocks(theirs))))
        }
    }
}

/// Seconds as milliseconds, to about three digits.
fn ms(seconds: f64) -> String {
    let ms = seconds * 1e3;
    let digits = if ms < 100.0 { 1 } else { 0 };
    format!("{ms:.digits$}")
}

fn some(value: Option<f64>) -> Result<f64, Outcome> {
    value.ok_or_else(|| not_run("nothing was measured"))
}

fn not_run(why: impl Into<String>) -> Outcome {
    Outcome::NotRun(why.into())
}

impl<'a> Measured<'a> {
    fn row(self, id: &str) -> Result<&'a Row, Outcome> {
        self.rows.iter().find(|row| row.id == id).ok_or_else(|| {
            let absence = self.absences.iter().find(|absence| absence.id == id);
            not_run(absence.map_or_else(|| format!("{id} did not take part"), |absence| absence.why.clone()))
        })
    }

    fn orbit(self, id: &str) -> Result<&'a Row, Outcome> {
        let row = self.row(id)?;
        match &row.trouble {
            None => Ok(row),
            Some(trouble) => Err(Outcome::Missed(format!("no whole copy ({trouble})"))),
        }
    }

    fn peer(self, id: &str) -> Result<&'a Row, Outcome> {
        let row = self.row(id)?;
        match &row.trouble {
            None => Ok(row),
            Some(trouble) => Err(not_run(format!("{id} made no whole copy ({trouble})"))),
        }
    }

    fn rival(self, against: Against) -> Result<&'a Row, Outcome> {
        let may_share = match against {
            Against::Peer(id) => return self.peer(id),
            Against::FastestPeer => true,
            Against::FastestPeerWithoutSharing | Against::BestWay => false,
        };
        let ways: Vec<_> = WAYS.iter().map(|way| orbit_called(way)).collect();
        let takes_part = |row: &&Row| match against {
            Against::BestWay => ways.contains(&row.id),
            _ => !row.is_orbit,
        };
        let timed = { self.rows.iter() }
            .filter(|row| takes_part(row) && row.trouble.is_none())
            .filter(|row| may_share || !row.is_shared())
            .filter_map(|row| row.wall_s().map(|wall_s| (row, wall_s)));
        let fastest = timed.min_by(|(_, one), (_, other)| one.total_cmp(other));
        fastest.map(|(row, _)| row).ok_or_else(|| not_run("no peer made such a copy"))
    }
}
