//! Orbit beside other copiers, on the same trees at one sitting, and the bars it is held to.
//!
//! ```text
//! cargo bench --bench peers                                    # all bars, at a quarter of full size
//! cargo bench --bench peers -- --bars small,large --scale 1
//! cargo bench --bench peers -- --bars large,films,photos --writeback
//! cargo bench --bench peers -- --tree small,mixed --fs xfs --peers cp,cpz    # no verdicts
//! ```
//!
//! Copiers that are on PATH take turns with Orbit; each copy is read and compared with its source.
//! Results are printed, and lie as Markdown, JSON and SVG in target/peers. No time decides whether
//! this succeeds, and no bar: it fails only when Orbit's own copy is not whole.

#[cfg(target_os = "linux")]
mod arena;
#[cfg(target_os = "linux")]
mod args;
#[cfg(target_os = "linux")]
mod bars;
#[cfg(target_os = "linux")]
mod chart;
#[cfg(target_os = "linux")]
mod check;
#[cfg(target_os = "linux")]
mod contest;
#[cfg(target_os = "linux")]
mod corpus;
#[cfg(target_os = "linux")]
mod fixture;
#[cfg(target_os = "linux")]
mod footprint;
#[cfg(target_os = "linux")]
mod held;
#[cfg(target_os = "linux")]
mod limit;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod markdown;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod peer;
#[cfg(target_os = "linux")]
mod place;
#[cfg(target_os = "linux")]
mod program;
#[cfg(target_os = "linux")]
mod random;
#[cfg(target_os = "linux")]
mod results;
#[cfg(target_os = "linux")]
mod roster;
#[cfg(target_os = "linux")]
mod row;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod sitting;
#[cfg(target_os = "linux")]
mod size;
#[cfg(target_os = "linux")]
mod verdict;
#[cfg(target_os = "linux")]
mod ways;
#[cfg(target_os = "linux")]
mod writeback;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    program::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("skipped: what this bench asks of the system is there on Linux only");
}
