//! Test log records, one tuple each.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, UInt32Array};
use halfopen_model::{Table, TraceId, schema};

use crate::drawn::{Attributes, at_ns, attributes, times, words};

/// Log records: time in milliseconds, trace, span, service, severity number, body, request id.
pub(crate) type Record<'a> =
    (i64, Option<TraceId>, Option<u64>, &'a str, u32, &'a str, Option<&'a str>);

/// The records as a batch of `logs`.
pub(crate) fn logs(records: &[Record<'_>]) -> RecordBatch {
    let traces = records.iter().map(|record| record.1.map(|id| id.0));
    let traces = FixedSizeBinaryArray::try_from_sparse_iter_with_size(traces, 16);
    let spans = records.iter().map(|record| record.2.map(u64::to_be_bytes));
    let spans = FixedSizeBinaryArray::try_from_sparse_iter_with_size(spans, 8);
    let bodies = records.iter().map(|record| Some(record.5));
    let request_ids = records.iter().map(|record| record.6);
    let none = Attributes::new();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", times(records.iter().map(|record| at_ns(record.0)))),
        ("trace_id", Arc::new(traces.expect("16 bytes each"))),
        ("span_id", Arc::new(spans.expect("8 bytes each"))),
        ("service", words(records.iter().map(|record| Some(record.3)))),
        (
            "severity_number",
            Arc::new(UInt32Array::from_iter_values(records.iter().map(|record| record.4))),
        ),
        ("body", Arc::new(bodies.collect::<StringArray>())),
        ("request_id", Arc::new(request_ids.collect::<StringArray>())),
        ("attributes", attributes(records.iter().map(|_| &none))),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    );
    let rows = rows.expect("columns of one length");
    halfopen_model::batch::conform(&rows, &schema::schema(Table::Logs)).expect("the schema")
}
