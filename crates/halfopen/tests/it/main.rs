//! The binary from outside, as scripts and strangers use it.

mod demo;
