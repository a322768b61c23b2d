//! The answers of `trace` and `find`.

use std::collections::BTreeMap;

use halfopen_model::answer::{
    Candidate, FindAnswer, Matched, Sent, SpanFault, TimelineEntry, TraceAnswer, TraceEvent,
    TraceSpan,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cell::attribute_object;
use super::{ComparisonV1, GapV1, SpanIdV1, TimeV1, TraceIdV1, Version};
use crate::desk::TraceReply;

/// The answer of `trace`: a trace, or the ids that the text may mean.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TraceReplyV1 {
    /// Version.
    pub v: Version,
    /// What was asked for.
    pub id: String,
    /// The trace, when exactly one was meant.
    pub trace: Option<TraceV1>,
    /// The trace beside others, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<ComparisonV1>,
    /// The ids or traces that were found in place of one.
    pub candidates: Vec<CandidateV1>,
}

/// One trace.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TraceV1 {
    /// The trace.
    pub trace_id: TraceIdV1,
    /// When its first span began.
    pub start: TimeV1,
    /// From the first begin to the last end.
    pub duration_ns: i64,
    /// Services in order of appearance.
    pub services: Vec<String>,
    /// Indexes of the roots in `spans`, orphans not counted.
    pub roots: Vec<usize>,
    /// Index of the span in which the failure began.
    pub failed_first: Option<usize>,
    /// Spans, parents before children, siblings by time.
    pub spans: Vec<SpanV1>,
    /// Log records that belong to none of the spans.
    pub unplaced: Vec<EventV1>,
    /// What is missing or odd.
    pub gaps: Vec<GapV1>,
    /// Commands to go on with.
    pub next: Vec<String>,
}

/// One span.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SpanV1 {
    /// Its id.
    pub span_id: SpanIdV1,
    /// The parent that it names.
    pub parent_span_id: Option<SpanIdV1>,
    /// Depth below its root.
    pub depth: usize,
    /// Service, empty when none was sent.
    pub service: String,
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// Status.
    pub status: String,
    /// Message of the status.
    pub status_message: Option<String>,
    /// Begin.
    pub start: TimeV1,
    /// Length; null when it never ended.
    pub duration_ns: Option<i64>,
    /// Time not covered by any child.
    pub self_ns: i64,
    /// Whether it failed.
    pub failed: bool,
    /// What is odd: orphan, repeated_id, cycle, unended, negative_duration, before_parent.
    pub faults: Vec<String>,
    /// Attributes with prefixed names; a name that came twice has an array.
    pub attributes: BTreeMap<String, Value>,
    /// Events and log records, by time.
    pub events: Vec<EventV1>,
    /// Links to spans elsewhere.
    pub links: Vec<LinkV1>,
}

/// An event or a log record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EventV1 {
    /// When.
    pub time: TimeV1,
    /// Service.
    pub service: String,
    /// Name of the event or severity of the record.
    pub label: String,
    /// Text.
    pub text: String,
    /// The table that it came from.
    pub table: String,
    /// Whether it reports a failure.
    pub failed: bool,
}

/// A link to a span elsewhere.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LinkV1 {
    /// Its trace.
    pub trace_id: TraceIdV1,
    /// Its id.
    pub span_id: SpanIdV1,
}

/// The answer of `find`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FindV1 {
    /// Version.
    pub v: Version,
    /// What was asked for.
    pub id: String,
    /// How it was found: trace, span, exact, children, prefix, ambiguous, nothing.
    pub matched: String,
    /// The ids.
    pub ids: Vec<CandidateV1>,
    /// Traces that carry it.
    pub traces: Vec<TraceIdV1>,
    /// What happened, by time.
    pub timeline: Vec<EntryV1>,
    /// What is missing.
    pub gaps: Vec<GapV1>,
    /// Commands to go on with.
    pub next: Vec<String>,
}

/// An id that was found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CandidateV1 {
    /// The id.
    pub id: String,
    /// The name it was found under.
    pub name: String,
    /// The id above it.
    pub parent: Option<String>,
    /// Depth in the tree of ids.
    pub depth: usize,
    /// Rows that carry it; null where they were not counted.
    pub rows: Option<u64>,
    /// First time seen.
    pub first: TimeV1,
    /// Last time seen.
    pub last: TimeV1,
    /// Services that sent it; left out where none is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Traces that carried it.
    pub traces: Vec<TraceIdV1>,
}

/// One thing that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EntryV1 {
    /// When.
    pub time: TimeV1,
    /// The table of the row.
    pub table: String,
    /// Service, empty when none was sent.
    pub service: String,
    /// Depth.
    pub depth: usize,
    /// One line.
    pub text: String,
    /// Length, where it has one.
    pub duration_ns: Option<i64>,
    /// Whether it is a failure.
    pub failed: bool,
    /// The trace.
    pub trace_id: Option<TraceIdV1>,
    /// The span.
    pub span_id: Option<SpanIdV1>,
    /// The ids asked about that this row carries.
    pub ids: Vec<String>,
    /// For a span that took what another one sent: from where, and how long it waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<SentV1>,
}

/// What a span took from another one, through a queue or otherwise linked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SentV1 {
    /// The trace of the span that sent it.
    pub trace_id: TraceIdV1,
    /// The span that sent it; of several, the one that ended first.
    pub span_id: SpanIdV1,
    /// Its service, empty when none was sent.
    pub service: String,
    /// How many spans of the timeline it took something of.
    pub count: usize,
    /// From the end of sending to the begin of taking; null when that is not known.
    pub waited_ns: Option<i64>,
    /// Whether the clocks of the two disagree: it was taken before it was sent.
    pub clocks_disagree: bool,
}

impl From<&TraceReply> for TraceReplyV1 {
    fn from(reply: &TraceReply) -> TraceReplyV1 {
        TraceReplyV1 {
            v: Version::THIS,
            id: reply.id.clone(),
            trace: reply.trace.as_ref().map(TraceV1::from),
            comparison: reply.comparison.as_ref().map(ComparisonV1::from),
            candidates: reply.candidates.iter().map(CandidateV1::from).collect(),
        }
    }
}

impl From<&TraceAnswer> for TraceV1 {
    fn from(answer: &TraceAnswer) -> TraceV1 {
        TraceV1 {
            trace_id: TraceIdV1(answer.trace_id),
            start: TimeV1(answer.start),
            duration_ns: answer.duration_ns,
            services: answer.services.clone(),
            roots: answer.roots.clone(),
            failed_first: answer.failed_first,
            spans: answer.spans.iter().map(SpanV1::from).collect(),
            unplaced: answer.unplaced.iter().map(EventV1::from).collect(),
            gaps: answer.gaps.iter().map(GapV1::from).collect(),
            next: answer.next.clone(),
        }
    }
}

impl From<&TraceSpan> for SpanV1 {
    fn from(span: &TraceSpan) -> SpanV1 {
        let link = |(trace_id, span_id): &(_, _)| LinkV1 {
            trace_id: TraceIdV1(*trace_id),
            span_id: SpanIdV1(*span_id),
        };
        SpanV1 {
            span_id: SpanIdV1(span.span_id),
            parent_span_id: span.parent_span_id.map(SpanIdV1),
            depth: span.depth,
            service: span.service.clone(),
            name: span.name.clone(),
            kind: span.kind.clone(),
            status: span.status.clone(),
            status_message: span.status_message.clone(),
            start: TimeV1(span.start),
            duration_ns: span.duration_ns,
            self_ns: span.self_ns,
            failed: span.failed,
            faults: span.faults.iter().map(|fault| fault_name(*fault).to_owned()).collect(),
            attributes: attribute_object(&span.attributes),
            events: span.events.iter().map(EventV1::from).collect(),
            links: span.links.iter().map(link).collect(),
        }
    }
}

fn fault_name(fault: SpanFault) -> &'static str {
    match fault {
        SpanFault::Orphan => "orphan",
        SpanFault::RepeatedId => "repeated_id",
        SpanFault::Cycle => "cycle",
        SpanFault::Unended => "unended",
        SpanFault::NegativeDuration => "negative_duration",
        SpanFault::BeforeParent => "before_parent",
    }
}

impl From<&TraceEvent> for EventV1 {
    fn from(event: &TraceEvent) -> EventV1 {
        EventV1 {
            time: TimeV1(event.time),
            service: event.service.clone(),
            label: event.label.clone(),
            text: event.text.clone(),
            table: event.table.name().to_owned(),
            failed: event.failed,
        }
    }
}

/// The name of how an id was found.
pub fn matched_name(matched: Matched) -> &'static str {
    match matched {
        Matched::Trace => "trace",
        Matched::Span => "span",
        Matched::Exact => "exact",
        Matched::Children => "children",
        Matched::Prefix => "prefix",
        Matched::Ambiguous => "ambiguous",
        Matched::Nothing => "nothing",
    }
}

impl From<&FindAnswer> for FindV1 {
    fn from(answer: &FindAnswer) -> FindV1 {
        FindV1 {
            v: Version::THIS,
            id: answer.id.clone(),
            matched: matched_name(answer.matched).to_owned(),
            ids: answer.ids.iter().map(CandidateV1::from).collect(),
            traces: answer.traces.iter().copied().map(TraceIdV1).collect(),
            timeline: answer.timeline.iter().map(EntryV1::from).collect(),
            gaps: answer.gaps.iter().map(GapV1::from).collect(),
            next: answer.next.clone(),
        }
    }
}

impl From<&Candidate> for CandidateV1 {
    fn from(candidate: &Candidate) -> CandidateV1 {
        CandidateV1 {
            id: candidate.id.clone(),
            name: candidate.name.clone(),
            parent: candidate.parent.clone(),
            depth: candidate.depth,
            rows: candidate.rows,
            first: TimeV1(candidate.first),
            last: TimeV1(candidate.last),
            services: candidate.services.clone(),
            traces: candidate.traces.iter().copied().map(TraceIdV1).collect(),
        }
    }
}

impl From<&TimelineEntry> for EntryV1 {
    fn from(entry: &TimelineEntry) -> EntryV1 {
        EntryV1 {
            time: TimeV1(entry.time),
            table: entry.table.name().to_owned(),
            service: entry.service.clone(),
            depth: entry.depth,
            text: entry.text.clone(),
            duration_ns: entry.duration_ns,
            failed: entry.failed,
            trace_id: entry.trace_id.map(TraceIdV1),
            span_id: entry.span_id.map(SpanIdV1),
            ids: entry.ids.clone(),
            sent: entry.sent.as_ref().map(SentV1::from),
        }
    }
}

impl From<&Sent> for SentV1 {
    fn from(sent: &Sent) -> SentV1 {
        SentV1 {
            trace_id: TraceIdV1(sent.trace_id),
            span_id: SpanIdV1(sent.span_id),
            service: sent.service.clone(),
            count: sent.count,
            waited_ns: sent.waited_ns,
            clocks_disagree: sent.waited_ns.is_some_and(|waited| waited < 0),
        }
    }
}
