//! Lays out what is known about one trace ([`trace`]), about one trace beside others of its kind
//! ([`compare`]), and about one id ([`find`]).
//!
//! **Invariant:** nothing here reads a clock, a socket or a file. The same evidence always yields
//! the same answer.
//!
//! **Invariant:** nothing here judges. What is odd is said; why it is so is for `halfopen-explain`.

pub mod compare;
#[cfg(test)]
#[path = "../../halfopen-explain/tests/unit/drawn.rs"]
mod drawn;
#[cfg(test)]
mod drawn_logs;
pub mod find;
pub mod trace;
