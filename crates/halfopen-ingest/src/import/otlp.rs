//! OTLP as files: export requests in JSON and protobuf, single ones and those that the
//! Collector's file exporter writes behind each other.

use super::emit::{Emitter, Halt};
use super::input::Input;
use super::items::{Found, ITEM_BYTES_MAX, Items};
use crate::json;
use crate::settings::Signal;
use crate::wire::{Reader, WireValue};

/// JSON is rewritten in pieces of about so many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes in front of each message of a file that holds many: its length, big-endian.
const LENGTH_BYTES: usize = 4;
/// Exporters name the list first.
const HEAD_BYTES: usize = 1 << 10;
/// The tag of the only field of an export request.
const TAG: u8 = 0x0a;

/// The lists of the three kinds of export requests, in both spellings.
const LISTS: [(&str, Signal); 6] = [
    ("resourceSpans", Signal::Traces),
    ("resourceLogs", Signal::Logs),
    ("resourceMetrics", Signal::Metrics),
    ("resource_spans", Signal::Traces),
    ("resource_logs", Signal::Logs),
    ("resource_metrics", Signal::Metrics),
];

/// Reads one export request after the other, each on its line.
pub(crate) fn json_lines(input: &mut Input<'_>, out: &mut Emitter<'_>) -> Result<(), Halt> {
    let mut text = Vec::new();
    while let Some(line) = input.line(&mut text, ITEM_BYTES_MAX)? {
        if text.trim_ascii().is_empty() {
            continue;
        }
        if line.is_cut {
            let reason = format!("a line is longer than {ITEM_BYTES_MAX} bytes");
            out.reject_sized(line.place(), reason, 1, &text, line.bytes);
            continue;
        }
        match signal_of_json(&text) {
            Some(signal) => piece(signal, &text, line.place(), out),
            None => out.reject(line.place(), "no export request of OTLP".to_owned(), 1, &text),
        }
        out.breathe()?;
    }
    Ok(())
}

/// Reads documents of any size, resource by resource.
pub(crate) fn json_document(input: &mut Input<'_>, out: &mut Emitter<'_>) -> Result<(), Halt> {
    let paths = LISTS.map(|(name, _)| [name]);
    let paths: Vec<&[&str]> = paths.iter().map(<[&str; 1]>::as_slice).collect();
    let mut items = Items::new(&paths);
    let (mut item, mut body) = (Vec::new(), Vec::new());
    let (mut signal, mut begin) = (Signal::Traces, 0);
    loop {
        let found = items.next(input, &mut item)?;
        let list = match found {
            Found::Item(list) | Found::Torn(list) | Found::Long(list, _) => LISTS[list].1,
            _ => signal,
        };
        let is_end = !matches!(found, Found::Item(_));
        if is_end || list != signal || body.len() + item.len() > PIECE_BYTES {
            document(signal, &mut body, begin, out);
            out.breathe()?;
        }
        match found {
            Found::Item(_) | Found::Torn(_) if !item.is_empty() => {
                (signal, begin) =
                    if body.is_empty() { (list, items.offset) } else { (list, begin) };
                body.extend_from_slice(if body.is_empty() { b"" } else { b"," });
                body.extend_from_slice(&item);
            }
            Found::Long(_, bytes) => {
                let reason = format!("one resource has more than {ITEM_BYTES_MAX} bytes");
                out.reject_sized(byte_place(items.offset), reason, 1, &item, bytes);
            }
            _ => {}
        }
        match found {
            Found::Item(_) | Found::Long(_, _) => {}
            Found::Torn(_) => {
                // Whole items of the last resource are kept, what is torn is rejected.
                torn(signal, &mut body, begin, out);
                return Ok(());
            }
            Found::Broken(what) => {
                out.reject(byte_place(input.offset), what.to_owned(), 1, input.peek()?);
                return Ok(());
            }
            Found::End => return Ok(()),
        }
    }
}

fn byte_place(offset: u64) -> String {
    format!("byte {offset}")
}

/// Makes a request of the resources in `body`.
fn document(signal: Signal, body: &mut Vec<u8>, begin: u64, out: &mut Emitter<'_>) {
    if body.is_empty() {
        return;
    }
    let text = wrapped(signal, body, b"]}");
    body.clear();
    piece(signal, &text, byte_place(begin), out);
}

/// Makes a request of a resource that ends early.
fn torn(signal: Signal, body: &mut Vec<u8>, begin: u64, out: &mut Emitter<'_>) {
    if body.is_empty() {
        let reason = "the document ends inside its list".to_owned();
        out.reject(byte_place(begin), reason, 1, b"");
        return;
    }
    let text = wrapped(signal, body, b"");
    body.clear();
    piece(signal, &text, byte_place(begin), out);
}

fn wrapped(signal: Signal, body: &[u8], end: &[u8]) -> Vec<u8> {
    let name = LISTS.iter().find(|(_, known)| *known == signal).map_or("", |(name, _)| name);
    [b"{\"", name.as_bytes(), b"\":[", body, end].concat()
}

/// Rewrites an export request in JSON as protobuf.
fn piece(signal: Signal, text: &[u8], place: String, out: &mut Emitter<'_>) {
    match json::rewrite(signal, text) {
        Ok(rewritten) => {
            for problem in rewritten.problems {
                out.reject(place.clone(), problem.reason, problem.items, &problem.raw);
            }
            out.request(signal, rewritten.protobuf, place);
        }
        Err(reason) => out.reject(place, reason, 1, text),
    }
}

/// The signal of an export request in JSON: that of the list which is named first.
pub(crate) fn signal_of_json(text: &[u8]) -> Option<Signal> {
    let head = &text[..text.len().min(HEAD_BYTES)];
    signal_named(head).or_else(|| signal_named(text))
}

fn signal_named(text: &[u8]) -> Option<Signal> {
    let found = LISTS.iter().filter_map(|(name, signal)| {
        let quoted = [b"\"", name.as_bytes(), b"\""].concat();
        let at = text.windows(quoted.len()).position(|window| window == quoted)?;
        Some((at, *signal))
    });
    found.min_by_key(|(at, _)| *at).map(|(_, signal)| signal)
}

/// Reads export requests in protobuf, each behind its length in four bytes.
pub(crate) fn proto_lengths(input: &mut Input<'_>, out: &mut Emitter<'_>) -> Result<(), Halt> {
    let mut message = Vec::new();
    loop {
        let place = byte_place(input.offset);
        message.clear();
        input.take(LENGTH_BYTES, &mut message)?;
        if message.is_empty() {
            return Ok(());
        }
        let Ok(length) = <[u8; LENGTH_BYTES]>::try_from(&message[..]) else {
            out.reject(place, "the file ends inside a length".to_owned(), 1, &message);
            return Ok(());
        };
        let length = u32::from_be_bytes(length) as usize;
        if length > ITEM_BYTES_MAX {
            let reason = format!("a message claims more than {ITEM_BYTES_MAX} bytes");
            out.reject(place, reason, 1, &message);
            return Ok(());
        }
        message.clear();
        input.take(length, &mut message)?;
        let is_whole = message.len() == length;
        request(std::mem::take(&mut message), place.clone(), out);
        if !is_whole {
            out.reject(place, "the file ends inside a message".to_owned(), 0, b"");
            return Ok(());
        }
        out.breathe()?;
    }
}

/// Reads one export request in protobuf, resource by resource.
pub(crate) fn proto_document(input: &mut Input<'_>, out: &mut Emitter<'_>) -> Result<(), Halt> {
    while let Some(tag) = input.byte()? {
        let place = byte_place(input.offset);
        let length = match tag {
            TAG => {
                input.skip(1);
                varint(input)?
            }
            _ => None,
        };
        let Some(length) = length.filter(|length| *length <= ITEM_BYTES_MAX as u64) else {
            let reason = "no resource of an export request begins here, or one that is too long";
            out.reject(place, reason.to_owned(), 1, input.peek()?);
            return Ok(());
        };
        let mut resource = Vec::new();
        input.take(length as usize, &mut resource)?;
        let is_whole = resource.len() as u64 == length;
        let mut body = vec![TAG];
        push_varint(length, &mut body);
        body.extend_from_slice(&resource);
        request(body, place, out);
        if !is_whole {
            return Ok(());
        }
        out.breathe()?;
    }
    Ok(())
}

fn varint(input: &mut Input<'_>) -> Result<Option<u64>, Halt> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let Some(byte) = input.byte()? else { return Ok(None) };
        input.skip(1);
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn push_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn request(body: Vec<u8>, place: String, out: &mut Emitter<'_>) {
    if body.is_empty() {
        return;
    }
    match signal_of_proto(&body) {
        Some(signal) => out.request(signal, body, place),
        None => out.reject(place, "no export request of OTLP".to_owned(), 1, &body),
    }
}

/// The messages in a field, as far as they can be read.
fn messages(bytes: &[u8], wanted: u32) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader::new(bytes);
    std::iter::from_fn(move || {
        loop {
            match reader.next() {
                Ok(Some((field, WireValue::Bytes(inner)))) if field == wanted => {
                    return Some(inner);
                }
                Ok(Some(_)) => {}
                Err(crate::wire::WireError::Torn { field, .. }) if field == wanted => {
                    let rest = reader.rest();
                    reader = Reader::new(&[]);
                    return Some(rest).filter(|rest| !rest.is_empty());
                }
                _ => return None,
            }
        }
    })
}

/// The signal of an export request in protobuf, which does not name it: it shows in the first
/// item. A request without any item is taken for one of traces, and makes no row.
pub(crate) fn signal_of_proto(body: &[u8]) -> Option<Signal> {
    let mut has_resource = false;
    for resource in messages(body, 1) {
        has_resource = true;
        for scope in messages(resource, 2) {
            if let Some(signal) = messages(scope, 2).find_map(signal_of_item) {
                return Some(signal);
            }
        }
    }
    has_resource.then_some(Signal::Traces)
}

fn signal_of_item(item: &[u8]) -> Option<Signal> {
    let mut reader = Reader::new(item);
    while let Ok(Some((field, value))) = reader.next() {
        match (field, value) {
            // The time of a log record, its observed time, severity or flags.
            (1 | 11, WireValue::Fixed64(_)) | (2, WireValue::Varint(_)) => {
                return Some(Signal::Logs);
            }
            (8, WireValue::Fixed32(_)) => return Some(Signal::Logs),
            // The id of a span, its times, kind and flags.
            (2, WireValue::Bytes(id)) if id.len() == 8 => return Some(Signal::Traces),
            (7 | 8, WireValue::Fixed64(_)) | (6, WireValue::Varint(_)) => {
                return Some(Signal::Traces);
            }
            // The points of a metric.
            (5 | 7 | 9 | 10 | 11, WireValue::Bytes(data)) => {
                let has_points = messages(data, 1).next().is_some();
                let is_metric = has_points || field == 7 || field == 10;
                if is_metric && !is_log_body(field, data) {
                    return Some(Signal::Metrics);
                }
            }
            _ => {}
        }
    }
    None
}

/// A log record without time, severity and flags: its body is an `AnyValue`, whose text is no
/// message with a time in it as a point is.
fn is_log_body(field: u32, data: &[u8]) -> bool {
    let is_point = |point: &[u8]| {
        let mut reader = Reader::new(point);
        std::iter::from_fn(|| reader.next().ok().flatten())
            .any(|(field, value)| field == 3 && matches!(value, WireValue::Fixed64(_)))
    };
    field == 5 && !messages(data, 1).any(is_point)
}
