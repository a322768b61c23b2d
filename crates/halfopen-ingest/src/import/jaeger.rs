//! Jaeger: what its UI downloads and its API answers, `{"data": [{traceID, spans, processes}]}`.
//! The meaning of its fields is that of the Collector's Jaeger receiver.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::emit::{Emitter, Halt, Origin};
use super::group::message;
use super::input::Input;
use super::items::each_item;
use super::value::{self, NOTES, Value, attribute, field, list, plain, some_text, text};
use crate::json::{Json, Kind, parse};
use crate::settings::Signal;
use crate::wire::Writer;

/// Nanoseconds in the unit of Jaeger's times.
const MICROSECOND_NS: u64 = 1_000;
const STATUS_OK: u64 = 1;
const STATUS_ERROR: u64 = 2;
/// Values of the tag `span.kind` by the number of their kind in OTLP.
pub(crate) const KINDS: [&str; 6] =
    ["unspecified", "internal", "server", "client", "producer", "consumer"];

/// Reads all traces.
pub(crate) fn read(input: &mut Input<'_>, out: &mut Emitter<'_>) -> Result<(), Halt> {
    each_item(&[&["data"]], "trace", input, out, &mut trace)
}

fn trace(item: &[u8], place: &str, out: &mut Emitter<'_>) -> Result<(), Halt> {
    let lossy = String::from_utf8_lossy(item);
    let trace = match parse(&lossy) {
        Ok(trace) => trace,
        Err(error) => {
            out.reject(place.to_owned(), format!("no JSON: {error}"), 1, item);
            return Ok(());
        }
    };
    let processes = field(&trace, "processes");
    let spans = list(&trace, "spans");
    // Spans of one process side by side: they share a resource.
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|index| text(&spans[*index], "processID"));
    let mut known: Option<(&str, Vec<u8>)> = None;
    for index in order {
        let span = &spans[index];
        let id = text(span, "processID");
        let resource = match &known {
            Some((known, resource)) if *known == id && !id.is_empty() => resource.clone(),
            _ => {
                let shared = processes.and_then(|processes| field(processes, id));
                resource_of(field(span, "process").or(shared), out)
            }
        };
        known = Some((id, resource.clone()));
        let origin = Origin { resource, scope: scope_of(span) };
        let written = out.item(Signal::Traces, &origin, |out| write_span(&trace, span, out));
        if let Err(reason) = written {
            let place = format!("{place}, span {index}");
            out.reject(place, reason.to_owned(), 1, span.raw.as_bytes());
        }
        out.breathe()?;
    }
    Ok(())
}

fn resource_of(process: Option<&Json<'_>>, emitter: &Emitter<'_>) -> Vec<u8> {
    let mut out = Writer::new();
    let name = process.map_or("", |process| text(process, "serviceName"));
    some_text(&mut out, 1, "service.name", emitter.service_or(name));
    if let Some(process) = process {
        list(process, "tags").iter().for_each(|tag| write_tag(&mut out, 1, tag));
    }
    out.into_bytes()
}

/// Tags that name the instrumentation scope: they have fields of their own in OTLP.
const SCOPE_TAGS: [(&str, u32); 4] = [
    ("otel.scope.name", 1),
    ("otel.library.name", 1),
    ("otel.scope.version", 2),
    ("otel.library.version", 2),
];

fn scope_of(span: &Json<'_>) -> Vec<u8> {
    let mut out = Writer::new();
    for wanted in [1, 2] {
        let tags = list(span, "tags").iter();
        let mut named = tags.filter_map(|tag| {
            let is_wanted =
                |(key, number): &&(&str, u32)| *key == text(tag, "key") && *number == wanted;
            SCOPE_TAGS.iter().find(is_wanted).map(|_| text(tag, "value"))
        });
        out.bytes(wanted, named.next_back().unwrap_or_default().as_bytes());
    }
    out.into_bytes()
}

/// What tags say that has a field of its own in OTLP.
#[derive(Default)]
struct Told<'j> {
    kind: u64,
    status: u64,
    status_message: &'j str,
    trace_state: &'j str,
}

impl<'j> Told<'j> {
    /// Takes a tag; false when it is an attribute like any other.
    fn take(&mut self, tag: &'j Json<'j>) -> bool {
        let value = text(tag, "value");
        match text(tag, "key") {
            "span.kind" => {
                let kind = KINDS.iter().position(|kind| kind.eq_ignore_ascii_case(value));
                self.kind = kind.unwrap_or_default() as u64;
                return kind.is_some();
            }
            "error" if value == "true" => self.status = STATUS_ERROR,
            "error" if value == "false" => {}
            "otel.status_code" if value.eq_ignore_ascii_case("error") => self.status = STATUS_ERROR,
            "otel.status_code" if value.eq_ignore_ascii_case("ok") => {
                self.status = self.status.max(STATUS_OK);
            }
            "otel.status_description" => self.status_message = value,
            "w3c.tracestate" => self.trace_state = value,
            key => return SCOPE_TAGS.iter().any(|(known, _)| *known == key),
        }
        true
    }
}

fn write_span<'j>(
    trace: &'j Json<'j>,
    span: &'j Json<'j>,
    out: &mut Writer,
) -> Result<(), &'static str> {
    let own = text(span, "traceID");
    let trace_id = if own.is_empty() { text(trace, "traceID") } else { own };
    if !value::trace_id(out, [1, NOTES], "trace_id", trace_id) {
        return Err("the trace id is missing or zero");
    }
    if !value::span_id(out, [2, NOTES], "span_id", text(span, "spanID")) {
        return Err("the span id is missing or zero");
    }
    let begin = field(span, "startTime").and_then(value::unsigned).ok_or("no start time")?;
    let start = begin.checked_mul(MICROSECOND_NS).ok_or("a start time beyond the year 2500")?;
    let is_parent = |reference: &&Json<'_>| {
        let other = text(reference, "traceID");
        text(reference, "refType") == "CHILD_OF" && (other.is_empty() || other == trace_id)
    };
    let references = list(span, "references");
    let parent = references.iter().position(|reference| is_parent(&reference));
    let named = parent.map(|parent| text(&references[parent], "spanID"));
    let parent_id = named.unwrap_or(text(span, "parentSpanID"));
    value::span_id(out, [4, NOTES], "parent_span_id", parent_id);
    out.bytes(5, text(span, "operationName").as_bytes());
    out.fixed64(7, start);
    if let Some(duration) = field(span, "duration").and_then(value::unsigned) {
        let end = duration.checked_mul(MICROSECOND_NS).and_then(|ns| start.checked_add(ns));
        out.fixed64(8, end.ok_or("a duration beyond 500 years")?);
    }
    let mut told = Told::default();
    for tag in list(span, "tags") {
        if !told.take(tag) {
            write_tag(out, 9, tag);
        }
    }
    for warning in list(span, "warnings").iter().filter_map(plain) {
        attribute(out, 9, "jaeger.warning", Value::Text(warning));
    }
    list(span, "logs").iter().for_each(|log| message(out, 11, |out| write_event(log, out)));
    for (index, reference) in references.iter().enumerate() {
        if Some(index) != parent {
            message(out, 13, |out| write_link(trace_id, reference, out));
        }
    }
    out.varint(6, told.kind);
    out.bytes(3, told.trace_state.as_bytes());
    if told.status != 0 || !told.status_message.is_empty() {
        message(out, 15, |out| {
            out.bytes(2, told.status_message.as_bytes());
            out.varint(3, told.status);
        });
    }
    // The two low bits of Jaeger's flags are "sampled" and "debug"; the first means the same in
    // W3C Trace Context.
    let flags = field(span, "flags").and_then(value::unsigned).unwrap_or_default();
    out.fixed32(16, (flags & 1) as u32);
    Ok(())
}

fn write_event(log: &Json<'_>, out: &mut Writer) {
    let time = field(log, "timestamp").and_then(value::unsigned).unwrap_or_default();
    out.fixed64(1, time.saturating_mul(MICROSECOND_NS));
    let fields = list(log, "fields");
    let name = fields.iter().position(|field| text(field, "key") == "event");
    out.bytes(2, name.map_or("log", |name| text(&fields[name], "value")).as_bytes());
    for (index, tag) in fields.iter().enumerate() {
        if Some(index) != name {
            write_tag(out, 3, tag);
        }
    }
}

fn write_link(own: &str, reference: &Json<'_>, out: &mut Writer) {
    let other = text(reference, "traceID");
    value::trace_id(out, [1, 4], "trace_id", if other.is_empty() { own } else { other });
    value::span_id(out, [2, 4], "span_id", text(reference, "spanID"));
    let kind = text(reference, "refType").to_ascii_lowercase();
    some_text(out, 4, "opentracing.ref_type", &kind);
}

/// Writes `{key, type, value}` as an attribute. A value that has not the type it claims keeps
/// its own.
fn write_tag(out: &mut Writer, number: u32, tag: &Json<'_>) {
    let key = text(tag, "key");
    let Some(found) = field(tag, "value") else {
        message(out, number, |out| out.bytes(1, key.as_bytes()));
        return;
    };
    let word = plain(found).unwrap_or_default();
    let is_text = matches!(found.kind, Kind::Text(_));
    let value = match text(tag, "type") {
        "bool" if is_text => word.parse().map(Value::Bool).ok(),
        "int64" => word.parse().map(Value::Int).ok(),
        "float64" => word.parse().map(Value::Double).ok(),
        "binary" if is_text => {
            if let Ok(bytes) = STANDARD.decode(word) {
                attribute(out, number, key, Value::Bytes(&bytes));
                return;
            }
            None
        }
        "string" if plain(found).is_some() => Some(Value::Text(word)),
        _ => None,
    };
    attribute(out, number, key, value.unwrap_or(Value::Json(found)));
}
