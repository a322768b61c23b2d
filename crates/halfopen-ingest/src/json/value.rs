//! `AnyValue` and `KeyValue`. The JSON reader bounds how deep they can be.

use std::convert::Infallible;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::fields::{JsonError, Object, double, signed, text, truth};
use super::parse::{Json, Kind};
use crate::wire::Writer;

/// Senders differ in whether they pad.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Writes a `KeyValue`.
pub(super) fn attribute(value: &Json<'_>, field: u32, out: &mut Writer) -> Result<(), JsonError> {
    let object = Object::of(value)?;
    out.message(field, |out| {
        out.bytes(1, object.text(["key", "key"])?.as_bytes());
        match object.get(["value", "value"]) {
            Some(value) => {
                let written = out.message(2, |out| any_value(value, out));
                written.map_err(|error| error.inside("value"))
            }
            None => Ok(()),
        }
    })
}

/// Writes a `KeyValue` with text.
pub(crate) fn text_attribute(key: &str, text: &str, field: u32, out: &mut Writer) {
    let written = out.message::<Infallible>(field, |out| {
        out.bytes(1, key.as_bytes());
        out.message(2, |out| {
            out.bytes_always(1, text.as_bytes());
            Ok(())
        })
    });
    match written {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

/// Writes the fields of an `AnyValue`.
pub(super) fn any_value(value: &Json<'_>, out: &mut Writer) -> Result<(), JsonError> {
    let object = Object::of(value)?;
    if let Some(found) = object.get(["stringValue", "string_value"]) {
        let text = text(found).map_err(|error| error.inside("stringValue"))?;
        out.bytes_always(1, text.as_bytes());
    } else if let Some(found) = object.get(["boolValue", "bool_value"]) {
        out.varint_always(2, u64::from(truth(found)?));
    } else if let Some(found) = object.get(["intValue", "int_value"]) {
        out.varint_always(3, signed(found)? as u64);
    } else if let Some(found) = object.get(["doubleValue", "double_value"]) {
        out.fixed64_always(4, double(found)?.to_bits());
    } else if let Some(list) = object.get(["arrayValue", "array_value"]) {
        let list = Object::of(list)?;
        out.message(5, |out| {
            list.each(["values", "values"], |item| out.message(1, |out| item_value(item, out)))
        })?;
    } else if let Some(map) = object.get(["kvlistValue", "kvlist_value"]) {
        let map = Object::of(map)?;
        out.message(6, |out| map.each(["values", "values"], |item| attribute(item, 1, out)))?;
    } else if let Some(bytes) = object.get(["bytesValue", "bytes_value"]) {
        out.bytes_always(7, &base64(bytes).map_err(|error| error.inside("bytesValue"))?);
    }
    Ok(())
}

/// In a list, `null` stands for an empty value.
fn item_value(value: &Json<'_>, out: &mut Writer) -> Result<(), JsonError> {
    if value.kind == Kind::Null { Ok(()) } else { any_value(value, out) }
}

fn base64(value: &Json<'_>) -> Result<Vec<u8>, JsonError> {
    let text = text(value)?;
    let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
    bytes.map_err(|error| JsonError::new(format!("no base64: {error}")))
}
