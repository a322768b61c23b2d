//! Tower layers for clients and servers that make partial failure survivable and visible.
//!
//! Begin with [`Stack`]: it puts the layers in the right order and refuses settings that
//! contradict each other. Every module can be used by itself as well.
//!
//! **Invariant:** time is `tokio::time`, chance is a [`Chance`] that is given; nothing here reads
//! a wall clock, so a test with a paused clock and a seed runs the same way each time.
//!
//! **Invariant:** nothing here waits without a bound, and nothing is refused, given up or done
//! again without an event that says so ([`telemetry`]).
//!
//! **Invariant:** dropping any future of this crate leaves nothing behind: no place taken, no
//! probe open, no budget made.
//!
//! | module | what it is for |
//! |---|---|
//! | [`stack`] | all layers in their order |
//! | [`context`], [`wire`], [`grant`] | what travels with a request, and how |
//! | [`begin`], [`send`] | the outermost and the innermost layer of a client |
//! | [`retry`], [`hedge`] | asking again |
//! | [`breaker`], [`bulkhead`], [`limit`], [`timeout`], [`eject`] | not asking, or not so long |
//! | [`admit`] | the outermost layer of a server |
//! | [`degrade`] | answers without their optional parts |
//! | [`protocol`], [`body`] | what the layers must know of requests and answers |
//! | [`telemetry`] | the names of all decisions |
//!
#![doc = include_str!("../README.md")]

pub mod admit;
pub mod begin;
pub mod body;
pub mod breaker;
mod budget;
pub mod bulkhead;
pub mod call;
mod chance;
pub mod context;
pub mod degrade;
pub mod eject;
pub mod grant;
pub mod hedge;
pub mod limit;
pub mod protocol;
mod reserve;
pub mod retry;
pub mod send;
pub mod stack;
pub mod telemetry;
pub mod timeout;
mod window;
pub mod wire;

pub use budget::{BudgetAccount, RetryBudget};
pub use call::{Call, CallError};
pub use chance::Chance;
pub use context::{RequestContext, RequestId};
pub use grant::Grant;
pub use reserve::Reserve;
pub use stack::Stack;
