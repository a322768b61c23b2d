//! Tower layers that make partial failure survivable and visible.

mod budget;
mod chance;
pub mod context;
pub mod grant;
mod reserve;
pub mod wire;

pub use budget::{BudgetAccount, RetryBudget};
pub use chance::Chance;
pub use context::{RequestContext, RequestId};
pub use grant::Grant;
pub use reserve::Reserve;
