//! Rows that are not in a segment yet: durable in the WAL, held in memory, visible to queries.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Array, ArrayData, RecordBatch};
use arrow::compute::{max, min};
use arrow::datatypes::{Schema, TimestampNanosecondType};
use arrow::error::ArrowError;
use halfopen_model::{Fingerprint, Table, TimeRange, UnixNanos, schema};

use crate::gather;
use crate::segment::order::SORT_BYTES_PER_ROW;

/// Memory of a column beside its buffers: the array, its pointers, its share of the schema.
const COLUMN_BYTES: usize = 250;

/// A batch with no more rows than this is small: its columns cost more than its values.
const SMALL_ROWS_MAX: usize = 1_024;

/// So many small batches side by side are merged into one.
const SMALL_BATCHES_MIN: usize = 8;

/// A batch in memory. It has the columns that it needs, in the order of the schema.
#[derive(Debug)]
pub(crate) struct HotBatch {
    pub(crate) rows: RecordBatch,
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// From the first to behind the last time.
    pub(crate) range: TimeRange,
    /// Memory that it holds, and what sorting it will take.
    pub(crate) bytes: usize,
}

impl HotBatch {
    pub(crate) fn new(table: Table, rows: RecordBatch, fingerprints: Vec<Fingerprint>) -> HotBatch {
        let range = time_range(table, &rows);
        let bytes = memory_bytes(&rows)
            + fingerprints.capacity() * size_of::<Fingerprint>()
            + rows.num_rows() * SORT_BYTES_PER_ROW;
        HotBatch { rows, fingerprints, range, bytes }
    }
}

/// From the first to behind the last time of rows.
pub(crate) fn time_range(table: Table, rows: &RecordBatch) -> TimeRange {
    let times = rows
        .column_by_name(table.time_column())
        .and_then(|column| column.as_any().downcast_ref())
        .and_then(|times| Some((min::<TimestampNanosecondType>(times)?, max(times)?)));
    match times {
        Some((from, to)) => TimeRange { from: UnixNanos(from), to: UnixNanos(to).shifted(1) },
        None => TimeRange { from: UnixNanos::MAX, to: UnixNanos::MIN },
    }
}

/// Memory that a batch keeps alive: whole allocations, each counted once.
pub(crate) fn memory_bytes(rows: &RecordBatch) -> usize {
    memory_bytes_beside(rows, &mut HashSet::new())
}

/// The same beside batches whose allocations are `known`: those of a row group share their
/// dictionaries.
pub(crate) fn memory_bytes_beside(rows: &RecordBatch, known: &mut HashSet<usize>) -> usize {
    let columns = rows.columns().iter().map(|column| data_bytes(&column.to_data(), known));
    columns.sum::<usize>() + rows.num_columns() * COLUMN_BYTES
}

fn data_bytes(data: &ArrayData, known: &mut HashSet<usize>) -> usize {
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    let buffers = data.buffers().iter().chain(nulls);
    let own: usize = buffers
        .filter(|buffer| known.insert(buffer.data_ptr().as_ptr() as usize))
        .map(|buffer| buffer.capacity().max(buffer.len()))
        .sum();
    own + data.child_data().iter().map(|child| data_bytes(child, known)).sum::<usize>()
}

/// Hot rows between two seals, of all tables. The WAL is cut by whole generations.
#[derive(Debug, Default)]
pub(crate) struct Generation {
    pub(crate) tables: [Vec<Arc<HotBatch>>; Table::ALL.len()],
    pub(crate) bytes: usize,
    /// The last frame of the WAL whose rows are here; 0 for none.
    pub(crate) last_sequence: u64,
    /// When the first row came.
    pub(crate) born: Option<Instant>,
}

impl Generation {
    pub(crate) fn push(&mut self, table: Table, batch: HotBatch) {
        self.bytes += batch.bytes;
        self.born.get_or_insert_with(Instant::now);
        self.tables[table as usize].push(Arc::new(batch));
    }

    pub(crate) fn rows(&self, table: Table) -> usize {
        self.tables[table as usize].iter().map(|batch| batch.rows.num_rows()).sum()
    }

    pub(crate) fn rows_max(&self) -> usize {
        Table::ALL.into_iter().map(|table| self.rows(table)).max().unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tables.iter().all(Vec::is_empty)
    }

    /// Small batches that are worth merging: their table and place.
    pub(crate) fn small_runs(&self) -> Vec<(Table, std::ops::Range<usize>)> {
        let mut runs = Vec::new();
        for table in Table::ALL {
            let batches = &self.tables[table as usize];
            let mut begin = 0;
            for end in 0..=batches.len() {
                let small = batches.get(end).is_some_and(|b| b.rows.num_rows() <= SMALL_ROWS_MAX);
                if small {
                    continue;
                }
                if end - begin >= SMALL_BATCHES_MIN {
                    runs.push((table, begin..end));
                }
                begin = end + 1;
            }
        }
        runs
    }

    /// Puts `merged` in the place of the batches that it was made of.
    pub(crate) fn replace(
        &mut self,
        table: Table,
        range: std::ops::Range<usize>,
        merged: HotBatch,
    ) {
        let bytes = merged.bytes;
        let gone = self.tables[table as usize].splice(range, [Arc::new(merged)]);
        let before: usize = gone.map(|batch| batch.bytes).sum();
        self.bytes = (self.bytes + bytes).saturating_sub(before);
    }
}

/// One batch out of many.
pub(crate) fn merge(table: Table, batches: &[Arc<HotBatch>]) -> Result<HotBatch, ArrowError> {
    let rows: Vec<_> = batches.iter().map(|batch| &batch.rows).collect();
    let rows = gather::merge(table, &rows)?;
    let marks = batches.iter().flat_map(|batch| batch.fingerprints.iter().copied());
    Ok(HotBatch::new(table, rows, marks.collect()))
}

/// Brings a batch into the form in which it is kept: columns in the order of the schema, those in
/// which every row is null left out.
///
/// # Errors
/// When a column has another type, or one that every row must have is missing or has nulls.
pub(crate) fn fit(table: Table, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let whole = schema::schema(table);
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for field in whole.fields() {
        match rows.column_by_name(field.name()) {
            Some(column) if !field.is_nullable() || column.null_count() < column.len() => {
                fields.push(Arc::clone(field));
                columns.push(Arc::clone(column));
            }
            None if !field.is_nullable() => {
                let reason = format!("rows of {table} lack the column \"{}\"", field.name());
                return Err(ArrowError::SchemaError(reason));
            }
            _ => {}
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

#[cfg(test)]
mod tests;
