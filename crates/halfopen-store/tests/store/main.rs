//! The store from outside: what is written comes back, whatever happens in between.

// Seeds and skips are printed, so that a failed run can be repeated.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bounds;
mod check;
mod compact;
mod crash;
mod damage;
mod files;
mod fuzz;
mod groups;
mod lookup;
mod on_postgres;
mod outage;
mod postgres;
mod promote;
mod rows;
mod sql;
mod steps;
mod support;
mod together;
