//! How fast Orbit has to be: every bar, on each filesystem it is set for.

use crate::{
    arena::Filesystem::{self, Btrfs, Ext4, Xfs},
    corpus::Tree,
    limit::{Against, Limit, Quantity},
    sitting::Sitting,
    ways::{RING, WAYS},
};

/// What must hold of Orbit, called in one way, in one contest.
#[derive(Debug)]
pub(crate) struct Bar {
    /// What `--bars` calls it, and its likes on other filesystems.
    pub(crate) id: &'static str,
    pub(crate) sitting: Sitting,
    /// Orbit's arguments: none, wherever its defaults are what counts.
    pub(crate) orbit: &'static [&'static str],
    /// A contest with a smaller tree, for limits that compare with it.
    pub(crate) smaller: Option<Sitting>,
    pub(crate) limits: Vec<Limit>,
}

const NO_SHARING: &[&str] = &["--reflink=never"];

/// All bars, those of one contest next to each other where that reads well.
pub(crate) fn all() -> Vec<Bar> {
    let mut bars = Vec::new();
    for filesystem in [Ext4, Xfs] {
        bars.push(small(filesystem));
    }
    for filesystem in [Ext4, Xfs] {
        let limits = vec![wall(1.0, "cpz")];
        bars.push(Bar { orbit: &["--preserve=mode"], ..warm("small-mode", Tree::Small, filesystem, limits) });
    }
    bars.push(warm("huge_dir", Tree::HugeDir, Ext4, vec![wall_of(0.85, Against::FastestPeer)]));
    for filesystem in [Ext4, Xfs] {
        bars.push(warm("mixed", Tree::Mixed, filesystem, vec![wall_of(1.0, Against::FastestPeer)]));
    }
    for tree in [Tree::Large, Tree::Films, Tree::Photos] {
        bars.extend([Ext4, Xfs, Btrfs].map(|filesystem| large(tree, filesystem)));
    }
    for filesystem in [Ext4, Xfs] {
        for sitting in [Sitting::warm(Tree::Large, filesystem), Sitting::cold(Tree::Large, filesystem)] {
            let limits = vec![cpu(0.40, "cp:never"), wall(1.0, "cp:never")];
            bars.push(Bar { sitting, orbit: RING, ..warm("ring", Tree::Large, filesystem, limits) });
        }
    }
    for (id, tree) in [("shared", Tree::Large), ("reflinked", Tree::Reflinked)] {
        for filesystem in [Xfs, Btrfs] {
            bars.push(warm(id, tree, filesystem, vec![wall(1.05, "cp:always"), wall(1.05, "cpz")]));
        }
    }
    for tree in [Tree::Small, Tree::Mixed] {
        let limits = vec![wall(0.70, "cp"), wall_of(1.0, Against::FastestPeer)];
        bars.push(Bar { sitting: Sitting::cold(tree, Ext4), ..warm("cold", tree, Ext4, limits) });
    }
    bars.extend([million(), again()]);
    bars.push(warm("tiny_dirs", Tree::TinyDirs, Ext4, vec![wall(1.05, "cpz")]));
    let limits = vec![wall(1.0, "cp:sparse"), Limit::Blocks { of: "cp:sparse" }];
    bars.push(warm("sparse", Tree::Sparse, Ext4, limits));
    bars
}

/// What `--bars` can name.
pub(crate) fn ids() -> Vec<&'static str> {
    let mut ids: Vec<_> = all().iter().map(|bar| bar.id).collect();
    ids.dedup();
    ids
}

impl Bar {
    /// Whom the limits name, and whether they speak of the fastest of all.
    pub(crate) fn rivals(&self) -> (Vec<&'static str>, bool) {
        let (mut named, mut all) = (Vec::new(), false);
        for limit in &self.limits {
            match limit {
                Limit::Ratio { against: Against::Peer(id), .. } | Limit::Blocks { of: id } => named.push(*id),
                Limit::Ratio { against: Against::BestWay, .. } => {}
                Limit::Ratio { .. } => all = true,
                Limit::TimeAFile { .. } | Limit::PeakMemory { .. } => {}
            }
        }
        (named, all)
    }

    /// The arguments of each Orbit that takes part.
    pub(crate) fn orbits(&self) -> impl Iterator<Item = &'static [&'static str]> {
        let is_of_ways = |limit: &Limit| matches!(limit, Limit::Ratio { against: Against::BestWay, .. });
        let ways = if self.limits.iter().any(is_of_ways) { &WAYS[..] } else { &[] };
        [self.orbit].into_iter().chain(ways.iter().copied())
    }

    pub(crate) fn sittings(&self) -> impl Iterator<Item = Sitting> {
        [Some(self.sitting), self.smaller].into_iter().flatten()
    }
}

fn warm(id: &'static str, tree: Tree, filesystem: Filesystem, limits: Vec<Limit>) -> Bar {
    Bar { id, sitting: Sitting::warm(tree, filesystem), orbit: &[], smaller: None, limits }
}

fn small(filesystem: Filesystem) -> Bar {
    warm("small", Tree::Small, filesystem, vec![wall(1.12, "cpz"), cpu(1.12, "cpz"), wall(0.38, "cp")])
}

/// Large files, whose blocks are not shared.
fn large(tree: Tree, filesystem: Filesystem) -> Bar {
    let mut limits = match tree {
        Tree::Large => vec![
            wall(0.75, "cp:never"),
            cpu(1.0, "cp:never"),
            wall_of(1.0, Against::FastestPeerWithoutSharing),
        ],
        // Elsewhere these two share blocks.
        _ if filesystem == Ext4 => vec![wall(0.70, "cp:never"), wall(1.0, "xcp"), wall(1.0, "cpz")],
        _ => vec![wall(0.70, "cp:never")],
    };
    limits.push(wall_of(1.08, Against::BestWay));
    let orbit = if filesystem == Ext4 { &[][..] } else { NO_SHARING };
    Bar { orbit, ..warm(tree.name(), tree, filesystem, limits) }
}

fn million() -> Bar {
    let limits = vec![Limit::TimeAFile { most: 1.10 }, Limit::PeakMemory { most_mib: 64.0 }];
    let smaller = Some(Sitting::warm(Tree::TenthOfMillion, Ext4));
    Bar { smaller, ..warm("million", Tree::Million, Ext4, limits) }
}

fn again() -> Bar {
    let sitting = Sitting::again(Tree::Small, Ext4);
    Bar { sitting, ..warm("again", Tree::Small, Ext4, vec![wall(0.5, "rsync")]) }
}

fn wall(most: f64, peer: &'static str) -> Limit {
    wall_of(most, Against::Peer(peer))
}

fn wall_of(most: f64, against: Against) -> Limit {
    Limit::Ratio { of: Quantity::Wall, most, against }
}

fn cpu(most: f64, peer: &'static str) -> Limit {
    Limit::Ratio { of: Quantity::Cpu, most, against: Against::Peer(peer) }
}
