//! `AnyValue`: a typed value on the wire, and the form in which it is stored.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use halfopen_model::ValueType;

use crate::settings::DEPTH_HARD_MAX;
use crate::wire::{Reader, WireError};

/// A value; lists and maps are not taken apart yet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum AnyValue<'a> {
    Empty,
    /// Text that may turn out not to be UTF-8.
    Text(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// An `ArrayValue`.
    List(&'a [u8]),
    /// A `KeyValueList`.
    Map(&'a [u8]),
    Bytes(&'a [u8]),
}

/// Reads a `KeyValue`: its key, which may not be UTF-8, and its value.
#[inline]
pub(crate) fn key_value(message: &[u8]) -> Result<(&[u8], AnyValue<'_>), WireError> {
    let mut reader = Reader::new(message);
    let mut key: &[u8] = &[];
    let mut value = AnyValue::Empty;
    while let Some((field, found)) = reader.next()? {
        match field {
            1 => key = found.bytes(field)?,
            2 => value = AnyValue::read(found.bytes(field)?)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// What goes wrong inside a value.
enum Trouble {
    Wire(WireError),
    /// Nested deeper than the bound.
    Deep,
}

impl From<WireError> for Trouble {
    fn from(error: WireError) -> Trouble {
        Trouble::Wire(error)
    }
}

impl<'a> AnyValue<'a> {
    #[inline]
    pub(crate) fn read(message: &'a [u8]) -> Result<AnyValue<'a>, WireError> {
        let mut reader = Reader::new(message);
        let mut value = AnyValue::Empty;
        while let Some((field, found)) = reader.next()? {
            value = match field {
                1 => AnyValue::Text(found.bytes(field)?),
                2 => AnyValue::Bool(found.varint(field)? != 0),
                3 => AnyValue::Int(found.varint(field)? as i64),
                4 => AnyValue::Double(found.double(field)?),
                5 => AnyValue::List(found.bytes(field)?),
                6 => AnyValue::Map(found.bytes(field)?),
                7 => AnyValue::Bytes(found.bytes(field)?),
                _ => value,
            };
        }
        Ok(value)
    }

    /// Appends the stored text to `out`; gives the stored type. A value that is nested deeper
    /// than the bound is stored as a text that says so and holds its bytes.
    ///
    /// # Errors
    /// When the value is broken inside; what was appended then has no meaning.
    #[inline]
    pub(crate) fn write(self, out: &mut Vec<u8>, depth_max: usize) -> Result<ValueType, WireError> {
        match self {
            AnyValue::Empty => Ok(ValueType::Empty),
            AnyValue::Text(text) => Ok(write_text(text, out)),
            AnyValue::Bool(value) => {
                out.extend_from_slice(if value { b"true" } else { b"false" });
                Ok(ValueType::Bool)
            }
            AnyValue::Int(value) => {
                write_int(value, out);
                Ok(ValueType::Int)
            }
            AnyValue::Double(value) => {
                write_shown(format_args!("{value:?}"), out);
                Ok(ValueType::Double)
            }
            AnyValue::Bytes(bytes) => {
                write_base64(bytes, out);
                Ok(ValueType::Bytes)
            }
            AnyValue::List(message) => self.write_nested(message, out, depth_max, ValueType::List),
            AnyValue::Map(message) => self.write_nested(message, out, depth_max, ValueType::Map),
        }
    }

    fn write_nested(
        self,
        message: &[u8],
        out: &mut Vec<u8>,
        depth_max: usize,
        value_type: ValueType,
    ) -> Result<ValueType, WireError> {
        let start = out.len();
        let depth_max = depth_max.min(DEPTH_HARD_MAX);
        match self.write_json(out, depth_max) {
            Ok(()) => Ok(value_type),
            Err(Trouble::Wire(error)) => Err(error),
            Err(Trouble::Deep) => {
                out.truncate(start);
                write_shown(
                    format_args!(
                        "[a value nested deeper than {depth_max} levels; its protobuf in base64: "
                    ),
                    out,
                );
                write_base64(message, out);
                out.push(b']');
                Ok(ValueType::Text)
            }
        }
    }

    /// Appends the value as JSON. Recurses at most `depth_max` times.
    fn write_json(self, out: &mut Vec<u8>, depth_max: usize) -> Result<(), Trouble> {
        match self {
            AnyValue::Empty => out.extend_from_slice(b"null"),
            AnyValue::Text(text) => match str::from_utf8(text) {
                Ok(text) => write_json_text(text, out),
                Err(_) => write_json_special("$text", |out| write_base64(text, out), out),
            },
            AnyValue::Bool(value) => {
                out.extend_from_slice(if value { b"true" } else { b"false" });
            }
            AnyValue::Int(value) => write_int(value, out),
            AnyValue::Double(value) if value.is_finite() => {
                write_shown(format_args!("{value:?}"), out);
            }
            AnyValue::Double(value) => write_json_special(
                "$double",
                |out| write_shown(format_args!("{value:?}"), out),
                out,
            ),
            AnyValue::Bytes(bytes) => {
                write_json_special("$bytes", |out| write_base64(bytes, out), out);
            }
            AnyValue::List(_) | AnyValue::Map(_) if depth_max == 0 => return Err(Trouble::Deep),
            AnyValue::List(message) => write_json_list(message, out, depth_max - 1)?,
            AnyValue::Map(message) => write_json_map(message, out, depth_max - 1)?,
        }
        Ok(())
    }

    /// Calls `take` with each item of a list, or with the value itself when it is no list.
    pub(crate) fn each(self, take: &mut dyn FnMut(AnyValue<'a>)) {
        let AnyValue::List(message) = self else { return take(self) };
        let mut reader = Reader::new(message);
        while let Ok(Some((1, item))) = reader.next() {
            if let Ok(value) = item.bytes(1).and_then(AnyValue::read) {
                take(value);
            }
        }
    }
}

fn write_json_list(message: &[u8], out: &mut Vec<u8>, depth_max: usize) -> Result<(), Trouble> {
    let mut reader = Reader::new(message);
    let mut separator = b'[';
    while let Some((field, found)) = reader.next()? {
        if field == 1 {
            out.push(separator);
            separator = b',';
            AnyValue::read(found.bytes(field)?)?.write_json(out, depth_max)?;
        }
    }
    out.extend_from_slice(if separator == b'[' { b"[]" } else { b"]" });
    Ok(())
}

fn write_json_map(message: &[u8], out: &mut Vec<u8>, depth_max: usize) -> Result<(), Trouble> {
    let mut reader = Reader::new(message);
    let mut separator = b'{';
    while let Some((field, found)) = reader.next()? {
        if field == 1 {
            out.push(separator);
            separator = b',';
            let (key, value) = key_value(found.bytes(field)?)?;
            write_json_text(&String::from_utf8_lossy(key), out);
            out.push(b':');
            value.write_json(out, depth_max)?;
        }
    }
    out.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
    Ok(())
}

/// Text, or the base64 of bytes that are none.
#[inline]
fn write_text(text: &[u8], out: &mut Vec<u8>) -> ValueType {
    if str::from_utf8(text).is_ok() {
        out.extend_from_slice(text);
        ValueType::Text
    } else {
        write_base64(text, out);
        ValueType::BrokenText
    }
}

/// Decimal digits of a 64-bit integer and its sign.
const INT_BYTES_MAX: usize = 20;

#[inline]
fn write_int(value: i64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; INT_BYTES_MAX];
    let mut start = INT_BYTES_MAX;
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        start -= 1;
        digits[start] = b'-';
    }
    out.extend_from_slice(&digits[start..]);
}

fn write_shown(shown: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    let written = out.write_fmt(shown);
    debug_assert!(written.is_ok(), "writing to memory does not fail");
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    // Four characters for each group of three bytes.
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or_default();
    out.truncate(start + written);
}

/// Bytes as base64.
pub(crate) fn base64_text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn write_json_special(kind: &str, write: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    write_shown(format_args!("{{\"{kind}\":\""), out);
    write(out);
    out.extend_from_slice(b"\"}");
}

/// A text in quotes.
pub(crate) fn write_json_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (position, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain..position]);
        plain = position + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => write_shown(format_args!("\\u{byte:04x}"), out),
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}
