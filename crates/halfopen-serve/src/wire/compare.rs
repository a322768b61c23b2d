//! The answer of `trace --compare`.

use halfopen_model::answer::{
    CallTimes, ComparedAttribute, ComparedCall, Oddity, Spread, TraceComparison, Twin,
};
use serde::{Deserialize, Serialize};

use super::{GapV1, SpanIdV1, TimeRangeV1, TimeV1, TraceIdV1};

/// One trace beside its healthy twin and its peers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ComparisonV1 {
    /// The trace.
    pub trace_id: TraceIdV1,
    /// The service that took the request.
    pub service: String,
    /// What was asked of it.
    pub operation: String,
    /// When the request began.
    pub start: TimeV1,
    /// How long it took; null when it never ended.
    pub took_ns: Option<i64>,
    /// Whether it failed.
    pub failed: bool,
    /// The trace that stands beside it.
    pub twin: Option<TwinV1>,
    /// Healthy requests of the same kind.
    pub peers: u64,
    /// Those of the same kind that failed; they are no measure.
    pub peers_failed: u64,
    /// Healthy requests of the same kind that go to another place first; left out where enough
    /// others are there.
    pub peers_another_way: u64,
    /// Requests of the same kind that were slow as well, where the request was; they are no
    /// measure.
    pub peers_slow: u64,
    /// When the peers began.
    pub window: TimeRangeV1,
    /// How long peers took.
    pub peers_took: Option<SpreadV1>,
    /// All calls as one tree, parents before children.
    pub calls: Vec<ComparedCallV1>,
    /// Index of the call that tells most of the difference.
    pub telling: Option<usize>,
    /// Attributes whose value is not that of the peers, the most telling first.
    pub attributes: Vec<ComparedAttributeV1>,
    /// What could not be known.
    pub gaps: Vec<GapV1>,
    /// Commands to go on with.
    pub next: Vec<String>,
}

/// The trace beside it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TwinV1 {
    /// The trace.
    pub trace_id: TraceIdV1,
    /// When its request began.
    pub start: TimeV1,
    /// How long it took; null when it never ended.
    pub took_ns: Option<i64>,
    /// Whether it was named by who asked.
    pub named: bool,
}

/// How nanoseconds spread over peers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpreadV1 {
    /// The median.
    pub median_ns: i64,
    /// The 95th percentile.
    pub p95_ns: i64,
}

/// All spans of one call in one trace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallTimesV1 {
    /// Spans.
    pub count: u64,
    /// Their durations together.
    pub duration_ns: i64,
    /// Time not covered by their children.
    pub self_ns: i64,
    /// Those that failed.
    pub failed: u64,
}

/// One call here and there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ComparedCallV1 {
    /// Depth, 0 for a root.
    pub depth: usize,
    /// Service.
    pub service: String,
    /// Name of its spans, numbers and ids as `{}`.
    pub name: String,
    /// Its first span in the trace.
    pub span_id: Option<SpanIdV1>,
    /// In the trace; null when it is not there.
    pub here: Option<CallTimesV1>,
    /// In the twin.
    pub twin: Option<CallTimesV1>,
    /// Peers that make the call.
    pub peers_with: u64,
    /// How often they make it (median).
    pub peers_count: u64,
    /// Peers in which it failed.
    pub peers_failed: u64,
    /// Its duration in peers, repetitions together.
    pub peers_duration: Option<SpreadV1>,
    /// Its own time in peers.
    pub peers_self: Option<SpreadV1>,
    /// only_here, not_here, more, fewer, slower, fails.
    pub odd: Vec<String>,
    /// Time beyond the median of the peers, for a slower call.
    pub slower_by_ns: Option<i64>,
    /// The part of it that no child takes.
    pub slower_own_ns: Option<i64>,
}

/// An attribute whose value is not that of the peers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ComparedAttributeV1 {
    /// The service.
    pub service: String,
    /// The name of the spans; null for an attribute of the whole service.
    pub name: Option<String>,
    /// The attribute with its prefix.
    pub attribute: String,
    /// Its value here; null where it is missing.
    pub here: Option<String>,
    /// Peers with the same value.
    pub peers_same: u64,
    /// Peers that have such a span.
    pub peers_with: u64,
    /// Values of the peers, the most frequent first.
    pub peers_values: Vec<PeersValueV1>,
}

/// A value among the peers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeersValueV1 {
    /// The value.
    pub value: String,
    /// Peers that have it.
    pub peers: u64,
}

impl From<&TraceComparison> for ComparisonV1 {
    fn from(told: &TraceComparison) -> ComparisonV1 {
        ComparisonV1 {
            trace_id: TraceIdV1(told.trace_id),
            service: told.service.clone(),
            operation: told.operation.clone(),
            start: TimeV1(told.start),
            took_ns: told.took_ns,
            failed: told.failed,
            twin: told.twin.as_ref().map(TwinV1::from),
            peers: told.peers,
            peers_failed: told.peers_failed,
            peers_another_way: told.peers_another_way,
            peers_slow: told.peers_slow,
            window: TimeRangeV1::from(told.window),
            peers_took: told.peers_took.map(SpreadV1::from),
            calls: told.calls.iter().map(ComparedCallV1::from).collect(),
            telling: told.telling,
            attributes: told.attributes.iter().map(ComparedAttributeV1::from).collect(),
            gaps: told.gaps.iter().map(GapV1::from).collect(),
            next: told.next.clone(),
        }
    }
}

impl From<&Twin> for TwinV1 {
    fn from(twin: &Twin) -> TwinV1 {
        TwinV1 {
            trace_id: TraceIdV1(twin.trace_id),
            start: TimeV1(twin.start),
            took_ns: twin.took_ns,
            named: twin.named,
        }
    }
}

impl From<Spread> for SpreadV1 {
    fn from(Spread { median_ns, p95_ns }: Spread) -> SpreadV1 {
        SpreadV1 { median_ns, p95_ns }
    }
}

impl From<CallTimes> for CallTimesV1 {
    fn from(times: CallTimes) -> CallTimesV1 {
        let CallTimes { count, duration_ns, self_ns, failed } = times;
        CallTimesV1 { count, duration_ns, self_ns, failed }
    }
}

impl From<&ComparedCall> for ComparedCallV1 {
    fn from(call: &ComparedCall) -> ComparedCallV1 {
        let slower = call.odd.iter().find_map(|odd| match odd {
            Oddity::Slower { by_ns, own_ns } => Some((*by_ns, *own_ns)),
            _ => None,
        });
        ComparedCallV1 {
            depth: call.depth,
            service: call.service.clone(),
            name: call.name.clone(),
            span_id: call.span_id.map(SpanIdV1),
            here: call.here.map(CallTimesV1::from),
            twin: call.twin.map(CallTimesV1::from),
            peers_with: call.peers_with,
            peers_count: call.peers_count,
            peers_failed: call.peers_failed,
            peers_duration: call.peers_duration.map(SpreadV1::from),
            peers_self: call.peers_self.map(SpreadV1::from),
            odd: call.odd.iter().map(|odd| name_of(*odd).to_owned()).collect(),
            slower_by_ns: slower.map(|(by_ns, _)| by_ns),
            slower_own_ns: slower.map(|(_, own_ns)| own_ns),
        }
    }
}

fn name_of(odd: Oddity) -> &'static str {
    match odd {
        Oddity::OnlyHere => "only_here",
        Oddity::NotHere => "not_here",
        Oddity::More => "more",
        Oddity::Fewer => "fewer",
        Oddity::Slower { .. } => "slower",
        Oddity::Fails => "fails",
    }
}

impl From<&ComparedAttribute> for ComparedAttributeV1 {
    fn from(one: &ComparedAttribute) -> ComparedAttributeV1 {
        let value =
            |(value, peers): &(String, u64)| PeersValueV1 { value: value.clone(), peers: *peers };
        ComparedAttributeV1 {
            service: one.service.clone(),
            name: one.name.clone(),
            attribute: one.attribute.clone(),
            here: one.here.clone(),
            peers_same: one.peers_same,
            peers_with: one.peers_with,
            peers_values: one.peers_values.iter().map(value).collect(),
        }
    }
}
