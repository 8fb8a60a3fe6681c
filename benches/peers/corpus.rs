//! The trees that are copied: the same on every machine, for one scale.

mod awkward;
mod build;

use std::{io, path::Path};

use clap::ValueEnum;
use serde::Serialize;

pub(crate) use awkward::make_awkward;
use build::{Builder, Text};

use crate::random::Random;

const SEED: u64 = 20_240_607;

/// A tree of a known shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Tree {
    /// 100,000 files like a source tree's, 230 MB, in 2,000 directories.
    Small,
    /// 50,000 files of 1 KiB in one directory.
    HugeDir,
    /// 10,000 files of 1 KiB to 4 MiB, 1.5 GB, with links and extended attributes.
    Mixed,
    /// One file of 4 GiB.
    Large,
    /// 60 files of 20 MiB.
    Films,
    /// 400 files of 4 MiB.
    Photos,
    /// One file of 8 GiB, of which 200 MiB are data.
    Sparse,
    /// 50,000 directories with one file each.
    TinyDirs,
    /// 10,000 files of 16 KiB to 1 MiB, 0.9 GB, in 200 directories: worth sharing one by one.
    Reflinked,
    /// 1,000,000 files of up to 4 KiB in 20,000 directories.
    Million,
    /// 100,000 such files in 2,000 directories.
    TenthOfMillion,
}

/// How much of everything a tree has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) entries: u64,
    /// Bytes that are allocated, roughly.
    pub(crate) bytes: u64,
}

impl Tree {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tree::Small => "small",
            Tree::HugeDir => "huge_dir",
            Tree::Mixed => "mixed",
            Tree::Large => "large",
            Tree::Films => "films",
            Tree::Photos => "photos",
            Tree::Sparse => "sparse",
            Tree::TinyDirs => "tiny_dirs",
            Tree::Reflinked => "reflinked",
            Tree::Million => "million",
            Tree::TenthOfMillion => "tenth_of_million",
        }
    }

    /// What a tree takes, to make room for it.
    pub(crate) fn extent(self, scale: f64) -> Extent {
        let (entries, bytes) = match self {
            Tree::Small => (102_000, 600 << 20),
            Tree::HugeDir => (50_000, 250 << 20),
            Tree::Mixed => (11_500, 1_700 << 20),
            Tree::Large => (2, 4 << 30),
            Tree::Films => (62, 1_220 << 20),
            Tree::Photos => (402, 1_640 << 20),
            Tree::Sparse => (2, 260 << 20),
            Tree::TinyDirs => (100_000, 500 << 20),
            Tree::Reflinked => (10_200, 960 << 20),
            Tree::Million => (1_020_000, 4_400 << 20),
            Tree::TenthOfMillion => (102_000, 440 << 20),
        };
        Extent { entries: scaled(entries, scale) as u64 + 8, bytes: scaled(bytes, scale) as u64 }
    }

    /// Make the tree at `root`, which must not exist yet.
    pub(crate) fn make(self, root: &Path, scale: f64) -> io::Result<()> {
        match self {
            Tree::Small => small(root, scale),
            Tree::HugeDir => huge_dir(root, scale),
            Tree::Mixed => mixed(root, scale),
            Tree::Large => large(root, scale),
            Tree::Films => films(root, scaled(60, scale), 20 << 20),
            Tree::Photos => films(root, scaled(400, scale), 4 << 20),
            Tree::Sparse => sparse(root, scale),
            Tree::TinyDirs => tiny_dirs(root, scale),
            Tree::Reflinked => reflinked(root, scale),
            Tree::Million => one_block_files(root, scale * 10.0),
            Tree::TenthOfMillion => one_block_files(root, scale),
        }
    }
}

fn scaled(count: usize, scale: f64) -> usize {
    (count as f64 * scale) as usize
}

fn small(root: &Path, scale: f64) -> io::Result<()> {
    const EXTENSIONS: [&str; 12] =
        [".c", ".h", ".rs", ".py", ".js", ".md", ".txt", ".json", ".toml", ".html", ".S", ""];
    let mut random = Random::new(SEED + 1);
    let text = Text::new(&mut random);
    // Breadth first, more or less: most directories come to lie two to four levels deep.
    let pick = |random: &mut Random, count: usize| (count as f64 * random.unit().powf(1.3)) as usize;
    let mut tree = Builder::new(random, root)?;
    tree.grow(scaled(2_000, scale).max(4), 4, pick)?;
    let homes = tree.uneven_homes();
    for index in 0..scaled(100_000, scale) {
        let home = homes.pick(&mut tree.random);
        // A source tree's sizes: three in a hundred empty, a median of 1.7 KiB, none over 8 KiB.
        let size = if tree.random.chance(0.03) { 0.0 } else { tree.random.log_normal(1700.0, 1.15).max(1.0) };
        let size = if size >= 8192.0 { 2048 + tree.random.below(6145) } else { size as usize };
        let name = format!("f{index:06}{}", tree.random.pick(&EXTENSIONS));
        let mode = match tree.random.unit() {
            draw if draw < 0.02 => 0o755,
            draw if draw < 0.05 => 0o600,
            _ => 0o644,
        };
        let content = text.make(&mut tree.random, size, &name);
        tree.file(home, &name, &content, mode)?;
    }
    tree.finish()
}

fn mixed(root: &Path, scale: f64) -> io::Result<()> {
    const POOL: usize = 8 << 20;
    const MODES: [u32; 7] = [0o644, 0o644, 0o644, 0o640, 0o600, 0o755, 0o444];
    let mut random = Random::new(SEED + 2);
    let mut pool = vec![0; POOL];
    random.fill(&mut pool);
    let mut tree = Builder::new(random, root)?;
    tree.grow(scaled(500, scale).max(4), 6, |random, count| random.below(count))?;
    let mut files = Vec::new();
    for index in 0..scaled(10_000, scale).max(10) {
        let size = tree.random.log_normal(38_500.0, 1.75).clamp(1024.0, f64::from(4 << 20)) as usize;
        let start = tree.random.below(POOL - size);
        let mut content = pool[start..start + size].to_vec();
        tree.random.fill(&mut content[..8]); // so that no two files are equal
        let (home, mode) = (tree.any_directory(), *tree.random.pick(&MODES));
        files.push(tree.file(home, &format!("m{index:05}.bin"), &content, mode)?);
    }
    for group in 0..scaled(200, scale).max(1) {
        let first = tree.random.pick(&files).clone();
        for name in 0..1 + tree.random.below(3) {
            let home = tree.any_directory();
            tree.hard_link(&first, home, &format!("h{group:03}_{name}.bin"))?;
        }
    }
    for index in 0..scaled(300, scale).max(10) {
        let home = tree.any_directory();
        let target = match index % 10 {
            0..6 => tree.way_to(home, &files[index % files.len()]),
            6..8 => tree.way_to_other_directory(home),
            8 => format!("no/such/target_{index}").into(),
            _ => format!("/nonexistent/abs_{index}").into(),
        };
        tree.symlink(&target, home, &format!("s{index:03}"))?;
    }
    for _ in 0..scaled(100, scale).max(1) {
        let file = tree.random.pick(&files).clone();
        tree.xattr(&file, "user.origin")?;
    }
    tree.finish()
}

fn huge_dir(root: &Path, scale: f64) -> io::Result<()> {
    let mut tree = Builder::new(Random::new(SEED + 4), root)?;
    let mut content = [0; 1024];
    for index in 0..scaled(50_000, scale) {
        tree.random.fill(&mut content);
        tree.file(Builder::ROOT, &format!("entry-{index:06}.dat"), &content, 0o644)?;
    }
    tree.finish()
}

fn large(root: &Path, scale: f64) -> io::Result<()> {
    let mut tree = Builder::new(Random::new(SEED + 3), root)?;
    let size = scaled(4 << 30, scale) as u64;
    tree.big_file("large.bin", size, [(0, size)])?;
    tree.finish()
}

fn films(root: &Path, count: usize, size: u64) -> io::Result<()> {
    let mut tree = Builder::new(Random::new(SEED + 9), root)?;
    for index in 0..count.max(1) {
        tree.big_file(&format!("film-{index:03}.mkv"), size, [(0, size)])?;
    }
    tree.finish()
}

fn sparse(root: &Path, scale: f64) -> io::Result<()> {
    const EXTENT: u64 = 256 << 10;
    let mut tree = Builder::new(Random::new(SEED + 5), root)?;
    let (size, data) = (scaled(8 << 30, scale) as u64, scaled(200 << 20, scale) as u64);
    // One extent somewhere in every so many MiB.
    let count = (data / EXTENT).max(1);
    let slot = (size / count) & !4095;
    let extents: Vec<_> = (0..count)
        .map(|index| {
            (index * slot + 4096 * tree.random.below(((slot - EXTENT) / 4096) as usize) as u64, EXTENT)
        })
        .collect();
    tree.big_file("sparse.img", size, extents)?;
    tree.finish()
}

fn tiny_dirs(root: &Path, scale: f64) -> io::Result<()> {
    let mut tree = Builder::new(Random::new(SEED + 6), root)?;
    tree.grow(scaled(50_000, scale).max(4), 4, |random, count| {
        (count as f64 * random.unit().powf(1.3)) as usize
    })?;
    let mut content = [0; 200];
    for home in tree.directories() {
        tree.random.fill(&mut content);
        tree.file(home, "only.dat", &content, 0o644)?;
    }
    tree.finish()
}

fn reflinked(root: &Path, scale: f64) -> io::Result<()> {
    const POOL: usize = 4 << 20;
    let mut random = Random::new(SEED + 7);
    let mut pool = vec![0; POOL];
    random.fill(&mut pool);
    let mut tree = Builder::new(random, root)?;
    tree.grow(scaled(200, scale).max(4), 4, |random, count| random.below(count))?;
    for index in 0..scaled(10_000, scale).max(10) {
        let size = tree.random.log_normal(65_536.0, 0.8).clamp(16_384.0, f64::from(1 << 20)) as usize;
        let start = tree.random.below(POOL - size);
        let home = tree.any_directory();
        tree.file(home, &format!("r{index:05}.bin"), &pool[start..start + size], 0o644)?;
    }
    tree.finish()
}

/// At scale 1, 100,000 files in 2,000 directories; the shape is the same at every scale.
fn one_block_files(root: &Path, scale: f64) -> io::Result<()> {
    const BLOCK: usize = 4096;
    let mut random = Random::new(SEED + 8);
    let text = Text::new(&mut random);
    let mut tree = Builder::new(random, root)?;
    tree.grow(scaled(2_000, scale).max(4), 6, |random, count| random.below(count))?;
    let homes = tree.uneven_homes();
    for index in 0..scaled(100_000, scale) {
        let home = homes.pick(&mut tree.random);
        let size = 1 + tree.random.below(BLOCK);
        let name = format!("o{index:07}");
        let content = text.make(&mut tree.random, size, &name);
        tree.file(home, &name, &content, 0o644)?;
    }
    tree.finish()
}
