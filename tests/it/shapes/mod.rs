//! Trees of hard shapes: wide, deep, tangled, lying, moving.
//!
//! The sizes are for every day; `ORBIT_TEST_SCALE=full` makes them the ones that are promised. `.ci/run`
//! does so for [`memory`], which takes two to three minutes; all of them take a quarter of an hour.

mod changing;
mod crowd;
mod deep;
mod lies;
mod many;
mod memory;

/// A size for every day, or the full one.
fn scaled(everyday: usize, full: usize) -> usize {
    if std::env::var("ORBIT_TEST_SCALE").is_ok_and(|scale| scale == "full") { full } else { everyday }
}
