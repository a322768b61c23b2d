//! Writes attributes of OTLP: values of many sources, each with its type.

use std::fmt::Display;
use std::str::FromStr;

use halfopen_model::{SpanId, TraceId};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::group::message;
use crate::json::{Json, Kind};
use crate::otlp::NOTE_FIELD;
use crate::wire::Writer;

/// A value of an attribute.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    /// As its JSON says.
    Json(&'a Json<'a>),
}

/// Writes a `KeyValue`.
pub(crate) fn attribute(out: &mut Writer, field: u32, key: &str, value: Value<'_>) {
    message(out, field, |out| {
        out.bytes(1, key.as_bytes());
        message(out, 2, |out| any_value(out, value));
    });
}

/// Writes a `KeyValue` with text, unless the text is empty.
pub(crate) fn some_text(out: &mut Writer, field: u32, key: &str, text: &str) {
    if !text.is_empty() {
        attribute(out, field, key, Value::Text(text));
    }
}

/// Writes the fields of an `AnyValue`.
pub(crate) fn any_value(out: &mut Writer, value: Value<'_>) {
    match value {
        Value::Text(text) => out.bytes_always(1, text.as_bytes()),
        Value::Bool(truth) => out.varint_always(2, u64::from(truth)),
        Value::Int(number) => out.varint_always(3, number as u64),
        Value::Double(number) => out.fixed64_always(4, number.to_bits()),
        Value::Bytes(bytes) => out.bytes_always(7, bytes),
        Value::Json(json) => json_value(out, json),
    }
}

/// The JSON reader bounds how deep this goes.
fn json_value(out: &mut Writer, json: &Json<'_>) {
    match &json.kind {
        Kind::Null => {}
        Kind::Bool(truth) => any_value(out, Value::Bool(*truth)),
        Kind::Number => any_value(out, number(json.raw)),
        Kind::Text(text) => any_value(out, Value::Text(text)),
        Kind::List(items) => message(out, 5, |out| {
            for item in items {
                message(out, 1, |out| json_value(out, item));
            }
        }),
        Kind::Object(fields) => message(out, 6, |out| {
            for (key, value) in fields {
                attribute(out, 1, key, Value::Json(value));
            }
        }),
    }
}

/// A number as it was written: an integer where it is one and fits.
pub(crate) fn number(digits: &str) -> Value<'_> {
    if let Ok(int) = digits.parse() {
        return Value::Int(int);
    }
    // A number beyond all floats reads as infinity, one that is none stays text.
    digits.parse().map_or(Value::Text(digits), Value::Double)
}

/// What a text without a type most probably is.
pub(crate) fn typed(text: &str) -> Value<'_> {
    match text {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    // Leading zeros and signs mean that it is a name and no number.
    let bare = text.strip_prefix('-').unwrap_or(text);
    let begins = bare.as_bytes().first().is_some_and(u8::is_ascii_digit);
    let is_name = bare.len() > 1 && bare.starts_with('0') && !bare.starts_with("0.");
    let is_number = begins && !is_name && bare.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !is_number {
        return Value::Text(text);
    }
    match number(text) {
        // Digits that a float cannot give back are an id.
        Value::Double(double) if double.to_string() != text => Value::Text(text),
        value => value,
    }
}

/// The text of a value that is no list and no object.
pub(crate) fn plain<'j>(json: &'j Json<'_>) -> Option<&'j str> {
    match &json.kind {
        Kind::Text(text) => Some(text),
        Kind::Number | Kind::Bool(_) => Some(json.raw),
        _ => None,
    }
}

/// A field of an object by its name, `None` when it is null or not there.
pub(crate) fn field<'j>(object: &'j Json<'j>, name: &str) -> Option<&'j Json<'j>> {
    let Kind::Object(fields) = &object.kind else { return None };
    let (_, found) = fields.iter().rev().find(|(known, _)| known == name)?;
    (found.kind != Kind::Null).then_some(found)
}

/// The text of a field, empty when it is not there.
pub(crate) fn text<'j>(object: &'j Json<'j>, name: &str) -> &'j str {
    field(object, name).and_then(plain).unwrap_or_default()
}

/// The items of a list, none when there is no such list.
pub(crate) fn list<'j>(object: &'j Json<'j>, name: &str) -> &'j [Json<'j>] {
    match field(object, name).map(|found| &found.kind) {
        Some(Kind::List(items)) => items,
        _ => &[],
    }
}

/// An unsigned number; floats are cut.
pub(crate) fn unsigned(json: &Json<'_>) -> Option<u64> {
    let digits = plain(json)?;
    let whole = || {
        let float: f64 = digits.parse().ok()?;
        (float.is_finite() && (0.0..=u64::MAX as f64).contains(&float)).then_some(float as u64)
    };
    digits.parse().ok().or_else(whole)
}

/// A trace id: short hex is padded; what is no hex is hashed, and its original noted.
pub(crate) fn trace_id(out: &mut Writer, fields: [u32; 2], column: &str, text: &str) -> bool {
    id(out, fields, column, text, |id: TraceId| id.0, |bytes| xxh3_128(bytes).to_be_bytes())
}

/// The same for a span id.
pub(crate) fn span_id(out: &mut Writer, fields: [u32; 2], column: &str, text: &str) -> bool {
    id(out, fields, column, text, |id: SpanId| id.0, |bytes| xxh3_64(bytes).to_be_bytes())
}

/// Writes an id to the first field, and its original to the second where it had to be hashed;
/// whether there is an id that is not zero.
fn id<const N: usize, T: FromStr<Err: Display>>(
    out: &mut Writer,
    [field, note_field]: [u32; 2],
    column: &str,
    text: &str,
    bytes_of: impl Fn(T) -> [u8; N],
    hash: impl Fn(&[u8]) -> [u8; N],
) -> bool {
    if text.is_empty() {
        return false;
    }
    let bytes = text.parse().map(bytes_of).unwrap_or_else(|_| {
        let key = crate::columns::raw_key(column);
        attribute(out, note_field, &key, Value::Text(text));
        hash(text.as_bytes())
    });
    if bytes == [0; N] {
        return false;
    }
    out.bytes(field, &bytes);
    true
}

/// Where originals of ids of spans and log records go.
pub(crate) const NOTES: u32 = NOTE_FIELD;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_number_only_where_it_reads_back_the_same() {
        assert_eq!(typed("17"), Value::Int(17));
        assert_eq!(typed("-1.5"), Value::Double(-1.5));
        assert_eq!(typed("true"), Value::Bool(true));
        for text in ["007", "1.10", "1.2.3", "1e5", "", "-", "12345678901234567890123", "10.0.0.1"]
        {
            assert_eq!(typed(text), Value::Text(text), "{text}");
        }
    }
}
