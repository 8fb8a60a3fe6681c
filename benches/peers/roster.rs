//! Who takes part, and what is known of each before the first contest.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use anyhow::{Context, Result};

use crate::{
    arena::{Arena, Place},
    check::{Lost, compare},
    corpus::{Extent, make_awkward},
    fixture::Fixture,
    limit::Absence,
    measure::{Cache, Failure, Pass, copy},
    peer::{self, Contender},
};

/// What is known of each copier so far.
pub(crate) struct Roster {
    /// The only peers to let take part, when not empty.
    allowed: Vec<String>,
    tried: HashMap<String, Tried>,
}

/// What a first try of a copier showed.
#[derive(Clone)]
enum Tried {
    /// What it loses of a tree that has one of everything.
    Loses(BTreeSet<Lost>),
    /// This build of Orbit does not know its arguments.
    Unknown,
}

/// Someone who takes part.
pub(crate) struct Entrant {
    pub(crate) contender: Contender,
    pub(crate) lost: BTreeSet<Lost>,
}

impl Roster {
    pub(crate) fn new(allowed: &[String]) -> Roster {
        Roster { allowed: allowed.to_owned(), tried: HashMap::new() }
    }

    /// Those of a fixture who can take part, and why the others cannot.
    pub(crate) fn enlist(
        &mut self,
        fixture: &Fixture,
        place: &Place,
    ) -> Result<(Vec<Entrant>, Vec<Absence>)> {
        let (mut contenders, mut absences) = (Vec::new(), Vec::new());
        contenders.extend(fixture.orbits.iter().map(|arguments| Contender::orbit(arguments)));
        for id in &fixture.peers {
            let is_allowed = self.allowed.is_empty() || self.allowed.iter().any(|name| is_a(id, name));
            match peer::find(id).filter(|_| is_allowed) {
                Some(contender) => contenders.push(contender),
                None if is_allowed => absences.push(absence(id, format!("{id} is not on PATH"))),
                None => absences.push(absence(id, format!("{id} is not among --peers"))),
            }
        }
        self.try_those_new(&contenders, place)?;
        let mut entrants = Vec::new();
        for contender in contenders {
            match self.tried[&contender.id].clone() {
                Tried::Loses(lost) => entrants.push(Entrant { contender, lost }),
                Tried::Unknown => {
                    let why = format!("this build has no such option: `{}`", contender.name);
                    absences.push(absence(&contender.id, why));
                }
            }
        }
        Ok((entrants, absences))
    }

    fn try_those_new(&mut self, contenders: &[Contender], place: &Place) -> Result<()> {
        let is_new = |contender: &&Contender| !self.tried.contains_key(&contender.id);
        let new: Vec<&Contender> = contenders.iter().filter(is_new).collect();
        if new.is_empty() {
            return Ok(());
        }
        let arena = Arena::new(place, Extent { entries: 100, bytes: 32 << 20 })?;
        let (source, destination) = arena.source_and_copy()?;
        make_awkward(&source).context("making a tree with one of everything")?;
        for contender in new {
            let tried = try_on(contender, &source, &destination)?;
            self.tried.insert(contender.id.clone(), tried);
        }
        Ok(())
    }
}

/// Whether a copier is the one of this name, with whatever arguments.
fn is_a(id: &str, name: &str) -> bool {
    id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

fn absence(id: &str, why: String) -> Absence {
    Absence { id: id.to_owned(), why }
}

/// Let a copier copy a tree that has one of everything.
fn try_on(contender: &Contender, source: &Path, destination: &Path) -> Result<Tried> {
    if let Err(error) = copy(contender, source, destination, Cache::Warm, Pass::First) {
        if contender.is_orbit && error.downcast_ref().is_some_and(Failure::is_usage) {
            return Ok(Tried::Unknown);
        }
        println!("{}, on a tree with one of everything: {error:#}", contender.name);
    }
    let findings = compare(source, destination)?;
    if let Some(wrong) = findings.first_wrong {
        println!("{}, on a tree with one of everything: {wrong}", contender.name);
    }
    Ok(Tried::Loses(findings.lost))
}
