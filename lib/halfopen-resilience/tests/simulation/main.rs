//! Several hosts on one paused clock, with partitions, lost answers, old and new hops. Each
//! failure is shown without the layers first, then its absence with them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod cancelled;
mod deadline;
mod herd;
mod mixed_hops;
mod network;
mod overload;
mod retry_storm;
mod slow_tail;
mod success;
