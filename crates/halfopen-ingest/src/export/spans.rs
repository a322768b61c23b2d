//! Spans with their events and links.

use halfopen_model::UnixNanos;
use halfopen_model::batch::Cells;
use halfopen_model::known::Scope;

use super::json::Json;
use super::{Rows, value};
use crate::columns::{KINDS, STATUSES};

pub(super) fn write(json: &mut Json<'_>, rows: Rows<'_>, members: &[usize]) {
    json.list(members, |json, row| json.object(|json| span(json, rows, *row)));
}

fn span(json: &mut Json<'_>, rows: Rows<'_>, row: usize) {
    let cells = rows.cells;
    ids(json, cells, row);
    let parent = cells.span_id("parent_span_id", row).map(|id| id.to_string());
    json.some_text("parentSpanId", parent.as_deref());
    json.some_text("traceState", cells.text("trace_state", row));
    json.some_small("flags", cells.small("flags", row));
    json.some_text("name", cells.text("name", row));
    json.some_small("kind", number_of(KINDS, cells.text("kind", row)));
    let start = cells.time("start_time", row).unwrap_or(UnixNanos(0));
    let attributes = cells.attributes(row);
    value::time(json, "startTimeUnixNano", Some(start), &attributes, "start_time");
    let sent = |column| value::original(&attributes, column)?.parse::<i128>().ok();
    let start = sent("start_time").unwrap_or(i128::from(start.0));
    let end = cells.int("duration_ns", row).map(|duration| start + i128::from(duration));
    json.some_wide("endTimeUnixNano", sent("end_time").or(end));
    json.name("attributes");
    let own = value::of_scope(&attributes, Scope::Span);
    value::pairs(json, None, value::originals(&attributes, &["start_time", "end_time"]).chain(own));
    json.some_small("droppedAttributesCount", cells.small("dropped_attributes", row));
    if let Some(events) = rows.items("events", row) {
        let cells = Cells::new(&events);
        json.name("events");
        json.list(0..cells.len(), |json, event| {
            json.object(|json| {
                let attributes = value::of_item(&events, event);
                value::time(json, "timeUnixNano", cells.time("time", event), &attributes, "time");
                json.some_text("name", cells.text("name", event));
                json.name("attributes");
                value::bare(json, &attributes);
                json.some_small("droppedAttributesCount", cells.small("dropped_attributes", event));
            });
        });
    }
    json.some_small("droppedEventsCount", cells.small("dropped_events", row));
    if let Some(links) = rows.items("links", row) {
        let cells = Cells::new(&links);
        json.name("links");
        json.list(0..cells.len(), |json, link| {
            json.object(|json| {
                ids(json, cells, link);
                json.some_text("traceState", cells.text("trace_state", link));
                json.some_small("flags", cells.small("flags", link));
                json.name("attributes");
                value::bare(json, &value::of_item(&links, link));
                json.some_small("droppedAttributesCount", cells.small("dropped_attributes", link));
            });
        });
    }
    json.some_small("droppedLinksCount", cells.small("dropped_links", row));
    let (message, status) = (cells.text("status_message", row), cells.text("status", row));
    json.name("status").object(|json| {
        json.some_text("message", message);
        json.some_small("code", number_of(STATUSES, status));
    });
}

/// Trace and span of a row that has them.
pub(super) fn ids(json: &mut Json<'_>, cells: Cells<'_>, row: usize) {
    let trace_id = cells.trace_id("trace_id", row).map(|id| id.to_string());
    json.some_text("traceId", trace_id.as_deref());
    let span_id = cells.span_id("span_id", row).map(|id| id.to_string());
    json.some_text("spanId", span_id.as_deref());
}

/// The number of a word in the order of OTLP's enumeration.
pub(super) fn number_of(words: &[&str], word: Option<&str>) -> Option<u32> {
    words.iter().position(|known| Some(*known) == word).map(|number| number as u32)
}
