//! How the bench beside other copiers judges what it measured; the bench itself has no test harness.

#![allow(dead_code, reason = "the bench uses more of these than judging does")]

mod limit;
mod row;
mod run;
mod ways;

use limit::{Absence, Against, Limit, Measured, Outcome, Quantity, judge};
use row::{Footprint, Row};
use run::Run;
use ways::{WAYS, orbit_called};

const ORBIT: &str = "orbit";
const BY_FASTEST: Limit = Limit::Ratio { of: Quantity::Wall, most: 1.0, against: Against::FastestPeer };

fn row(id: &str, walls_s: &[f64]) -> Row {
    let run =
        |wall_s: &f64| Run { wall_s: *wall_s, cpu_s: 2.0 * wall_s, rss_kib: 20 << 10, others_cpu_s: 0.0 };
    Row {
        id: id.to_owned(),
        copier: id.to_owned(),
        version: String::new(),
        is_orbit: id.starts_with(ORBIT),
        runs: walls_s.iter().map(run).collect(),
        footprint: Some(Footprint { allocated_bytes: 4096, is_shared: false }),
        lost: Vec::new(),
        trouble: None,
    }
}

fn outcome(limit: Limit, rows: &[Row]) -> Outcome {
    judge(limit, ORBIT, Measured { files: 100, rows, absences: &[] }, None).outcome
}

fn ratio_to(id: &'static str, most: f64) -> Limit {
    Limit::Ratio { of: Quantity::Wall, most, against: Against::Peer(id) }
}

#[test]
fn medians_are_compared_and_the_limit_itself_will_do() {
    let rows = [row(ORBIT, &[1.0, 9.0, 0.5]), row("cp", &[2.0, 2.0, 7.0])];

    assert_eq!(outcome(ratio_to("cp", 0.5), &rows), Outcome::Met);
    assert_eq!(outcome(ratio_to("cp", 0.4), &rows), Outcome::Missed("25.0 % above".to_owned()));
}

#[test]
fn the_fastest_peer_is_neither_orbit_nor_one_without_a_whole_copy() {
    let failed = Row { trouble: Some("exit status: 1".to_owned()), ..row("fcp", &[0.1]) };
    let rows =
        [row(ORBIT, &[1.0]), row("orbit --jobs=1", &[0.5]), failed, row("cp", &[3.0]), row("cpz", &[2.0])];

    let finding = judge(BY_FASTEST, ORBIT, Measured { files: 1, rows: &rows, absences: &[] }, None);

    assert_eq!(finding.value, Some(0.5));
    assert!(finding.measured.contains("of cpz"), "{}", finding.measured);
}

#[test]
fn who_shares_blocks_is_no_match_for_who_may_not() {
    let shared = Footprint { allocated_bytes: 4096, is_shared: true };
    let rows =
        [row(ORBIT, &[1.0]), Row { footprint: Some(shared), ..row("xcp", &[0.01]) }, row("cp:never", &[2.0])];
    let without = Limit::Ratio { of: Quantity::Wall, most: 1.0, against: Against::FastestPeerWithoutSharing };

    assert_eq!(outcome(without, &rows), Outcome::Met);
    assert!(matches!(outcome(BY_FASTEST, &rows), Outcome::Missed(_)));
}

#[test]
fn of_its_own_ways_the_best_counts_and_nobody_elses() {
    let [ring, alone] = [0, 1].map(|way| orbit_called(WAYS[way]));
    let rows = [row(ORBIT, &[1.0]), row(&ring, &[2.0]), row(&alone, &[0.8]), row("cp", &[0.1])];
    let limit = Limit::Ratio { of: Quantity::Wall, most: 1.08, against: Against::BestWay };

    let finding = judge(limit, ORBIT, Measured { files: 1, rows: &rows, absences: &[] }, None);

    assert_eq!(finding.value, Some(1.25));
    assert_eq!(finding.must, "wall ≤ 1.08 × the best of its own ways");
}

#[test]
fn a_peer_that_is_not_there_leaves_the_limit_open_and_says_why() {
    let absences = [Absence { id: "cpz".to_owned(), why: "cpz is not on PATH".to_owned() }];
    let rows = [row(ORBIT, &[1.0])];
    let here = Measured { files: 1, rows: &rows, absences: &absences };

    let named = judge(ratio_to("cpz", 1.0), ORBIT, here, None);
    let fastest = judge(BY_FASTEST, ORBIT, here, None);

    assert_eq!(named.outcome, Outcome::NotRun("cpz is not on PATH".to_owned()));
    assert!(matches!(fastest.outcome, Outcome::NotRun(_)));
}

#[test]
fn a_broken_copy_of_orbit_misses_and_one_of_a_peer_does_not_count() {
    let broken = |id| Row { trouble: Some("1 wrong".to_owned()), ..row(id, &[0.1]) };

    let ours = outcome(ratio_to("cp", 1.0), &[broken(ORBIT), row("cp", &[1.0])]);
    let theirs = outcome(ratio_to("cp", 1.0), &[row(ORBIT, &[1.0]), broken("cp")]);

    assert!(matches!(ours, Outcome::Missed(_)));
    assert!(matches!(theirs, Outcome::NotRun(_)));
}

#[test]
fn time_a_file_is_compared_with_that_in_the_smaller_tree() {
    let (rows, fewer) = ([row(ORBIT, &[2.2])], [row(ORBIT, &[0.2])]);
    let here = Measured { files: 1000, rows: &rows, absences: &[] };
    let smaller = Measured { files: 100, rows: &fewer, absences: &[] };
    let limit = |most| Limit::TimeAFile { most };

    assert_eq!(judge(limit(1.11), ORBIT, here, Some(smaller)).outcome, Outcome::Met);
    assert!(matches!(judge(limit(1.09), ORBIT, here, Some(smaller)).outcome, Outcome::Missed(_)));
    assert!(matches!(judge(limit(1.09), ORBIT, here, None).outcome, Outcome::NotRun(_)));
}

#[test]
fn one_block_more_than_the_peer_is_too_many() {
    let blocks = |id, count: u64| {
        let footprint = Footprint { allocated_bytes: 4096 * count, is_shared: false };
        Row { footprint: Some(footprint), ..row(id, &[1.0]) }
    };
    let limit = Limit::Blocks { of: "cp:sparse" };

    assert_eq!(outcome(limit, &[blocks(ORBIT, 500), blocks("cp:sparse", 500)]), Outcome::Met);
    assert!(matches!(outcome(limit, &[blocks(ORBIT, 501), blocks("cp:sparse", 500)]), Outcome::Missed(_)));
}

#[test]
fn peak_memory_is_that_of_the_worst_run() {
    let mut ours = row(ORBIT, &[1.0, 1.0, 1.0]);
    ours.runs[1].rss_kib = 65 << 10;

    assert!(matches!(outcome(Limit::PeakMemory { most_mib: 64.0 }, &[ours]), Outcome::Missed(_)));
}
