//! Whether Orbit is as fast as it has to be, bar by bar.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    bars::Bar,
    held::{Contest, LeftOut},
    limit::{Finding, Limit, Outcome, judge},
    markdown, peer,
    sitting::Sitting,
    ways::orbit_called,
};

/// What became of a bar.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    bar: &'static str,
    /// What was copied where, how much of it, and by what Orbit if not the one at its defaults.
    work: String,
    findings: Vec<Finding>,
    /// Which part of the machine's CPU time went elsewhere.
    elsewhere: Option<f64>,
    /// The peers that the limits name.
    #[serde(skip)]
    rivals: Vec<&'static str>,
}

impl Verdict {
    /// Judge by the contests that were held, and those that were not, on a machine of so many cores.
    pub(crate) fn of(bar: &Bar, contests: &[Contest], left_out: &[LeftOut], cores: usize) -> Verdict {
        let held = |sitting: Sitting| contests.iter().find(|contest| contest.sitting == sitting);
        let (here, smaller) = (held(bar.sitting), bar.smaller.and_then(held));
        let orbit = orbit_called(bar.orbit);
        let finding = |limit: &Limit| match here {
            Some(contest) => judge(*limit, &orbit, contest.measured(), smaller.map(Contest::measured)),
            None => limit.not_run(why_not(bar.sitting, left_out)),
        };
        let mut work = bar.sitting.to_string();
        if let Some(contest) = here {
            work += &format!(", {}", contest.extent());
            if contest.ground.doubt.is_some() {
                work += ", **on doubtful ground**";
            }
        }
        if !bar.orbit.is_empty() {
            work += &format!(", `{orbit}`");
        }
        let findings = bar.limits.iter().map(finding).collect();
        let elsewhere = here.map(|contest| contest.elsewhere(cores));
        Verdict { bar: bar.id, work, findings, elsewhere, rivals: bar.rivals().0 }
    }
}

fn why_not(sitting: Sitting, left_out: &[LeftOut]) -> &str {
    let left_out = left_out.iter().find(|left_out| left_out.sitting == sitting);
    left_out.map_or("not held", |left_out| &left_out.why)
}

/// All verdicts in one table.
pub(crate) fn section(verdicts: &[Verdict], runs: usize) -> String {
    let mut lines = vec![["bar", "work", "must", "measured", "verdict", "elsewhere"].map(str::to_owned)];
    for Verdict { bar, work, findings, elsewhere, .. } in verdicts {
        let elsewhere = elsewhere.map_or(String::new(), |part| format!("{:.0} %", part * 100.0));
        lines.extend(findings.iter().map(|Finding { must, measured, outcome, .. }| {
            [
                (*bar).to_owned(),
                work.clone(),
                must.clone(),
                measured.clone(),
                outcome.described(),
                elsewhere.clone(),
            ]
        }));
    }
    format!("## Bars\n\n{}\n{}\n{}\n", markdown::table(lines), counted(verdicts, runs), legend(verdicts))
}

fn counted(verdicts: &[Verdict], runs: usize) -> String {
    let outcomes = || verdicts.iter().flat_map(|verdict| &verdict.findings).map(|finding| &finding.outcome);
    let met = outcomes().filter(|outcome| **outcome == Outcome::Met).count();
    let missed = outcomes().filter(|outcome| matches!(outcome, Outcome::Missed(_))).count();
    let not_run = outcomes().count() - met - missed;
    format!(
        "{met} met, {missed} missed, {not_run} not run. Ratios are of medians of {runs} runs, Orbit's ÷ the other's; elsewhere went \
         so much of the machine's CPU time, to the kernel's own threads and other programs.\n"
    )
}

/// What the names of peers stand for.
fn legend(verdicts: &[Verdict]) -> String {
    let ids: BTreeSet<&str> = verdicts.iter().flat_map(|verdict| &verdict.rivals).copied().collect();
    let commands = ids.into_iter().filter_map(|id| Some((id, peer::command_of(id)?)));
    let meanings: Vec<String> = commands.map(|(id, command)| format!("{id} is `{command}`")).collect();
    if meanings.is_empty() { String::new() } else { format!("{}.", meanings.join(", ")) }
}
