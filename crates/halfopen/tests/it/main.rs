//! The binary from outside, as scripts and strangers use it. One test binary: each links the
//! engine.

mod demo;
mod golden;
mod shop;
