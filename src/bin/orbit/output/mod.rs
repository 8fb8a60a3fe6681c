//! What is printed and written: text, JSON, progress, logs and manifests.

pub(crate) mod aside;
pub(crate) mod explain;
pub(crate) mod itemize;
pub(crate) mod json;
pub(crate) mod listeners;
pub(crate) mod log;
pub(crate) mod manifest;
pub(crate) mod progress;
mod screen;
pub(crate) mod text;
