//! Whether the number of workers finds its way on a device that is slow, but answers many at once.
//!
//! ```text
//! cargo bench --bench slow_device
//! cargo bench --bench slow_device -- --rounds 5 --files 25600 --side destination
//! ```
//!
//! The device is a FUSE filesystem in memory that answers every request 10 ms after it came, however
//! many there are. Orbit copies a tree from it with fixed numbers of workers, and as it does by
//! default. Results are printed, and lie as Markdown, JSON and SVG in target/slow_device. No time
//! decides whether this succeeds: it fails only when a copy is not whole.

#[cfg(target_os = "linux")]
mod chart;
#[cfg(target_os = "linux")]
mod device;
#[cfg(target_os = "linux")]
#[path = "../peers/machine.rs"]
#[allow(dead_code, reason = "the other benches ask for more")]
mod machine;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod results;
#[cfg(target_os = "linux")]
mod trial;
#[cfg(target_os = "linux")]
mod trials;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    trials::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("skipped: what this bench asks of the system is there on Linux only");
}
