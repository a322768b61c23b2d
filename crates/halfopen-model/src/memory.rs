//! Evidence held in memory: both ports without a disk, for tests of other rooms.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};

use crate::batch::{Batch, Cells, conform};
use crate::id::Fingerprint;
use crate::port::{Match, ReadError, ReadEvidence, Refusal, Rows, Scan, WriteEvidence, Written};
use crate::schema::schema;
use crate::table::Table;

/// Evidence in memory. Clones share their rows.
#[derive(Clone, Default)]
pub struct MemoryEvidence {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    batches: Vec<(Table, RecordBatch)>,
    seen: HashSet<Fingerprint>,
}

impl MemoryEvidence {
    /// No evidence yet.
    pub fn new() -> MemoryEvidence {
        MemoryEvidence::default()
    }

    /// [`WriteEvidence::write`] without a future.
    ///
    /// # Errors
    /// When a batch does not fit its table.
    pub fn put(&self, batches: Vec<Batch>) -> Result<Written, Refusal> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut written = Written::default();
        for batch in batches {
            let rows = conform(&batch.rows, &schema(batch.table))
                .map_err(|error| Refusal::Never { reason: error.to_string() })?;
            let kept: BooleanArray = (0..rows.num_rows())
                .map(|row| Some(batch.fingerprints.get(row).is_none_or(|f| state.seen.insert(*f))))
                .collect();
            let kept = filter_record_batch(&rows, &kept)
                .map_err(|error| Refusal::Never { reason: error.to_string() })?;
            written.rows += kept.num_rows() as u64;
            written.collapsed += (rows.num_rows() - kept.num_rows()) as u64;
            state.batches.push((batch.table, kept));
        }
        Ok(written)
    }

    /// [`ReadEvidence::read`] without a future.
    ///
    /// # Errors
    /// When the scan names a column that the table does not have.
    pub fn get(&self, scan: &Scan) -> Result<Rows, ReadError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = projected(scan)?;
        let mut found = Rows::default();
        let mut room = scan.rows_max;
        for (table, rows) in &state.batches {
            if *table != scan.table {
                continue;
            }
            let cells = Cells::new(rows);
            let mut kept = 0;
            let mask: BooleanArray = (0..rows.num_rows())
                .map(|row| {
                    let fits = matches(&cells, row, scan);
                    found.truncated |= fits && kept == room;
                    let keep = fits && kept < room;
                    kept += usize::from(keep);
                    Some(keep)
                })
                .collect();
            room -= kept;
            let failed = |error: arrow::error::ArrowError| ReadError::Failed {
                table: scan.table,
                reason: error.to_string(),
            };
            let rows = filter_record_batch(rows, &mask).map_err(failed)?;
            if rows.num_rows() > 0 {
                found.batches.push(conform(&rows, &wanted).map_err(failed)?);
            }
        }
        Ok(found)
    }
}

impl WriteEvidence for MemoryEvidence {
    async fn write(&self, batches: Vec<Batch>) -> Result<Written, Refusal> {
        self.put(batches)
    }
}

impl ReadEvidence for MemoryEvidence {
    async fn read(&self, scan: Scan) -> Result<Rows, ReadError> {
        self.get(&scan)
    }
}

/// The schema of the columns that a scan asks for.
///
/// # Errors
/// When the table does not have one of them.
pub fn projected(scan: &Scan) -> Result<SchemaRef, ReadError> {
    let whole = schema(scan.table);
    let Some(columns) = &scan.columns else { return Ok(whole) };
    let field = |name: &String| {
        whole.field_with_name(name).cloned().map_err(|_| ReadError::Invalid {
            reason: format!("the table {} has no column \"{name}\"", scan.table),
        })
    };
    let fields = columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

fn matches(cells: &Cells<'_>, row: usize, scan: &Scan) -> bool {
    let time = cells.time(scan.table.time_column(), row);
    if !time.is_some_and(|time| scan.range.contains(time)) {
        return false;
    }
    match &scan.matching {
        Match::All => true,
        Match::Traces(ids) => cells.trace_id("trace_id", row).is_some_and(|id| ids.contains(&id)),
        Match::TraceRange(first, last) => {
            cells.trace_id("trace_id", row).is_some_and(|id| *first <= id && id <= *last)
        }
        Match::Span(id) => cells.span_id("span_id", row) == Some(*id),
        Match::Text { column, value } => cells.text(column, row) == Some(value),
        Match::TextPrefix { column, prefix } => {
            cells.text(column, row).is_some_and(|text| text.starts_with(prefix.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::empty;
    use crate::time::TimeRange;
    use arrow::array::{ArrayRef, DictionaryArray, StringArray, TimestampNanosecondArray};
    use arrow::datatypes::Int32Type;

    fn id_rows(ids: &[&str]) -> RecordBatch {
        let names: DictionaryArray<Int32Type> = ids.iter().map(|_| "x-request-id").collect();
        let tables: DictionaryArray<Int32Type> = ids.iter().map(|_| "spans").collect();
        let times = TimestampNanosecondArray::from_iter_values(0..ids.len() as i64);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(StringArray::from(ids.to_vec()))),
            ("name", Arc::new(names)),
            ("table", Arc::new(tables)),
            ("time", Arc::new(times.with_timezone("UTC"))),
        ];
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    }

    #[test]
    fn identical_rows_are_kept_once_and_prefixes_find_them() {
        let evidence = MemoryEvidence::new();
        let rows = id_rows(&["req_1", "req_1_a", "other"]);
        let batch = Batch { table: Table::Ids, rows, fingerprints: vec![1, 2, 3] };
        let first = evidence.put(vec![batch.clone()]).expect("rows that fit");
        let again = evidence.put(vec![batch]).expect("rows that fit");
        assert_eq!((first.rows, first.collapsed, again.rows, again.collapsed), (3, 0, 0, 3));

        let matching = Match::TextPrefix { column: "id".into(), prefix: "req_".into() };
        let mut scan = Scan::all(Table::Ids, TimeRange::ALL, 10);
        scan.matching = matching;
        assert_eq!(evidence.get(&scan).expect("a known table").len(), 2);
        scan.rows_max = 1;
        let cut = evidence.get(&scan).expect("a known table");
        assert_eq!((cut.len(), cut.truncated), (1, true));
    }

    #[test]
    fn a_column_that_is_not_there_is_refused() {
        let mut scan = Scan::all(Table::Ids, TimeRange::ALL, 10);
        scan.columns = Some(vec!["colour".into()]);
        assert!(matches!(MemoryEvidence::new().get(&scan), Err(ReadError::Invalid { .. })));
    }

    #[test]
    fn a_batch_without_its_required_columns_is_refused() {
        let rows = id_rows(&["a"]).project(&[0]).expect("one column");
        let batch = Batch { table: Table::Ids, rows, fingerprints: Vec::new() };
        assert!(matches!(MemoryEvidence::new().put(vec![batch]), Err(Refusal::Never { .. })));
        let batch = Batch { table: Table::Spans, rows: empty(Table::Spans), fingerprints: vec![] };
        assert_eq!(MemoryEvidence::new().put(vec![batch]), Ok(Written::default()));
    }
}
