//! A copy keeps everything of its source, on every filesystem and between any two.

mod again;
mod attributes;
mod holes;
mod links;
mod owners;
mod pairs;
mod specials;
