//! The server from outside: every port, what it takes, what it refuses, and how it stops.

// What is skipped is said aloud.
#![allow(clippy::print_stderr)]

mod api;
mod client;
mod clock;
mod compare;
mod crowd;
mod fixture;
mod grpc;
mod guard;
mod hostile;
mod http;
mod life;
#[path = "../../../halfopen-explain/tests/mart/mod.rs"]
mod mart;
mod refusal;
mod sdk;
#[path = "../../../halfopen-explain/tests/shop/mod.rs"]
mod shop;
mod slow;
mod suspects_sql;
mod tls;
mod values;
mod why_sql;
