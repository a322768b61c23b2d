//! SQL over everything there is: hot rows and segments, read only, within bounds.
//!
//! **Invariant:** a query sees one moment. All its tables come from one view.
//!
//! **Invariant:** a query reaches nothing but the nine tables: no file, no network, no setting.

mod adapter;
mod cut;
mod functions;
mod hot;
mod many;
mod problem;
mod provider;
mod quantile;
mod segments;
pub(crate) mod session;
mod sketch;
mod statement;
mod wanted;
mod words;

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{SQLOptions, SessionContext};
use futures::StreamExt;
use halfopen_model::Table;
use tokio::task::JoinSet;

use crate::config::QueryLimits;
use crate::error::QueryError;
use crate::hot::memory_bytes;
use crate::shared::{Shared, View};
use crate::store::QueryAnswer;
use provider::EvidenceTable;
use session::Base;

/// Answers `sql`. Segments that turn out damaged are set aside, and the query runs again without
/// them.
pub(crate) async fn query(
    shared: &Arc<Shared>,
    sql: &str,
    limits: QueryLimits,
) -> Result<QueryAnswer, QueryError> {
    let (asked, text) = (Arc::clone(shared), sql.to_owned());
    let threads = shared.sql.get_or_init(Base::new).threads();
    // The set ends the query when who asked goes away, or time is over.
    let mut query = JoinSet::new();
    query.spawn_on(async move { answer(&asked, &text, limits).await }, &threads);
    match tokio::time::timeout(limits.time_max, query.join_next()).await {
        Ok(Some(Ok(answer))) => answer,
        Ok(Some(Err(error))) => Err(QueryError::Failed { reason: error.to_string() }),
        Ok(None) => Err(QueryError::Closed),
        Err(_) => Err(QueryError::Bound {
            reason: format!("it took longer than {} s", limits.time_max.as_secs_f64()),
            hint: "narrow the time range in WHERE, or raise store.query_seconds_max".to_owned(),
        }),
    }
}

async fn answer(
    shared: &Arc<Shared>,
    sql: &str,
    limits: QueryLimits,
) -> Result<QueryAnswer, QueryError> {
    loop {
        let view = Arc::new(shared.view());
        let answer = run(shared, &view, sql, limits).await;
        if answer.is_ok() {
            return answer;
        }
        let damaged: Vec<_> = view
            .segments
            .iter()
            .flat_map(|list| list.iter())
            .filter_map(|segment| Some((Arc::clone(segment), segment.damage()?.clone())))
            .collect();
        if damaged.is_empty() {
            return answer;
        }
        for (segment, damage) in damaged {
            shared.set_aside(&segment, &damage).await;
        }
    }
}

async fn run(
    shared: &Arc<Shared>,
    view: &Arc<View>,
    sql: &str,
    limits: QueryLimits,
) -> Result<QueryAnswer, QueryError> {
    let base = shared.sql.get_or_init(Base::new);
    let context = base.context(limits.memory_bytes_max)?;
    let mut tables = Vec::new();
    for table in Table::ALL {
        let provider = Arc::new(EvidenceTable::new(table, Arc::clone(view), Arc::clone(shared)));
        tables.push(Arc::clone(&provider));
        context.register_table(table.name(), provider).map_err(problem::explain)?;
    }
    let plan = plan(&context, sql).await?;
    let mut answer = collect(&context, plan, limits).await?;
    let unread = tables.iter().filter(|table| table.was_scanned());
    answer.unread =
        unread.flat_map(|t| view.lost[t.table() as usize].iter().map(|l| l.words())).collect();
    answer.unread.extend(tables.iter().filter_map(|table| table.expired()));
    Ok(answer)
}

async fn plan(context: &SessionContext, sql: &str) -> Result<LogicalPlan, QueryError> {
    let state = context.state();
    let statement = statement::parse(&state, sql)?;
    let plan = state.statement_to_plan(statement).await.map_err(problem::explain)?;
    let allowed =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    allowed
        .verify_plan(&plan)
        .map_err(|error| QueryError::ReadOnly { reason: error.strip_backtrace() })?;
    Ok(plan)
}

async fn collect(
    context: &SessionContext,
    plan: LogicalPlan,
    limits: QueryLimits,
) -> Result<QueryAnswer, QueryError> {
    let plain = matches!(
        plan,
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_)
    );
    let plan = if plain {
        plan
    } else {
        // One row more than wanted shows that there are more.
        let rows = limits.rows_max.saturating_add(1);
        let limited = LogicalPlanBuilder::from(plan).limit(0, Some(rows));
        limited.and_then(LogicalPlanBuilder::build).map_err(problem::explain)?
    };
    let frame = DataFrame::new(context.state(), plan);
    let mut stream = frame.execute_stream().await.map_err(problem::explain)?;
    let schema = stream.schema();
    let mut batches: Vec<RecordBatch> = Vec::new();
    let mut bytes = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(problem::explain)?;
        bytes += memory_bytes(&batch);
        if bytes > limits.memory_bytes_max {
            return Err(problem::memory(limits.memory_bytes_max));
        }
        batches.push(batch);
    }
    let truncated = crate::read::cut(&mut batches, limits.rows_max);
    Ok(QueryAnswer { schema, batches, truncated, unread: Vec::new() })
}
