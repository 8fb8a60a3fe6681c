//! What this bench can be asked for.

use std::path::PathBuf;

use clap::Parser;

use crate::{
    arena::Filesystem,
    bars::{self, Bar},
    corpus::Tree,
    fixture::Fixture,
    measure::{Cache, Pass},
    peer,
    sitting::Sitting,
};

/// Compare Orbit with other copiers on the same trees, and judge by the bars it is held to.
#[derive(Debug, Parser)]
#[command(name = "peers", bin_name = "cargo bench --bench peers --")]
pub(crate) struct Args {
    /// Bars to judge [default: all, unless --tree names trees]
    #[arg(long, value_name = "BAR", value_delimiter = ',', num_args = 0.., value_parser = bars::ids())]
    #[arg(conflicts_with = "trees")]
    bars: Vec<String>,
    /// Trees to copy for comparison alone, without a verdict
    #[arg(long = "tree", value_name = "TREE", value_delimiter = ',')]
    trees: Vec<Tree>,
    /// Runs of each copier on each tree
    #[arg(long, default_value_t = 7)]
    pub(crate) runs: usize,
    /// How much of each tree's full size to make; 1 is 100,000 small files, or one file of 4 GiB
    #[arg(long, default_value_t = 0.25)]
    pub(crate) scale: f64,
    /// Filesystem to make for the trees, in an image; only bars on this one are judged
    ///
    /// Trees are on ext4 by default where images can be mounted, that is as root, and otherwise in a
    /// temporary directory.
    #[arg(long, conflicts_with = "dir")]
    fs: Option<Filesystem>,
    /// Where to put images [default: /dev/shm; for a cold cache target/peers, hopefully on a disk]
    #[arg(long)]
    pub(crate) image_dir: Option<PathBuf>,
    /// Put the trees in this directory instead; only bars on its filesystem are judged
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Copiers to compare with, where they are on PATH
    #[arg(long, value_delimiter = ',', value_parser = peer::known())]
    pub(crate) peers: Vec<String>,
    /// Also let orbit run with --preserve=LIST
    #[arg(long, value_name = "LIST", requires = "trees")]
    preserve: Option<String>,
    /// Also let orbit run with these arguments, separated by spaces; may be given again
    #[arg(long, value_name = "ARGUMENTS", allow_hyphen_values = true, requires = "trees")]
    orbit: Vec<String>,
    /// Drop all caches before each run (as root), instead of reading the source
    #[arg(long, requires = "trees")]
    cold: bool,
    /// Time a second run over each copier's own copy, which has nothing to do
    ///
    /// Compares with those alone that leave unchanged files alone, unless --peers says otherwise.
    #[arg(long, requires = "trees")]
    again: bool,
    /// Let the kernel begin to write back after 256 MiB (vm.dirty_background_bytes, as root), until the end
    #[arg(long)]
    pub(crate) writeback: bool,
    /// Given by `cargo bench`; without it, everything is tried once and small
    #[arg(long, hide = true)]
    bench: bool,
    /// Try everything once and small
    #[arg(long, hide = true)]
    test: bool,
}

impl Args {
    /// What `cargo test` wants of a bench: to see that it works.
    pub(crate) fn tried_only(self) -> Args {
        if self.is_tried_only() { Args { runs: 1, scale: 0.002, ..self } } else { self }
    }

    fn is_tried_only(&self) -> bool {
        self.test || !self.bench
    }

    /// The bars to judge: none where trees were asked for.
    pub(crate) fn bars(&self) -> Vec<Bar> {
        if !self.trees.is_empty() {
            return Vec::new();
        }
        let is_wanted = |bar: &Bar| {
            let is_named = self.bars.is_empty() || self.bars.iter().any(|id| id == bar.id);
            // Dropping all caches is felt by everything that runs on the machine.
            let is_cheap = !self.is_tried_only() || bar.sitting.cache == Cache::Warm;
            is_named && is_cheap && self.fs.is_none_or(|filesystem| filesystem == bar.sitting.filesystem)
        };
        bars::all().into_iter().filter(is_wanted).collect()
    }

    /// The contests to hold for the trees that were asked for.
    pub(crate) fn fixtures(&self, filesystems_are_made: bool) -> Vec<Fixture> {
        let by_default = if filesystems_are_made { Filesystem::Ext4 } else { Filesystem::None };
        let cache = if self.cold { Cache::Cold } else { Cache::Warm };
        let pass = if self.again { Pass::Again } else { Pass::First };
        let fixture = |tree: &Tree| Fixture {
            sitting: Sitting { tree: *tree, filesystem: self.fs.unwrap_or(by_default), cache, pass },
            orbits: self.orbits(),
            peers: self.rivals(),
        };
        self.trees.iter().map(fixture).collect()
    }

    fn orbits(&self) -> Vec<Vec<String>> {
        let preserve = self.preserve.iter().map(|list| vec![format!("--preserve={list}")]);
        let others = self.orbit.iter().map(|words| words.split_whitespace().map(str::to_owned).collect());
        [Vec::new()].into_iter().chain(preserve).chain(others).collect()
    }

    fn rivals(&self) -> Vec<String> {
        let by_default = if self.again { peer::THAT_UPDATE.to_vec() } else { peer::usual_ones() };
        let all = || by_default.into_iter().map(str::to_owned).collect();
        if self.peers.is_empty() { all() } else { self.peers.clone() }
    }
}
