//! Cells of Arrow columns as JSON values.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray as _, StructArray};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, SecondsFormat};
use halfopen_model::AttributeValue;
use halfopen_model::attribute::show_double;
use serde_json::{Map, Value, json};

/// One cell. What JSON has no form for is text: `NaN`, hex ids, base64 bytes.
pub fn cell_json(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::Int8 => json!(column.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => json!(column.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => json!(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => json!(column.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => json!(column.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => json!(column.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => json!(column.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => float(f64::from(column.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => json!(column.as_string::<i64>().value(row)),
        DataType::Utf8View => json!(column.as_string_view().value(row)),
        DataType::Binary => bytes(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => bytes(column.as_binary::<i64>().value(row)),
        DataType::BinaryView => bytes(column.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => hex(column.as_fixed_size_binary().value(row)),
        DataType::Timestamp(unit, _) => time(column, *unit, row),
        DataType::Dictionary(_, _) => dictionary(column, row),
        DataType::List(_) => list(column.as_list::<i32>().value(row).as_ref()),
        DataType::LargeList(_) => list(column.as_list::<i64>().value(row).as_ref()),
        DataType::FixedSizeList(..) => list(column.as_fixed_size_list().value(row).as_ref()),
        DataType::Struct(_) => structure(column.as_struct(), row),
        DataType::Map(..) => map(column.as_map().value(row)),
        _ => shown(column, row),
    }
}

/// Whatever else the engine makes (decimals, dates, intervals), as Arrow writes it.
fn shown(column: &dyn Array, row: usize) -> Value {
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::default());
    formatter.map_or(Value::Null, |formatter| json!(formatter.value(row).to_string()))
}

fn float(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(show_double(value)) }
}

fn bytes(value: &[u8]) -> Value {
    json!(BASE64.encode(value))
}

fn hex(value: &[u8]) -> Value {
    json!(value.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn time(column: &dyn Array, unit: TimeUnit, row: usize) -> Value {
    let time = match unit {
        TimeUnit::Second => {
            DateTime::from_timestamp(column.as_primitive::<TimestampSecondType>().value(row), 0)
        }
        TimeUnit::Millisecond => DateTime::from_timestamp_millis(
            column.as_primitive::<TimestampMillisecondType>().value(row),
        ),
        TimeUnit::Microsecond => DateTime::from_timestamp_micros(
            column.as_primitive::<TimestampMicrosecondType>().value(row),
        ),
        TimeUnit::Nanosecond => Some(DateTime::from_timestamp_nanos(
            column.as_primitive::<TimestampNanosecondType>().value(row),
        )),
    };
    match time {
        Some(time) => json!(time.to_rfc3339_opts(SecondsFormat::Nanos, true)),
        None => shown(column, row),
    }
}

fn dictionary(column: &dyn Array, row: usize) -> Value {
    let Some(words) = column.as_dictionary_opt::<Int32Type>() else { return shown(column, row) };
    words.key(row).map_or(Value::Null, |key| cell_json(words.values().as_ref(), key))
}

fn list(items: &dyn Array) -> Value {
    Value::Array((0..items.len()).map(|item| cell_json(items, item)).collect())
}

/// A struct as an object; the stored form of an attribute value as the value itself.
fn structure(items: &StructArray, row: usize) -> Value {
    if let Some(value) = stored_value(items, row) {
        return value;
    }
    let cells = items.fields().iter().zip(items.columns());
    let object: Map<String, Value> = cells
        .map(|(field, column)| (field.name().clone(), cell_json(column.as_ref(), row)))
        .collect();
    Value::Object(object)
}

fn stored_value(items: &StructArray, row: usize) -> Option<Value> {
    let [tags, texts] = items.columns() else { return None };
    let names: Vec<&str> = items.fields().iter().map(|field| field.name().as_str()).collect();
    if names != ["type", "text"] {
        return None;
    }
    let tags = tags.as_primitive_opt::<UInt8Type>()?;
    let Value::String(text) = cell_json(texts.as_ref(), row) else { return None };
    Some(attribute_json(&AttributeValue::from_stored(tags.value(row), &text)))
}

/// The entries of a map as an object; a key that comes twice has an array of its values.
fn map(entries: StructArray) -> Value {
    let [keys, values] = entries.columns() else { return Value::Null };
    let pairs = (0..entries.len()).map(|entry| {
        let key = match cell_json(keys.as_ref(), entry) {
            Value::String(key) => key,
            other => other.to_string(),
        };
        (key, cell_json(values.as_ref(), entry))
    });
    Value::Object(gathered(pairs).into_iter().collect())
}

fn gathered(pairs: impl Iterator<Item = (String, Value)>) -> BTreeMap<String, Value> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (key, value) in pairs {
        found.entry(key).or_default().push(value);
    }
    let one_or_all = |(key, mut values): (String, Vec<Value>)| match values.len() {
        1 => (key, values.remove(0)),
        _ => (key, Value::Array(values)),
    };
    found.into_iter().map(one_or_all).collect()
}

/// Attributes as an object.
pub(super) fn attribute_object(attributes: &[(String, AttributeValue)]) -> BTreeMap<String, Value> {
    gathered(attributes.iter().map(|(key, value)| (key.clone(), attribute_json(value))))
}

/// An attribute value with its type: bytes are `{"$bytes": base64}`, text that was not UTF-8 is
/// `{"$text": base64}`, floats that JSON lacks are text.
pub fn attribute_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Empty => Value::Null,
        AttributeValue::Text(text) => json!(text),
        AttributeValue::Bool(value) => json!(value),
        AttributeValue::Int(value) => json!(value),
        AttributeValue::Double(value) => float(*value),
        AttributeValue::Bytes(text) => json!({ "$bytes": text }),
        AttributeValue::BrokenText(text) => json!({ "$text": text }),
        AttributeValue::List(text) | AttributeValue::Map(text) => {
            serde_json::from_str(text).unwrap_or_else(|_| json!(text))
        }
    }
}
