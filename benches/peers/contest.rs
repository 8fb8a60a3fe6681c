//! The contest: all who take part copy one tree, in turns.

use std::io::{self, IsTerminal};

use anyhow::{Context, Result};

use crate::{
    arena::{Arena, Place},
    check::{Findings, Lost, compare},
    fixture::Fixture,
    footprint::Surveyor,
    held::Contest,
    machine::Ground,
    measure::copy,
    peer::Contender,
    roster::Roster,
    row::Row,
    size::Size,
};

/// Let all of a fixture copy its tree, at this scale if there is room.
pub(crate) fn hold(
    fixture: &Fixture,
    place: &Place,
    scale: f64,
    runs: usize,
    roster: &mut Roster,
) -> Result<Contest> {
    let sitting = fixture.sitting;
    let room = place.room_for(sitting.tree.extent(scale))?;
    let scale = scale * room.part;
    let (entrants, absences) = roster.enlist(fixture, place)?;
    let arena = Arena::new(place, sitting.tree.extent(scale))?;
    let (source, destination) = arena.source_and_copy()?;
    sitting.tree.make(&source, scale).context("making the tree")?;
    let surveyor = Surveyor::new(&source)?;
    let mut lost: Vec<_> = entrants.iter().map(|entrant| entrant.lost.clone()).collect();
    let mut rows: Vec<Row> = entrants.iter().map(|entrant| row(&entrant.contender)).collect();
    for round in 0..runs {
        for index in turns(round, entrants.len()) {
            let row = &mut rows[index];
            if row.trouble.is_some() {
                continue; // the time of a copy that is none says nothing
            }
            notice(&format!("{sitting}, round {}: {}", round + 1, row.copier));
            match copy(&entrants[index].contender, &source, &destination, sitting.cache, sitting.pass) {
                Ok(run) => row.runs.push(run),
                Err(error) => row.trouble = Some(format!("{error:#}")),
            }
            let Findings { lost: lost_here, wrong, first_wrong, .. } = compare(&source, &destination)?;
            lost[index].extend(lost_here);
            if let (Some(first), None) = (first_wrong, &row.trouble) {
                row.trouble = Some(format!("{wrong} wrong, first {first}"));
            }
            if row.footprint.is_none() && row.trouble.is_none() {
                row.footprint = Some(surveyor.survey(&destination)?);
            }
        }
    }
    notice("");
    for (row, lost) in rows.iter_mut().zip(lost) {
        row.lost = lost.into_iter().map(Lost::name).collect();
    }
    let (size, ground) = (Size::of(&source)?, Ground::under(&source)?);
    Ok(Contest { sitting, scale, short: room.short, size, ground, rows, absences })
}

/// Show what is going on, on a terminal, in place of the notice before.
fn notice(what: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

fn row(contender: &Contender) -> Row {
    Row {
        id: contender.id.clone(),
        copier: contender.name.clone(),
        version: contender.version.clone(),
        is_orbit: contender.is_orbit,
        runs: Vec::new(),
        footprint: None,
        lost: Vec::new(),
        trouble: None,
    }
}

/// Who copies when: someone else first in each round, and every other round the other way round,
/// so that nobody always comes after the same one.
fn turns(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| {
        let turn = if round.is_multiple_of(2) { turn } else { count - 1 - turn };
        (round + turn) % count
    })
}
