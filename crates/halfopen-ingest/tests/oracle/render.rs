//! Rows as text: what a batch holds, column by column.

use std::collections::BTreeMap;
use std::fmt::Write;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Float64Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt32Type, UInt64Type,
};
use halfopen_model::Batch;
use halfopen_model::batch::{conform, text_at};
use halfopen_model::schema::schema;

/// Column names and the values that are not null.
pub(crate) type Row = BTreeMap<String, String>;

/// The rows of a batch, which must fit its schema.
pub(crate) fn rows(batch: &Batch) -> Vec<Row> {
    let fitted = conform(&batch.rows, &schema(batch.table)).expect("it fits the schema");
    assert_eq!(batch.fingerprints.len(), fitted.num_rows());
    let row = |index: usize| {
        let mut row = Row::new();
        for (field, column) in fitted.schema_ref().fields().iter().zip(fitted.columns()) {
            if column.is_valid(index) {
                row.insert(field.name().clone(), cell(column.as_ref(), index));
            }
        }
        row
    };
    (0..fitted.num_rows()).map(row).collect()
}

fn cell(column: &dyn Array, row: usize) -> String {
    match column.data_type() {
        DataType::FixedSizeBinary(_) => hex(column.as_fixed_size_binary().value(row)),
        DataType::Timestamp(_, _) => {
            column.as_primitive::<TimestampNanosecondType>().value(row).to_string()
        }
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).to_string(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Binary => hex(column.as_binary::<i32>().value(row)),
        DataType::Utf8 | DataType::Dictionary(_, _) => {
            text_at(column, row).expect("a text").to_owned()
        }
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            let items: Vec<String> =
                (0..items.len()).map(|item| cell(items.as_ref(), item)).collect();
            format!("[{}]", items.join(" | "))
        }
        DataType::Struct(fields) => {
            let mut text = String::new();
            for (field, values) in fields.iter().zip(column.as_struct().columns()) {
                if values.is_valid(row) {
                    write!(text, "{}={} ", field.name(), cell(values.as_ref(), row)).expect("text");
                }
            }
            text
        }
        DataType::Map(_, _) => {
            let entries = column.as_map().value(row);
            let values = entries.column(1).as_struct();
            let entry = |index: usize| {
                let (key, tag) = (cell(entries.column(0), index), cell(values.column(0), index));
                attribute(&key, tag.parse().expect("a tag"), &cell(values.column(1), index))
            };
            (0..entries.len()).map(entry).collect()
        }
        other => panic!("no column has the type {other}"),
    }
}

/// An entry of an attribute map.
pub(crate) fn attribute(key: &str, tag: u8, text: &str) -> String {
    format!("({key:?}: {tag} {text:?})")
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
