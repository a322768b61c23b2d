//! Questions and answers: which rows a question needs, read through the port, handed to the
//! analysis. The HTTP API and the command line with `--data` both ask here.
//!
//! **Invariant:** no analysis happens here, and nothing is silently left out: every bound that
//! was reached is a gap of the answer.

use std::sync::Arc;

use halfopen_model::answer::{Candidate, TraceAnswer, TraceComparison};
use halfopen_model::port::ReadError;
use halfopen_model::{Clock, TimeRange};
use halfopen_store::{QueryAnswer, QueryError, QueryLimits, Store};

mod baseline;
mod changes;
mod compare;
mod find;
mod map;
mod mechanism;
mod metric;
mod suspects;
#[cfg(test)]
mod tests;
mod trace;
mod why;

pub use baseline::WhyBaseline;
pub use changes::ChangesAsk;
pub use compare::Beside;
pub use map::MapAsk;
pub use metric::MetricAsk;
pub use why::WhyAsk;

/// What `why` may look at: 500,000 spans with twelve attributes each take some 200 MB.
pub const WHY_SPANS_MAX_DEFAULT: usize = 500_000;

/// The desk: evidence, a clock, and bounds.
#[derive(Clone)]
pub struct Desk<S> {
    evidence: S,
    clock: Arc<dyn Clock>,
    settings: DeskSettings,
}

/// Bounds of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeskSettings {
    /// Bounds of a query; one that asks for more rows gets these.
    pub query: QueryLimits,
    /// Spans that `why` looks at; where there are more it looks at a fair part of the traces.
    pub why_spans_max: usize,
}

impl Default for DeskSettings {
    fn default() -> DeskSettings {
        DeskSettings { query: QueryLimits::default(), why_spans_max: WHY_SPANS_MAX_DEFAULT }
    }
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// Evidence could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The query has no answer.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Whose turn it is after a [`DeskError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// The question makes no sense: HTTP 400, exit code 2.
    Question,
    /// A bound was reached, a smaller question may be answered: HTTP 422, exit code 2.
    Bound,
    /// The store failed: HTTP 500, exit code 3.
    Store,
}

impl DeskError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            DeskError::Read(ReadError::Bound { hint, .. }) => Some(hint),
            DeskError::Read(_) => None,
            DeskError::Query(error) => error.hint(),
        }
    }

    /// Whose turn it is.
    pub fn blame(&self) -> Blame {
        match self {
            DeskError::Read(ReadError::Bound { .. })
            | DeskError::Query(QueryError::Bound { .. }) => Blame::Bound,
            DeskError::Read(ReadError::Invalid { .. })
            | DeskError::Query(QueryError::Invalid { .. } | QueryError::ReadOnly { .. }) => {
                Blame::Question
            }
            DeskError::Read(ReadError::Failed { .. })
            | DeskError::Query(QueryError::Failed { .. } | QueryError::Closed) => Blame::Store,
        }
    }
}

/// The answer of `trace`.
#[derive(Clone, PartialEq, Debug)]
pub struct TraceReply {
    /// What was asked for.
    pub id: String,
    /// The trace, when exactly one was meant.
    pub trace: Option<TraceAnswer>,
    /// The trace beside others of its kind, where that was asked.
    pub comparison: Option<TraceComparison>,
    /// What was found in place of one trace: ids that the text may mean, or traces that carry it.
    pub candidates: Vec<Candidate>,
}

impl<S> Desk<S> {
    /// A desk over `evidence`.
    pub fn new(evidence: S, clock: Arc<dyn Clock>, settings: DeskSettings) -> Desk<S> {
        Desk { evidence, clock, settings }
    }
}

impl Desk<Store> {
    /// Answers SQL.
    ///
    /// # Errors
    /// When the text is no query, would write, or reaches a bound.
    pub async fn query(
        &self,
        sql: &str,
        rows_max: Option<usize>,
    ) -> Result<QueryAnswer, DeskError> {
        let mut limits = self.settings.query;
        limits.rows_max = rows_max.unwrap_or(limits.rows_max).min(limits.rows_max);
        Ok(self.evidence.query(sql, limits).await?)
    }
}

/// All of time, unless a range was asked for.
fn or_all(range: Option<TimeRange>) -> TimeRange {
    range.unwrap_or(TimeRange::ALL)
}
