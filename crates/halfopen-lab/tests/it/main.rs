//! The shop from outside: against a receiver that keeps what it is sent.

mod plan;
mod protection;
mod receiver;
mod shop;
mod timeouts;
