//! Explains failing requests: what differs, what failed first, what changed before it; and lays
//! out what is known about one trace and one id.
//!
//! **Invariant:** nothing here reads a clock, a socket or a file. The same evidence always yields
//! the same answer.
//!
//! **Invariant:** an analysis never fails. What is missing or malformed becomes a
//! [`Gap`](halfopen_model::answer::Gap) of the answer, never an error and never a panic.

mod anchor;
mod bits;
mod carriers;
mod causes;
pub mod changes;
mod cohorts;
mod difference;
#[cfg(test)]
mod drawn;
pub mod find;
mod gaps;
mod intern;
pub mod map;
mod onset;
mod origin;
mod reason;
pub mod request;
mod scope;
pub mod shell;
mod spans;
mod sql;
mod strength;
mod suspects;
pub mod trace;
mod tree;
pub mod why;
