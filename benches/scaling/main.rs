//! How Orbit's speed grows with the number of workers, and with the size of files.
//!
//! ```text
//! cargo bench --bench scaling
//! cargo bench --bench scaling -- --axis size --fs xfs --runs 7
//! ```
//!
//! `cp -a` takes turns with Orbit as the yardstick. Results are printed, and lie as Markdown, JSON and
//! SVG in target/scaling. No time decides whether this succeeds: it fails only when a copy is not
//! whole.

#[cfg(target_os = "linux")]
#[path = "../peers/arena.rs"]
#[allow(dead_code, reason = "filesystems are not named here")]
mod arena;
#[cfg(target_os = "linux")]
mod chart;
#[cfg(target_os = "linux")]
#[path = "../peers/check.rs"]
#[allow(dead_code, reason = "what a copy lost does not matter here")]
mod check;
#[cfg(target_os = "linux")]
mod corpus;
#[cfg(target_os = "linux")]
#[path = "../peers/machine.rs"]
#[allow(dead_code, reason = "trees are small against any memory")]
mod machine;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
#[path = "../peers/random.rs"]
#[allow(dead_code, reason = "trees of equal files need fewer kinds of random numbers")]
mod random;
#[cfg(target_os = "linux")]
mod results;
#[cfg(target_os = "linux")]
mod sweep;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    sweep::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("skipped: what this bench asks of the system is there on Linux only");
}
