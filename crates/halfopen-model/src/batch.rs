//! Rows on their way: a record batch with its table, made to fit a schema, and read cell by cell.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, FixedSizeBinaryArray, MapArray, RecordBatch,
    RecordBatchOptions, new_null_array,
};
use arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, SchemaRef, TimestampNanosecondType, UInt8Type,
    UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;

use crate::attribute::AttributeValue;
use crate::id::{Fingerprint, SpanId, TraceId};
use crate::known::Scope;
use crate::schema::{self, ATTRIBUTES};
use crate::table::Table;
use crate::time::UnixNanos;

/// Rows of one table. Columns may be missing where every row would be null.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The table they belong to.
    pub table: Table,
    /// The rows; column names and types are those of [`schema::schema`], order does not matter.
    pub rows: RecordBatch,
    /// One for each row, or none at all: rows with equal fingerprints are identical, and only
    /// the first that arrives is kept.
    pub fingerprints: Vec<Fingerprint>,
}

/// Makes a batch fit `schema`: columns in its order, missing ones null. Columns that the schema
/// does not have are left out.
///
/// # Errors
/// When a required column is missing or a column has another type.
pub fn conform(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<arrow::datatypes::Field>| -> ArrayRef {
        match rows.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => new_null_array(field.data_type(), rows.num_rows()),
        }
    };
    let columns = schema.fields().iter().map(column).collect();
    // Without columns there are still rows to count.
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// Reads the cells of a batch by column name. A missing column reads as null.
#[derive(Clone, Copy)]
pub struct Cells<'a> {
    rows: &'a RecordBatch,
}

impl<'a> Cells<'a> {
    /// A reader of `rows`.
    pub fn new(rows: &'a RecordBatch) -> Cells<'a> {
        Cells { rows }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn column(&self, name: &str, row: usize) -> Option<&'a dyn Array> {
        let column = self.rows.column_by_name(name)?;
        column.is_valid(row).then_some(column.as_ref())
    }

    /// A text or word.
    pub fn text(&self, name: &str, row: usize) -> Option<&'a str> {
        text_at(self.column(name, row)?, row)
    }

    /// A signed integer, also of columns of nanoseconds.
    pub fn int(&self, name: &str, row: usize) -> Option<i64> {
        Some(self.column(name, row)?.as_primitive_opt::<Int64Type>()?.value(row))
    }

    /// A small unsigned number.
    pub fn small(&self, name: &str, row: usize) -> Option<u32> {
        Some(self.column(name, row)?.as_primitive_opt::<UInt32Type>()?.value(row))
    }

    /// An unsigned count.
    pub fn count(&self, name: &str, row: usize) -> Option<u64> {
        Some(self.column(name, row)?.as_primitive_opt::<UInt64Type>()?.value(row))
    }

    /// A float.
    pub fn double(&self, name: &str, row: usize) -> Option<f64> {
        Some(self.column(name, row)?.as_primitive_opt::<Float64Type>()?.value(row))
    }

    /// A time.
    pub fn time(&self, name: &str, row: usize) -> Option<UnixNanos> {
        let column = self.column(name, row)?.as_primitive_opt::<TimestampNanosecondType>()?;
        Some(UnixNanos(column.value(row)))
    }

    /// Bytes.
    pub fn bytes(&self, name: &str, row: usize) -> Option<&'a [u8]> {
        Some(self.column(name, row)?.as_binary_opt::<i32>()?.value(row))
    }

    /// A trace id.
    pub fn trace_id(&self, name: &str, row: usize) -> Option<TraceId> {
        fixed(self.column(name, row)?, row).map(TraceId)
    }

    /// A span id.
    pub fn span_id(&self, name: &str, row: usize) -> Option<SpanId> {
        fixed(self.column(name, row)?, row).map(SpanId)
    }

    /// A list of texts.
    pub fn texts(&self, name: &str, row: usize) -> Vec<&'a str> {
        let Some(list) = self.column(name, row).and_then(|column| column.as_list_opt::<i32>())
        else {
            return Vec::new();
        };
        let values = list.values();
        let offsets = list.value_offsets();
        (offsets[row]..offsets[row + 1])
            .filter_map(|item| text_at(values.as_ref(), item as usize))
            .collect()
    }

    /// Every attribute of the row, from columns and map, with its prefixed name.
    pub fn attributes(&self, row: usize) -> Vec<(&'a str, AttributeValue)> {
        let mut found = Vec::new();
        for (field, column) in self.rows.schema_ref().fields().iter().zip(self.rows.columns()) {
            if Scope::split(field.name()).is_none() || column.is_null(row) {
                continue;
            }
            if let Some(value) = attribute_at(column.as_ref(), row) {
                found.push((field.name().as_str(), value));
            }
        }
        if let Some(map) = self.column(ATTRIBUTES, row).and_then(|column| column.as_map_opt()) {
            map_entries(map, row, &mut |key, tag, text| {
                found.push((key, AttributeValue::from_stored(tag, text)));
            });
        }
        found
    }

    /// One attribute of the row by its prefixed name, from its column or the map.
    pub fn attribute(&self, name: &str, row: usize) -> Option<AttributeValue> {
        if let Some(column) = self.column(name, row) {
            return attribute_at(column, row);
        }
        let map = self.column(ATTRIBUTES, row)?.as_map_opt()?;
        let mut found = None;
        map_entries(map, row, &mut |key, tag, text| {
            if key == name && found.is_none() {
                found = Some(AttributeValue::from_stored(tag, text));
            }
        });
        found
    }
}

/// Text of a plain or a dictionary column.
pub fn text_at(column: &dyn Array, row: usize) -> Option<&str> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Utf8 => Some(column.as_string::<i32>().value(row)),
        DataType::Dictionary(_, _) => {
            let words: &DictionaryArray<Int32Type> = column.as_dictionary_opt()?;
            let values = words.values().as_string_opt::<i32>()?;
            Some(values.value(words.key(row)?))
        }
        _ => None,
    }
}

fn fixed<const N: usize>(column: &dyn Array, row: usize) -> Option<[u8; N]> {
    let ids: &FixedSizeBinaryArray = column.as_fixed_size_binary_opt()?;
    ids.value(row).try_into().ok()
}

fn attribute_at(column: &dyn Array, row: usize) -> Option<AttributeValue> {
    if let Some(text) = text_at(column, row) {
        return Some(AttributeValue::Text(text.to_owned()));
    }
    column.as_primitive_opt::<Int64Type>().map(|ints| AttributeValue::Int(ints.value(row)))
}

/// Calls `take` with key, type tag and text of each entry of an attribute map.
pub fn map_entries<'a>(map: &'a MapArray, row: usize, take: &mut dyn FnMut(&'a str, u8, &'a str)) {
    let offsets = map.value_offsets();
    let Some(keys) = map.keys().as_string_opt::<i32>() else { return };
    let Some(values) = map.values().as_struct_opt() else { return };
    let (Some(tags), Some(texts)) =
        (values.column(0).as_primitive_opt::<UInt8Type>(), values.column(1).as_string_opt::<i32>())
    else {
        return;
    };
    for entry in offsets[row] as usize..offsets[row + 1] as usize {
        take(keys.value(entry), tags.value(entry), texts.value(entry));
    }
}

/// An empty batch of a table with its whole schema.
pub fn empty(table: Table) -> RecordBatch {
    RecordBatch::new_empty(schema::schema(table))
}
