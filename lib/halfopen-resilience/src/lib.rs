//! Tower layers that make partial failure survivable and visible.

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
