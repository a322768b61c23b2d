//! The two ports: how rooms write evidence and how they read it. The store implements both; the
//! server, or a test, plugs them in.

use std::future::Future;
use std::time::Duration;

use arrow::array::RecordBatch;

use crate::batch::Batch;
use crate::id::{SpanId, TraceId};
use crate::table::Table;
use crate::time::TimeRange;

/// Takes evidence and keeps it.
pub trait WriteEvidence: Send + Sync {
    /// Keeps all batches or none. When this returns, the rows are durable and queries see them.
    fn write(&self, batches: Vec<Batch>) -> impl Future<Output = Result<Written, Refusal>> + Send;
}

/// What became of rows that were written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Rows that are now durable.
    pub rows: u64,
    /// Rows that were there already, identical, and were not kept twice.
    pub collapsed: u64,
}

/// Why evidence was not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// A bound is reached; the same write may succeed later.
    #[error("not taken now: {reason}")]
    Later {
        /// The bound or the trouble, in words.
        reason: String,
        /// When to try again.
        after: Duration,
    },
    /// These rows can never be taken.
    #[error("not taken: {reason}")]
    Never {
        /// Why not.
        reason: String,
    },
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// Finds evidence.
pub trait ReadEvidence: Send + Sync {
    /// All rows that match, in no particular order. Batches have the columns that were asked
    /// for, in the types of [`crate::schema`].
    fn read(&self, scan: Scan) -> impl Future<Output = Result<Rows, ReadError>> + Send;
}

/// What to read.
#[derive(Clone, PartialEq, Debug)]
pub struct Scan {
    /// The table.
    pub table: Table,
    /// Rows whose time lies inside.
    pub range: TimeRange,
    /// Which of those.
    pub matching: Match,
    /// Which columns: `None` for all. Names that the table does not have are refused.
    pub columns: Option<Vec<String>>,
    /// No more rows than this; the answer says when there would have been more.
    pub rows_max: usize,
}

impl Scan {
    /// All rows of a table in a range.
    pub fn all(table: Table, range: TimeRange, rows_max: usize) -> Scan {
        Scan { table, range, matching: Match::All, columns: None, rows_max }
    }
}

/// Which rows match.
#[derive(Clone, PartialEq, Debug)]
pub enum Match {
    /// Every row.
    All,
    /// Rows of these traces (tables with `trace_id`).
    Traces(Vec<TraceId>),
    /// Rows of all traces whose id lies between the two, both included: a prefix of the hex form.
    TraceRange(TraceId, TraceId),
    /// Rows that carry this span id (tables with `span_id`).
    Span(SpanId),
    /// Rows whose text in this column equals the value.
    Text {
        /// The column, for example `id` or `service`.
        column: String,
        /// The value.
        value: String,
    },
    /// Rows whose text in this column begins with the value.
    TextPrefix {
        /// The column, for example `id`.
        column: String,
        /// The beginning.
        prefix: String,
    },
}

/// Rows that were read.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// Whether there are more than `rows_max`.
    pub truncated: bool,
    /// What could not be looked at, in words: a damaged segment, for example.
    pub unread: Vec<String>,
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why evidence could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// A bound on memory or time was reached.
    #[error("the read was stopped: {reason}")]
    Bound {
        /// Which bound.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// The request makes no sense, for example a column that the table does not have.
    #[error("{reason}")]
    Invalid {
        /// Why not.
        reason: String,
    },
    /// The store failed.
    #[error("could not read {table}: {reason}")]
    Failed {
        /// The table.
        table: Table,
        /// The cause.
        reason: String,
    },
}
