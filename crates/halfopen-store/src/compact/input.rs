//! One segment on its way into a merge: its rows batch by batch, with the key of the next one.

use std::sync::Arc;

use arrow::array::TimestampNanosecondArray;
use arrow::array::{Array, AsArray, FixedSizeBinaryArray, RecordBatch, StringArray};
use arrow::datatypes::{SchemaRef, TimestampNanosecondType};
use halfopen_model::batch::conform;
use halfopen_model::{Table, UnixNanos};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use crate::segment::join::Joint;
use crate::segment::open::OpenSegment;
use crate::segment::order::by_trace;

/// Rows that an input holds in memory at a time.
const BATCH_ROWS: usize = 2_048;

/// By what rows are in order: trace and time, id and time, or time alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key {
    trace: u128,
    id: Option<Box<str>>,
    pub(crate) time: UnixNanos,
}

/// The next rows of a segment.
pub(crate) struct Input {
    table: Table,
    schema: SchemaRef,
    reader: ParquetRecordBatchReader,
    joint: Joint,
    batch: Current,
}

struct Current {
    rows: RecordBatch,
    traces: Option<FixedSizeBinaryArray>,
    ids: Option<StringArray>,
    times: Option<TimestampNanosecondArray>,
}

impl Current {
    fn new(table: Table, rows: RecordBatch) -> Current {
        let column = |name: &str| rows.column_by_name(name);
        let traces = column("trace_id").filter(|_| by_trace(table));
        let ids = column("id").filter(|_| table == Table::Ids);
        let times = column(table.time_column());
        Current {
            traces: traces.and_then(|column| column.as_fixed_size_binary_opt()).cloned(),
            ids: ids.and_then(|column| column.as_string_opt::<i32>()).cloned(),
            times: times
                .and_then(|column| column.as_primitive_opt::<TimestampNanosecondType>())
                .cloned(),
            rows,
        }
    }

    fn key(&self, row: usize) -> Key {
        let trace = self.traces.as_ref().filter(|traces| traces.is_valid(row));
        let trace = trace.and_then(|traces| traces.value(row).try_into().ok());
        let ids = self.ids.as_ref().filter(|ids| ids.is_valid(row));
        Key {
            trace: trace.map_or(0, u128::from_be_bytes),
            id: ids.map(|ids| ids.value(row).into()),
            time: UnixNanos(self.times.as_ref().map_or(0, |times| times.value(row))),
        }
    }
}

impl Input {
    /// Opens a segment to be read in its order, as rows of `schema`.
    pub(crate) fn open(
        table: Table,
        open: &OpenSegment,
        schema: &SchemaRef,
    ) -> Result<Input, ParquetError> {
        let (file, footer) = (open.file.clone(), open.footer.clone());
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer);
        let reader = builder.with_batch_size(BATCH_ROWS).build()?;
        let rows = RecordBatch::new_empty(Arc::clone(schema));
        let batch = Current::new(table, rows);
        let joint = Joint::of(open.footer.schema());
        Ok(Input { table, schema: Arc::clone(schema), reader, joint, batch })
    }

    /// Goes on to the next batch; `false` at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, ParquetError> {
        loop {
            let Some(rows) = self.reader.next() else { return Ok(false) };
            let rows = conform(&self.joint.join(&rows?)?, &self.schema)?;
            if rows.num_rows() > 0 {
                self.batch = Current::new(self.table, rows);
                return Ok(true);
            }
        }
    }

    /// The rows at hand.
    pub(crate) fn rows(&self) -> &RecordBatch {
        &self.batch.rows
    }

    /// The key of a row at hand.
    pub(crate) fn key(&self, row: usize) -> Key {
        self.batch.key(row)
    }
}

/// Calls `take` with the time of each row of a segment.
pub(crate) fn times(
    table: Table,
    open: &OpenSegment,
    take: &mut dyn FnMut(UnixNanos),
) -> Result<(), ParquetError> {
    let (file, footer) = (open.file.clone(), open.footer.clone());
    let place = footer.schema().column_with_name(table.time_column()).map(|(place, _)| place);
    let mask = ProjectionMask::roots(footer.parquet_schema(), place);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer);
    for rows in builder.with_projection(mask).with_batch_size(8 * BATCH_ROWS).build()? {
        let rows = rows?;
        let times = rows.columns().first();
        let times = times.and_then(|times| times.as_primitive_opt::<TimestampNanosecondType>());
        for time in times.iter().flat_map(|times| times.values()) {
            take(UnixNanos(*time));
        }
    }
    Ok(())
}
