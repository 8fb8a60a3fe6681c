//! Orbit beside other copiers, on the same trees at one sitting.
//!
//! ```text
//! cargo bench --bench peers
//! cargo bench --bench peers -- --runs 7 --scale 1 --tree small,mixed --fs xfs --peers cp,cpz
//! ```
//!
//! Copiers that are on PATH take turns with Orbit; each copy is read and compared with its source.
//! Results are printed, and lie as Markdown, JSON and SVG in target/peers. No time decides whether
//! this succeeds: it fails only when Orbit's own copy is not whole.

#[cfg(target_os = "linux")]
mod arena;
#[cfg(target_os = "linux")]
mod chart;
#[cfg(target_os = "linux")]
mod check;
#[cfg(target_os = "linux")]
mod contest;
#[cfg(target_os = "linux")]
mod corpus;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod peer;
#[cfg(target_os = "linux")]
mod random;
#[cfg(target_os = "linux")]
mod table;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    contest::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("skipped: what this bench asks of the system is there on Linux only");
}
