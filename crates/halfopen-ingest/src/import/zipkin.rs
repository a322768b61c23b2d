//! Zipkin v2: a list of spans, or a list of such lists as its API answers.

use super::emit::{Emitter, Halt, Origin};
use super::group::message;
use super::input::Input;
use super::items::each_item;
use super::value::{self, NOTES, Value, attribute, field, list, plain, some_text, text};
use crate::json::{Json, Kind, parse};
use crate::settings::Signal;
use crate::wire::Writer;

/// Nanoseconds in the unit of Zipkin's times.
const MICROSECOND_NS: u64 = 1_000;
const STATUS_ERROR: u64 = 2;

/// Reads all spans.
pub(crate) fn read(input: &mut Input<'_>, out: &mut Emitter<'_>) -> Result<(), Halt> {
    each_item(&[&[]], "item", input, out, &mut read_item)
}

/// A span, or a trace: a list of spans.
fn read_item(item: &[u8], place: &str, out: &mut Emitter<'_>) -> Result<(), Halt> {
    let lossy = String::from_utf8_lossy(item);
    match parse(&lossy) {
        Ok(Json { kind: Kind::List(spans), .. }) => {
            for (index, span) in spans.iter().enumerate() {
                add(span, &format!("{place}, span {index}"), out);
                out.breathe()?;
            }
        }
        Ok(span) => add(&span, place, out),
        Err(error) => out.reject(place.to_owned(), format!("no JSON: {error}"), 1, item),
    }
    Ok(())
}

fn add(span: &Json<'_>, place: &str, out: &mut Emitter<'_>) {
    let mut resource = Writer::new();
    let local = field(span, "localEndpoint").map_or("", |local| text(local, "serviceName"));
    some_text(&mut resource, 1, "service.name", out.service_or(local));
    let origin = Origin { resource: resource.into_bytes(), scope: Vec::new() };
    if let Err(reason) = out.item(Signal::Traces, &origin, |out| write_span(span, out)) {
        out.reject(place.to_owned(), reason.to_owned(), 1, span.raw.as_bytes());
    }
}

fn write_span(span: &Json<'_>, out: &mut Writer) -> Result<(), &'static str> {
    if !value::trace_id(out, [1, NOTES], "trace_id", text(span, "traceId")) {
        return Err("the trace id is missing or zero");
    }
    if !value::span_id(out, [2, NOTES], "span_id", text(span, "id")) {
        return Err("the span id is missing or zero");
    }
    let time = |name: &str| field(span, name).and_then(value::unsigned);
    let begin = time("timestamp").ok_or("no timestamp")?;
    let start = begin.checked_mul(MICROSECOND_NS).ok_or("a timestamp beyond the year 2500")?;
    value::span_id(out, [4, NOTES], "parent_span_id", text(span, "parentId"));
    out.bytes(5, text(span, "name").as_bytes());
    let kind = match text(span, "kind") {
        "" => 1,
        "SERVER" => 2,
        "CLIENT" => 3,
        "PRODUCER" => 4,
        "CONSUMER" => 5,
        _ => 0,
    };
    out.varint(6, kind);
    out.fixed64(7, start);
    if let Some(duration) = time("duration") {
        let end = duration.checked_mul(MICROSECOND_NS).and_then(|ns| start.checked_add(ns));
        out.fixed64(8, end.ok_or("a duration beyond 500 years")?);
    }
    write_endpoints(span, out);
    let mut error = None;
    if let Some(Kind::Object(tags)) = field(span, "tags").map(|tags| &tags.kind) {
        for (key, value) in tags {
            if key == "error" {
                error = Some(plain(value).unwrap_or_default()).filter(|text| *text != "false");
            }
            attribute(out, 9, key, Value::Json(value));
        }
    }
    for annotation in list(span, "annotations") {
        message(out, 11, |out| {
            let time = field(annotation, "timestamp").and_then(value::unsigned);
            out.fixed64(1, time.unwrap_or_default().saturating_mul(MICROSECOND_NS));
            out.bytes(2, text(annotation, "value").as_bytes());
        });
    }
    if let Some(reason) = error {
        message(out, 15, |out| {
            out.bytes(2, if reason == "true" { b"" } else { reason.as_bytes() });
            out.varint(3, STATUS_ERROR);
        });
    }
    if field(span, "debug").is_some_and(|debug| debug.kind == Kind::Bool(true)) {
        out.fixed32(16, 1);
    }
    Ok(())
}

/// Who was spoken to, and from where.
fn write_endpoints(span: &Json<'_>, out: &mut Writer) {
    let sides = [
        ("localEndpoint", "network.local.address", "network.local.port"),
        ("remoteEndpoint", "network.peer.address", "network.peer.port"),
    ];
    for (side, address, port) in sides {
        let Some(endpoint) = field(span, side) else { continue };
        if side == "remoteEndpoint" {
            some_text(out, 9, "service.peer.name", text(endpoint, "serviceName"));
        }
        let ipv4 = text(endpoint, "ipv4");
        some_text(out, 9, address, if ipv4.is_empty() { text(endpoint, "ipv6") } else { ipv4 });
        if let Some(number) = field(endpoint, "port").and_then(value::unsigned) {
            attribute(out, 9, port, Value::Int(number as i64));
        }
    }
    if field(span, "shared").is_some_and(|shared| shared.kind == Kind::Bool(true)) {
        attribute(out, 9, "zipkin.shared", Value::Bool(true));
    }
}
