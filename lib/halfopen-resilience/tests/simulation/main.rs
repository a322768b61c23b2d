//! Several hosts on one paused clock, with partitions, lost answers, old and new hops. Each
//! failure is shown without the layers first, then its absence with them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail the test; figures are what some of them are for"
)]

mod cancelled;
mod deadline;
mod herd;
mod mixed_hops;
mod network;
mod overload;
mod retry_storm;
mod slow_tail;
mod success;
