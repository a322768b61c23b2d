//! Explains failing requests: what differs, what failed first, what changed before it; and draws
//! the map of services.
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
mod codes;
mod cohorts;
mod difference;
#[cfg(test)]
#[path = "../tests/unit/drawn.rs"]
mod drawn;
mod gaps;
mod intern;
pub mod map;
mod onset;
mod origin;
mod reason;
mod scope;
mod slow;
mod spans;
mod sql;
mod strength;
mod suspects;
pub mod tally;
mod threads;
mod tree;
pub mod why;
