//! Spans.

use super::fields::{JsonError, NOTES, Object};
use crate::wire::Writer;

/// `Span.SpanKind` by number.
const KINDS: &[&str] = &["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
/// `Status.StatusCode` by number.
const STATUSES: &[&str] = &["UNSET", "OK", "ERROR"];

/// Writes the fields of a `Span`.
pub(super) fn span(object: Object<'_>, out: &mut Writer) -> Result<(), JsonError> {
    if !object.trace_id(1, NOTES, out)? {
        return Err(JsonError::new("the trace id is missing or zero"));
    }
    if !object.span_id(["spanId", "span_id"], 2, NOTES, out)? {
        return Err(JsonError::new("the span id is missing or zero"));
    }
    out.bytes(3, object.text(["traceState", "trace_state"])?.as_bytes());
    object.span_id(["parentSpanId", "parent_span_id"], 4, NOTES, out)?;
    out.bytes(5, object.text(["name", "name"])?.as_bytes());
    out.varint(6, object.enumerated(["kind", "kind"], "SPAN_KIND_", KINDS)?);
    out.fixed64(7, object.number(["startTimeUnixNano", "start_time_unix_nano"])?);
    out.fixed64(8, object.number(["endTimeUnixNano", "end_time_unix_nano"])?);
    object.attributes(["attributes", "attributes"], 9, out)?;
    out.varint(10, object.number(["droppedAttributesCount", "dropped_attributes_count"])?);
    object.each(["events", "events"], |event| {
        let event = Object::of(event)?;
        out.message(11, |out| write_event(event, out))
    })?;
    out.varint(12, object.number(["droppedEventsCount", "dropped_events_count"])?);
    object.each(["links", "links"], |link| {
        let link = Object::of(link)?;
        out.message(13, |out| write_link(link, out))
    })?;
    out.varint(14, object.number(["droppedLinksCount", "dropped_links_count"])?);
    if let Some(status) = object.get(["status", "status"]) {
        let status = Object::of(status).map_err(|error| error.inside("status"))?;
        out.message(15, |out| write_status(status, out)).map_err(|error| error.inside("status"))?;
    }
    out.fixed32(16, object.number(["flags", "flags"])? as u32);
    Ok(())
}

fn write_status(status: Object<'_>, out: &mut Writer) -> Result<(), JsonError> {
    out.bytes(2, status.text(["message", "message"])?.as_bytes());
    out.varint(3, status.enumerated(["code", "code"], "STATUS_CODE_", STATUSES)?);
    Ok(())
}

fn write_event(event: Object<'_>, out: &mut Writer) -> Result<(), JsonError> {
    out.fixed64(1, event.number(["timeUnixNano", "time_unix_nano"])?);
    out.bytes(2, event.text(["name", "name"])?.as_bytes());
    event.attributes(["attributes", "attributes"], 3, out)?;
    out.varint(4, event.number(["droppedAttributesCount", "dropped_attributes_count"])?);
    Ok(())
}

fn write_link(link: Object<'_>, out: &mut Writer) -> Result<(), JsonError> {
    link.trace_id(1, 4, out)?;
    link.span_id(["spanId", "span_id"], 2, 4, out)?;
    out.bytes(3, link.text(["traceState", "trace_state"])?.as_bytes());
    link.attributes(["attributes", "attributes"], 4, out)?;
    out.varint(5, link.number(["droppedAttributesCount", "dropped_attributes_count"])?);
    out.fixed32(6, link.number(["flags", "flags"])? as u32);
    Ok(())
}
