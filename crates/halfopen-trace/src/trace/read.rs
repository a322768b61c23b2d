//! Rows of spans and logs, read for one trace; identical ones once.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StructArray};
use arrow::datatypes::TimestampNanosecondType;
use halfopen_model::answer::{TraceEvent, TraceSpan};
use halfopen_model::batch::{Cells, map_entries, text_at};
use halfopen_model::{AttributeValue, SpanId, Table, TraceId, UnixNanos};

use halfopen_model::request;

/// One span with what only the whole trace needs.
pub(super) struct SpanRow {
    pub(super) span: TraceSpan,
    pub(super) request_id: Option<String>,
    /// Whether the SDK dropped something of it.
    pub(super) dropped: bool,
}

/// One log record with the span that it names.
pub(super) struct Record {
    pub(super) span_id: Option<SpanId>,
    pub(super) event: TraceEvent,
}

/// Severity numbers of OpenTelemetry: ERROR begins here.
const SEVERITY_ERROR: u32 = 17;

/// The spans of the trace, in the order of the rows.
pub(super) fn spans(trace_id: TraceId, batches: &[RecordBatch]) -> Vec<SpanRow> {
    by_trace(batches, |id| id == trace_id).remove(&trace_id).unwrap_or_default()
}

/// The spans of all wanted traces, those of each in the order of the rows.
pub(super) fn by_trace(
    batches: &[RecordBatch],
    wanted: impl Fn(TraceId) -> bool,
) -> BTreeMap<TraceId, Vec<SpanRow>> {
    let mut seen = HashSet::new();
    let mut found: BTreeMap<TraceId, Vec<SpanRow>> = BTreeMap::new();
    for batch in batches {
        let cells = Cells::new(batch);
        for row in 0..cells.len() {
            let Some(trace_id) = cells.trace_id("trace_id", row).filter(|id| wanted(*id)) else {
                continue;
            };
            let Some(span) = span(batch, &cells, row) else { continue };
            if !seen.insert((trace_id, content(&span))) {
                continue;
            }
            let dropped = ["dropped_attributes", "dropped_events", "dropped_links"]
                .iter()
                .any(|name| cells.small(name, row).is_some_and(|count| count > 0));
            let request_id = cells.text("request_id", row).map(str::to_owned);
            found.entry(trace_id).or_default().push(SpanRow { span, request_id, dropped });
        }
    }
    found
}

fn span(batch: &RecordBatch, cells: &Cells<'_>, row: usize) -> Option<TraceSpan> {
    let text = |name| cells.text(name, row).unwrap_or_default().to_owned();
    let service = text("service");
    let attributes = cells.attributes(row);
    Some(TraceSpan {
        span_id: cells.span_id("span_id", row)?,
        parent_span_id: cells.span_id("parent_span_id", row).filter(|id| !id.is_zero()),
        depth: 0,
        name: text("name"),
        kind: text("kind"),
        status: text("status"),
        status_message: cells.text("status_message", row).map(str::to_owned),
        start: cells.time("start_time", row)?,
        duration_ns: cells.int("duration_ns", row),
        self_ns: 0,
        failed: request::failed(cells, row),
        faults: Vec::new(),
        attributes: attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        events: events(batch, row, &service),
        links: links(batch, row),
        service,
    })
}

/// What tells a span that was sent twice from two spans with one id.
fn content(span: &TraceSpan) -> (SpanId, u64) {
    let mut hasher = DefaultHasher::new();
    (span.parent_span_id, span.start, span.duration_ns).hash(&mut hasher);
    (&span.service, &span.name, &span.kind, &span.status, &span.status_message).hash(&mut hasher);
    for (key, value) in &span.attributes {
        (key, value.value_type(), value.to_text()).hash(&mut hasher);
    }
    for event in &span.events {
        (event.time, &event.label, &event.text).hash(&mut hasher);
    }
    span.links.hash(&mut hasher);
    (span.span_id, hasher.finish())
}

/// The structs of a list column in one row.
fn items(batch: &RecordBatch, column: &str, row: usize) -> Option<StructArray> {
    let lists = batch.column_by_name(column)?.as_list_opt::<i32>()?;
    if lists.is_null(row) {
        return None;
    }
    lists.value(row).as_struct_opt().cloned()
}

fn events(batch: &RecordBatch, row: usize, service: &str) -> Vec<TraceEvent> {
    let Some(items) = items(batch, "events", row) else { return Vec::new() };
    let times =
        items.column_by_name("time").and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>());
    let (Some(times), Some(names)) = (times, items.column_by_name("name")) else {
        return Vec::new();
    };
    let event = |item: usize| {
        let label = text_at(names.as_ref(), item).unwrap_or_default().to_owned();
        let attributes = attributes_of(items.column_by_name("attributes"), item);
        let failed = label == "exception";
        let text = if failed { exception(&attributes) } else { listed(&attributes) };
        let time = UnixNanos(times.value(item));
        TraceEvent { time, service: service.to_owned(), label, text, table: Table::Spans, failed }
    };
    (0..items.len()).map(event).collect()
}

fn attributes_of(column: Option<&ArrayRef>, item: usize) -> Vec<(String, AttributeValue)> {
    let mut found = Vec::new();
    if let Some(map) = column.and_then(|column| column.as_map_opt()) {
        map_entries(map, item, &mut |key, tag, text| {
            found.push((key.to_owned(), AttributeValue::from_stored(tag, text)));
        });
    }
    found
}

/// `type: message`; the stack trace stays with the row.
fn exception(attributes: &[(String, AttributeValue)]) -> String {
    let named = |name: &str| {
        attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.to_text())
    };
    let parts = [named("exception.type"), named("exception.message")];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

fn listed(attributes: &[(String, AttributeValue)]) -> String {
    let pair = |(key, value): &(String, AttributeValue)| format!("{key}={}", value.to_text());
    attributes.iter().map(pair).collect::<Vec<_>>().join(" ")
}

pub(crate) fn links(batch: &RecordBatch, row: usize) -> Vec<(TraceId, SpanId)> {
    let Some(items) = items(batch, "links", row) else { return Vec::new() };
    let ids = |name| items.column_by_name(name).and_then(|c| c.as_fixed_size_binary_opt());
    let (Some(traces), Some(spans)) = (ids("trace_id"), ids("span_id")) else {
        return Vec::new();
    };
    let link = |item: usize| {
        let trace_id = TraceId(traces.value(item).try_into().ok()?);
        Some((trace_id, SpanId(spans.value(item).try_into().ok()?)))
    };
    (0..items.len()).filter_map(link).collect()
}

/// The log records of the trace, in the order of the rows.
pub(super) fn logs(trace_id: TraceId, batches: &[RecordBatch]) -> Vec<Record> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for batch in batches {
        let cells = Cells::new(batch);
        for row in 0..cells.len() {
            if cells.trace_id("trace_id", row) != Some(trace_id) {
                continue;
            }
            let Some(event) = record(&cells, row) else { continue };
            let span_id = cells.span_id("span_id", row).filter(|id| !id.is_zero());
            let mut hasher = DefaultHasher::new();
            (span_id, event.time, &event.service, &event.label, &event.text).hash(&mut hasher);
            for (key, value) in cells.attributes(row) {
                (key, value.value_type(), value.to_text()).hash(&mut hasher);
            }
            if seen.insert(hasher.finish()) {
                found.push(Record { span_id, event });
            }
        }
    }
    found
}

/// One log record as an event. Also used for the timeline of `find`.
pub(crate) fn record(cells: &Cells<'_>, row: usize) -> Option<TraceEvent> {
    let number = cells.small("severity_number", row).unwrap_or(0);
    let named = cells.text("severity_text", row).filter(|text| !text.is_empty());
    let label = named
        .or_else(|| cells.text("event_name", row))
        .map_or_else(|| severity_name(number).to_owned(), str::to_owned);
    let body = cells.text("body", row).filter(|body| !body.is_empty());
    Some(TraceEvent {
        time: cells.time("time", row)?,
        service: cells.text("service", row).unwrap_or_default().to_owned(),
        label,
        text: body.or_else(|| cells.text("event_name", row)).unwrap_or_default().to_owned(),
        table: Table::Logs,
        failed: number >= SEVERITY_ERROR,
    })
}

/// The range of a severity number, as OpenTelemetry names it.
fn severity_name(number: u32) -> &'static str {
    match number {
        1..=4 => "TRACE",
        5..=8 => "DEBUG",
        9..=12 => "INFO",
        13..=16 => "WARN",
        17..=20 => "ERROR",
        21..=24 => "FATAL",
        _ => "LOG",
    }
}
