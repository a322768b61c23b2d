//! The answer of `trace --compare`: one trace beside others of the same kind.

use crate::answer::finding::Gap;
use crate::id::{SpanId, TraceId};
use crate::time::{TimeRange, UnixNanos};

/// One trace, its healthy twin and its peers, call by call.
#[derive(Clone, PartialEq, Debug)]
pub struct TraceComparison {
    /// The trace that was asked about.
    pub trace_id: TraceId,
    /// The service that took the request.
    pub service: String,
    /// What was asked of it.
    pub operation: String,
    /// When the request began.
    pub start: UnixNanos,
    /// How long it took, in nanoseconds; `None` when it never ended.
    pub took_ns: Option<i64>,
    /// Whether the request failed.
    pub failed: bool,
    /// The trace that it stands beside: the one that was named, or the nearest healthy one.
    pub twin: Option<Twin>,
    /// Peers: healthy requests of the same kind, the twin among them.
    pub peers: u64,
    /// Requests of the same kind that failed as well; they are no measure.
    pub peers_failed: u64,
    /// Healthy requests of the same kind that go to another place first; left out where enough
    /// others are there.
    pub peers_another_way: u64,
    /// Requests of the same kind that were slow as well, where the request was; they are no
    /// measure.
    pub peers_slow: u64,
    /// When the peers began.
    pub window: TimeRange,
    /// How long peers took.
    pub peers_took: Option<Spread>,
    /// All calls of the trace and of its peers as one tree, parents before children.
    pub calls: Vec<ComparedCall>,
    /// Index of the call that tells most of the difference.
    pub telling: Option<usize>,
    /// Attributes whose value here is not that of the peers, the most telling first.
    pub attributes: Vec<ComparedAttribute>,
    /// What could not be known.
    pub gaps: Vec<Gap>,
    /// Commands to go on with.
    pub next: Vec<String>,
}

/// The trace that stands beside the one that was asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Twin {
    /// The trace.
    pub trace_id: TraceId,
    /// When its request began.
    pub start: UnixNanos,
    /// How long it took, in nanoseconds.
    pub took_ns: Option<i64>,
    /// Whether it was named by who asked.
    pub named: bool,
}

/// How nanoseconds spread over peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spread {
    /// Half of them take no longer.
    pub median_ns: i64,
    /// 95 of 100 take no longer.
    pub p95_ns: i64,
}

/// The same call below the same callers, all repetitions together.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct CallTimes {
    /// Spans.
    pub count: u64,
    /// Their durations together, in nanoseconds.
    pub duration_ns: i64,
    /// Of that, time not covered by their children.
    pub self_ns: i64,
    /// Those that failed.
    pub failed: u64,
}

/// One call here and there.
#[derive(Clone, PartialEq, Debug)]
pub struct ComparedCall {
    /// Depth in the tree of calls, 0 for a root.
    pub depth: usize,
    /// Service.
    pub service: String,
    /// Name of its spans, with numbers and ids folded to `{}` where they differ.
    pub name: String,
    /// Its first span in the trace.
    pub span_id: Option<SpanId>,
    /// In the trace; `None` when it is not there.
    pub here: Option<CallTimes>,
    /// In the twin.
    pub twin: Option<CallTimes>,
    /// Peers that make the call.
    pub peers_with: u64,
    /// How often they make it: the median of those that do.
    pub peers_count: u64,
    /// Peers in which it failed.
    pub peers_failed: u64,
    /// Its duration in peers that make it, repetitions together.
    pub peers_duration: Option<Spread>,
    /// Its own time in peers that make it.
    pub peers_self: Option<Spread>,
    /// What is unlike the peers.
    pub odd: Vec<Oddity>,
}

/// In what a call is unlike that of the peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Oddity {
    /// At most one peer in 20 makes it.
    OnlyHere,
    /// At least 19 of 20 peers make it, and the trace does not.
    NotHere,
    /// It is made at least twice as often.
    More,
    /// It is made at most half as often.
    Fewer,
    /// It takes longer than in 95 of 100 peers.
    Slower {
        /// Beyond the median, in nanoseconds.
        by_ns: i64,
        /// The part of it that no child takes.
        own_ns: i64,
    },
    /// It fails, and at most in one peer of 20.
    Fails,
}

/// An attribute whose value is not that of the peers.
#[derive(Clone, PartialEq, Debug)]
pub struct ComparedAttribute {
    /// The service whose spans carry it.
    pub service: String,
    /// The name of the spans; `None` for an attribute of the whole service.
    pub name: Option<String>,
    /// The attribute with its prefix.
    pub attribute: String,
    /// Its value here; `None` where it is missing.
    pub here: Option<String>,
    /// Peers with the same value.
    pub peers_same: u64,
    /// Peers that have such a span.
    pub peers_with: u64,
    /// Values of the peers, the most frequent first, with the number of peers.
    pub peers_values: Vec<(String, u64)>,
}
