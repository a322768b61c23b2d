//! Which requests are of one kind.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use halfopen_model::answer::{TraceAnswer, TraceSpan};
use halfopen_model::batch::Cells;
use halfopen_model::{AttributeValue, TraceId, UnixNanos};

/// The request of a trace: its topmost entry span, else its root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestKind {
    /// The service that took it.
    pub service: String,
    /// What was asked: method and route where both are known, else the name of the span, with
    /// numbers and ids folded.
    pub operation: String,
    /// The kind of its span: server, consumer, ...
    pub span_kind: String,
    /// When it began.
    pub start: UnixNanos,
    /// How long it took, in nanoseconds.
    pub took_ns: Option<i64>,
    /// Whether it failed.
    pub failed: bool,
}

impl RequestKind {
    /// Whether both ask one service for the same.
    pub fn is_same(&self, other: &RequestKind) -> bool {
        let told = |kind: &RequestKind| {
            (kind.service.clone(), kind.operation.clone(), kind.span_kind.clone())
        };
        told(self) == told(other)
    }
}

/// Where a request goes first: service and operation of the first entry span below its own.
pub(super) fn first_hop(trace: &TraceAnswer) -> Option<(String, String)> {
    let own = entry(trace)?;
    let is_hop =
        |span: &&TraceSpan| is_entry(span) && span.span_id != own.span_id && span.depth > own.depth;
    // Without kinds of spans, the first span of another service.
    let elsewhere = |span: &&TraceSpan| span.service != own.service && span.depth > own.depth;
    let first = |span: &&TraceSpan| (span.start, span.depth);
    let hop = trace.spans.iter().filter(is_hop).min_by_key(first);
    let hop = hop.or_else(|| trace.spans.iter().filter(elsewhere).min_by_key(first))?;
    Some((hop.service.clone(), operation_of(hop)))
}

const METHODS: [&str; 2] = ["span.http.request.method", "span.http.method"];
const ROUTE: &str = "span.http.route";

/// The request of a trace; `None` for one without spans.
pub fn kind(trace: &TraceAnswer) -> Option<RequestKind> {
    let span = entry(trace)?;
    Some(RequestKind {
        service: span.service.clone(),
        operation: operation_of(span),
        span_kind: span.kind.clone(),
        start: span.start,
        took_ns: span.duration_ns,
        failed: span.failed,
    })
}

fn is_entry(span: &TraceSpan) -> bool {
    matches!(span.kind.as_str(), "server" | "consumer")
}

fn entry(trace: &TraceAnswer) -> Option<&TraceSpan> {
    // An orphan looks like a root: a true root goes before it.
    let place = |span: &&TraceSpan| {
        (span.depth == 0 && span.parent_span_id.is_some(), span.depth, span.start)
    };
    let entry = trace.spans.iter().filter(|span| is_entry(span)).min_by_key(place);
    entry.or_else(|| trace.spans.iter().min_by_key(place))
}

fn operation_of(span: &TraceSpan) -> String {
    operation(&span.name, |name| {
        let found = span.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.to_text())
    })
}

fn operation(name: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let method = METHODS.iter().find_map(|name| value(name));
    match (method, value(ROUTE)) {
        (Some(method), Some(route)) => format!("{method} {route}"),
        _ => folded(name),
    }
}

/// Traces with a span like the request of `kind`, with the time of the first such span.
pub fn candidates(kind: &RequestKind, spans: &[RecordBatch]) -> BTreeMap<TraceId, UnixNanos> {
    let mut found: BTreeMap<TraceId, UnixNanos> = BTreeMap::new();
    for batch in spans {
        let cells = Cells::new(batch);
        for row in 0..cells.len() {
            let is_like = cells.text("service", row).unwrap_or_default() == kind.service
                && cells.text("kind", row).unwrap_or_default() == kind.span_kind;
            if !is_like {
                continue;
            }
            let value =
                |name: &str| cells.attribute(name, row).map(|v| AttributeValue::to_text(&v));
            let name = cells.text("name", row).unwrap_or_default();
            let (trace, start) = (cells.trace_id("trace_id", row), cells.time("start_time", row));
            if let (Some(trace), Some(start)) = (trace, start)
                && operation(name, value) == kind.operation
            {
                let first = found.entry(trace).or_insert(start);
                *first = (*first).min(start);
            }
        }
    }
    found
}

/// A word of so many hexadecimal digits, one of them a decimal one, is an id.
const HEX_DIGITS_MIN: usize = 4;

/// A name with numbers and ids as `{}`: `GET /carts/7f3a91c2` and `GET /carts/81d0aa31` are one.
pub(super) fn folded(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    // A UUID is one word; elsewhere a dash ends a word.
    for piece in name.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
        let end = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-').len();
        let (word, mark) = piece.split_at(end);
        if is_id(word) {
            folded.push_str("{}");
        } else {
            let words = word.split('-').map(|word| if is_id(word) { "{}" } else { word });
            folded.push_str(&words.collect::<Vec<_>>().join("-"));
        }
        folded.push_str(mark);
    }
    folded
}

/// A number, or hexadecimal digits with dashes.
fn is_id(word: &str) -> bool {
    let digits = word.bytes().filter(|byte| *byte != b'-').count();
    word.bytes().any(|byte| byte.is_ascii_digit())
        && (word.bytes().all(|byte| byte.is_ascii_digit())
            || digits >= HEX_DIGITS_MIN
                && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'))
}
