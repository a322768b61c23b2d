//! What a row says, as one number: rows with equal content have equal marks, whether they are
//! being imported or were read back from the store (ADR 6).
//!
//! Columns that are null say nothing. Attributes count without order, and one in a column counts
//! as much as one in the map, so that promoting a key changes no mark.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt32Type,
    UInt64Type,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::attribute::ValueType;
use crate::batch::{map_entries, text_at};
use crate::id::Fingerprint;
use crate::known::Scope;
use crate::schema::ATTRIBUTES;
use crate::table::Table;

/// Columns of rejects that tell when and from where they came, not what they are.
const OF_ARRIVAL: [&str; 2] = ["time", "sender"];

/// One mark for each row.
pub fn marks(table: Table, rows: &RecordBatch) -> Vec<Fingerprint> {
    let schema = rows.schema();
    let skips = |name: &str| table == Table::Rejects && OF_ARRIVAL.contains(&name);
    let mut order: Vec<usize> = (0..rows.num_columns()).collect();
    order.sort_by(|one, other| schema.field(*one).name().cmp(schema.field(*other).name()));
    let mut marks = Vec::with_capacity(rows.num_rows());
    let mut content = Vec::new();
    for row in 0..rows.num_rows() {
        content.clear();
        let mut attributes: u128 = 0;
        for index in &order {
            let (name, column) = (schema.field(*index).name(), rows.column(*index));
            if column.is_null(row) || skips(name) {
                continue;
            }
            if name == ATTRIBUTES {
                attributes = attributes.wrapping_add(entries(column.as_ref(), row));
            } else if Scope::split(name).is_some() {
                attributes = attributes.wrapping_add(known(name, column.as_ref(), row));
            } else {
                content.extend_from_slice(name.as_bytes());
                content.push(0);
                value(column.as_ref(), row, &mut content);
            }
        }
        content.extend_from_slice(&attributes.to_le_bytes());
        marks.push(xxh3_128(&content));
    }
    marks
}

fn entry(key: &str, tag: u8, text: &str) -> u128 {
    let length = (key.len() as u64).to_le_bytes();
    xxh3_128(&[&length, key.as_bytes(), &[tag], text.as_bytes()].concat())
}

/// All entries of a map, in whatever order.
fn entries(column: &dyn Array, row: usize) -> u128 {
    let mut sum: u128 = 0;
    if let Some(map) = column.as_map_opt() {
        map_entries(map, row, &mut |key, tag, text| sum = sum.wrapping_add(entry(key, tag, text)));
    }
    sum
}

/// An attribute with a column of its own.
fn known(name: &str, column: &dyn Array, row: usize) -> u128 {
    if let Some(text) = text_at(column, row) {
        return entry(name, ValueType::Text.tag(), text);
    }
    if let Some(ints) = column.as_primitive_opt::<Int64Type>() {
        return entry(name, ValueType::Int.tag(), &ints.value(row).to_string());
    }
    let mut content = Vec::new();
    value(column, row, &mut content);
    xxh3_128(&content)
}

/// Appends a value: its length where it has one, and its bytes.
fn value(column: &dyn Array, row: usize, out: &mut Vec<u8>) {
    if column.is_null(row) {
        out.push(0);
        return;
    }
    out.push(1);
    let mut sized = |bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match column.data_type() {
        DataType::Utf8 => sized(column.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => sized(column.as_binary::<i32>().value(row)),
        DataType::FixedSizeBinary(_) => sized(column.as_fixed_size_binary().value(row)),
        DataType::Dictionary(_, _) => {
            let keys = column.as_dictionary::<Int32Type>();
            if let Some(key) = keys.key(row) {
                value(keys.values().as_ref(), key, out);
            }
        }
        DataType::Int64 => number(column.as_primitive::<Int64Type>().value(row) as u64, out),
        DataType::UInt64 => number(column.as_primitive::<UInt64Type>().value(row), out),
        DataType::UInt32 => {
            number(u64::from(column.as_primitive::<UInt32Type>().value(row)), out);
        }
        DataType::UInt8 => number(u64::from(column.as_primitive::<UInt8Type>().value(row)), out),
        DataType::Float64 => {
            number(column.as_primitive::<Float64Type>().value(row).to_bits(), out);
        }
        DataType::Timestamp(_, _) => {
            number(column.as_primitive::<TimestampNanosecondType>().value(row) as u64, out);
        }
        DataType::Boolean => out.push(u8::from(column.as_boolean().value(row))),
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let offsets = list.value_offsets();
            let (begin, end) = (offsets[row] as usize, offsets[row + 1] as usize);
            number((end - begin) as u64, out);
            (begin..end).for_each(|item| value(list.values().as_ref(), item, out));
        }
        DataType::Struct(_) => {
            column.as_struct().columns().iter().for_each(|part| value(part.as_ref(), row, out));
        }
        DataType::Map(_, _) => out.extend_from_slice(&entries(column, row).to_le_bytes()),
        // No table has columns of another type.
        _ => {}
    }
}

fn number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}
