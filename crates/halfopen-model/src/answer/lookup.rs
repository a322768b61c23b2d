//! The answers of `trace` and `find`.

use crate::answer::finding::Gap;
use crate::attribute::AttributeValue;
use crate::id::{SpanId, TraceId};
use crate::table::Table;
use crate::time::UnixNanos;

/// One trace, laid out as a waterfall.
#[derive(Clone, PartialEq, Debug)]
pub struct TraceAnswer {
    /// The trace.
    pub trace_id: TraceId,
    /// When its first span began.
    pub start: UnixNanos,
    /// From the first begin to the last end, in nanoseconds.
    pub duration_ns: i64,
    /// Its spans, parents before children, siblings by time.
    pub spans: Vec<TraceSpan>,
    /// Services in order of appearance.
    pub services: Vec<String>,
    /// Indexes of the roots in `spans`, orphans not counted.
    pub roots: Vec<usize>,
    /// Index of the span in which the failure began: the deepest failing one.
    pub failed_first: Option<usize>,
    /// Log records of the trace that belong to none of its spans, by time.
    pub unplaced: Vec<TraceEvent>,
    /// What is missing or odd.
    pub gaps: Vec<Gap>,
    /// Commands to go on with.
    pub next: Vec<String>,
}

/// One span of a waterfall.
#[derive(Clone, PartialEq, Debug)]
pub struct TraceSpan {
    /// Its id.
    pub span_id: SpanId,
    /// The parent that it names.
    pub parent_span_id: Option<SpanId>,
    /// Depth below its root, 0 for a root.
    pub depth: usize,
    /// Service, empty when none was sent.
    pub service: String,
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// Status: unset, ok, error.
    pub status: String,
    /// Message of the status.
    pub status_message: Option<String>,
    /// Begin.
    pub start: UnixNanos,
    /// Nanoseconds; `None` when it never ended.
    pub duration_ns: Option<i64>,
    /// Time not covered by any child, in nanoseconds.
    pub self_ns: i64,
    /// Whether it failed, by the rule for requests (status, HTTP, gRPC).
    pub failed: bool,
    /// What is odd about it.
    pub faults: Vec<SpanFault>,
    /// Attributes with their prefixed names.
    pub attributes: Vec<(String, AttributeValue)>,
    /// Events and log records that belong to it, by time.
    pub events: Vec<TraceEvent>,
    /// Spans in other places that it is linked to.
    pub links: Vec<(TraceId, SpanId)>,
}

/// What is odd about a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanFault {
    /// The parent that it names is not in the trace.
    Orphan,
    /// It is one of several different spans with this id.
    RepeatedId,
    /// Its parents lead back to itself; shown as a root.
    Cycle,
    /// It never ended.
    Unended,
    /// It ended before it began.
    NegativeDuration,
    /// It began before its parent did, by more than rounding.
    BeforeParent,
}

/// An event or a log record inside a span.
#[derive(Clone, PartialEq, Debug)]
pub struct TraceEvent {
    /// When.
    pub time: UnixNanos,
    /// The service that sent it, empty when none was sent.
    pub service: String,
    /// Name of the event or severity of the record.
    pub label: String,
    /// The text: body, or exception type and message.
    pub text: String,
    /// Where it came from.
    pub table: Table,
    /// Whether it reports a failure: an exception, or a record of severity ERROR or above.
    pub failed: bool,
}

/// Everything about one id.
#[derive(Clone, PartialEq, Debug)]
pub struct FindAnswer {
    /// What was asked for.
    pub id: String,
    /// How it was found.
    pub matched: Matched,
    /// The ids that were found: itself, its children, or the candidates of a prefix.
    pub ids: Vec<Candidate>,
    /// Traces that carry it.
    pub traces: Vec<TraceId>,
    /// What happened, by time: spans, logs, exchanges, changes, faults.
    pub timeline: Vec<TimelineEntry>,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// Commands to go on with.
    pub next: Vec<String>,
}

/// How an id was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Matched {
    /// It is a trace id.
    Trace,
    /// It is a span id.
    Span,
    /// It is a known correlation id, perhaps with children.
    Exact,
    /// Only children of it are known.
    Children,
    /// It is the beginning of exactly one id.
    Prefix,
    /// It is the beginning of several ids: choose one.
    Ambiguous,
    /// Nothing carries it.
    Nothing,
}

/// An id that was found.
#[derive(Clone, PartialEq, Debug)]
pub struct Candidate {
    /// The id.
    pub id: String,
    /// The name it was found under.
    pub name: String,
    /// The id above it in the tree, when that one was found too.
    pub parent: Option<String>,
    /// Depth in the tree of ids.
    pub depth: usize,
    /// Rows that carry it; `None` where they were not counted.
    pub rows: Option<u64>,
    /// First time seen.
    pub first: UnixNanos,
    /// Last time seen.
    pub last: UnixNanos,
    /// Services that sent it.
    pub services: Vec<String>,
    /// Traces that carried it.
    pub traces: Vec<TraceId>,
}

/// One thing that happened.
#[derive(Clone, PartialEq, Debug)]
pub struct TimelineEntry {
    /// When.
    pub time: UnixNanos,
    /// The table of the row.
    pub table: Table,
    /// Service, empty when none was sent.
    pub service: String,
    /// Depth: of a span in its trace, of a log record one more than its span.
    pub depth: usize,
    /// One line: name of a span, body of a record, title of a change.
    pub text: String,
    /// Nanoseconds that it took, where it has a length.
    pub duration_ns: Option<i64>,
    /// Whether it is a failure.
    pub failed: bool,
    /// The trace.
    pub trace_id: Option<TraceId>,
    /// The span.
    pub span_id: Option<SpanId>,
    /// The ids asked about that this row carries.
    pub ids: Vec<String>,
    /// For a span that took what another one sent, through a queue or otherwise linked: from
    /// where, and how long it waited.
    pub sent: Option<Sent>,
}

/// What a span took, and from which span: by a link, or as the child of a producer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The trace of the span that sent it.
    pub trace_id: TraceId,
    /// The span that sent it; of several, the one that ended first.
    pub span_id: SpanId,
    /// Its service, empty when none was sent.
    pub service: String,
    /// How many spans of the timeline it took something of.
    pub count: usize,
    /// Nanoseconds from the end of sending to the begin of taking. Negative when the clocks of
    /// the two disagree by at least as much; `None` when the sending never ended.
    pub waited_ns: Option<i64>,
}
