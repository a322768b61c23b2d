//! SQL
pub(crate) mod session;

use std::sync::Arc;

use crate::config::QueryLimits;
use crate::error::QueryError;
use crate::shared::Shared;
use crate::store::QueryAnswer;

pub(crate) async fn query(
    _shared: &Arc<Shared>,
    _sql: &str,
    _limits: QueryLimits,
) -> Result<QueryAnswer, QueryError> {
    Err(QueryError::Failed { reason: "not there yet".to_owned() })
}
