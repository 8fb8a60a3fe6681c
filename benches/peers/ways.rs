//! The ways that large files may go, and what an Orbit with such arguments is called.

pub(crate) const RING: &[&str] = &["--backend=uring", "--reflink=never"];

/// Each way that large files may go, and no other: what it takes to find out the best is Orbit's own loss.
pub(crate) const WAYS: [&[&str]; 4] = [
    RING,
    &["-j1", "--backend=blocking", "--reflink=never"],
    &["--zero-copy", "--backend=blocking", "--reflink=never"],
    &["--no-zero-copy", "--backend=blocking", "--reflink=never"],
];

/// What Orbit with these arguments is called.
pub(crate) fn orbit_called<S: AsRef<str>>(arguments: &[S]) -> String {
    ["orbit"].into_iter().chain(arguments.iter().map(AsRef::as_ref)).collect::<Vec<_>>().join(" ")
}
