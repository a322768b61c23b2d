//! A row of `rejects` for a body that could not even be decompressed.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, DictionaryArray, RecordBatch, StringArray, TimestampNanosecondArray,
    UInt64Array,
};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use halfopen_model::{Batch, Table, UnixNanos};

use super::Export;

/// The row for an export of which nothing could be read.
pub(super) fn unreadable(
    export: &Export,
    reason: &str,
    at: UnixNanos,
    raw_bytes_max: usize,
) -> Result<Batch, ArrowError> {
    let body = &export.body.bytes;
    let encoding = export.encoding.content_type();
    let format = format!("{encoding} {} {:?}", export.signal.name(), export.compression);
    let words = |word: &str| -> DictionaryArray<Int32Type> { [word].into_iter().collect() };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(TimestampNanosecondArray::from(vec![at.0]).with_timezone("UTC"))),
        ("format", Arc::new(words(&format.to_lowercase()))),
        ("sender", Arc::new(StringArray::from(vec![export.sender.as_str()]))),
        ("reason", Arc::new(StringArray::from(vec![reason]))),
        ("items", Arc::new(UInt64Array::from(vec![0]))),
        ("raw_bytes", Arc::new(UInt64Array::from(vec![body.len() as u64]))),
        ("raw", Arc::new(BinaryArray::from(vec![&body[..body.len().min(raw_bytes_max)]]))),
    ];
    let rows = RecordBatch::try_from_iter(columns)?;
    Ok(Batch { table: Table::Rejects, rows, fingerprints: Vec::new() })
}
