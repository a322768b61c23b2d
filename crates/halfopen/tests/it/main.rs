//! The binary from outside, as scripts and strangers use it. One test binary: each links the
//! engine.

// What is skipped, and the seeds of what ran, are said aloud.
#![allow(clippy::print_stderr)]

mod crash;
mod demo;
mod formats;
mod full_disk;
mod golden;
mod import;
mod metric;
mod process;
mod served;
mod shop;
mod store;
