//! The write-ahead log: what is acknowledged is here first.
//!
//! A file is a head and frames; a frame is one write with all its tables, so that a write is kept
//! whole or not at all. Files are only appended to, cut at the end after a failure, and deleted
//! once the catalogue says that their rows are in segments.

pub(crate) mod file;
pub(crate) mod frame;
pub(crate) mod replay;
pub(crate) mod writer;
