//! A contest that is to be held.

use crate::{bars::Bar, peer, sitting::Sitting};

/// A contest that is to be held, and who is to take part.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) sitting: Sitting,
    /// Arguments of each Orbit.
    pub(crate) orbits: Vec<Vec<String>>,
    /// Peers, as `--peers` calls them.
    pub(crate) peers: Vec<String>,
}

/// The contests that bars speak of, each once.
pub(crate) fn for_bars(bars: &[Bar]) -> Vec<Fixture> {
    let mut fixtures: Vec<Fixture> = Vec::new();
    for bar in bars {
        let (named, all) = bar.rivals();
        for sitting in bar.sittings() {
            let known = fixtures.iter().position(|fixture| fixture.sitting == sitting);
            let index = known.unwrap_or_else(|| {
                fixtures.push(Fixture { sitting, orbits: Vec::new(), peers: Vec::new() });
                fixtures.len() - 1
            });
            let fixture = &mut fixtures[index];
            for arguments in bar.orbits() {
                add(&mut fixture.orbits, arguments.iter().map(|word| (*word).to_owned()).collect());
            }
            let usual = if all { peer::usual_ones() } else { Vec::new() };
            for id in named.iter().copied().chain(usual) {
                add(&mut fixture.peers, id.to_owned());
            }
        }
    }
    // Orbit at its defaults, where it takes part, is what the tables compare with.
    fixtures.iter_mut().for_each(|fixture| fixture.orbits.sort_by_key(Vec::len));
    fixtures
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
