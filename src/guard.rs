//! Panics: each is a failure of what was being worked on, and of nothing else.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::error::{Fault, Op};

/// Do something so that a panic in it is a fault like any other.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

/// The fault that a panic is.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Fault {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Fault::refused(Op::Copy, format!("internal error: {}", text.unwrap_or("a worker panicked")))
}

/// Panic at entries of a certain name, as a fault in this program might anywhere.
#[cfg(test)]
pub(crate) fn break_down(at: &std::ffi::CStr, name: &std::ffi::CStr) {
    assert!(at != name, "broken on purpose");
}
