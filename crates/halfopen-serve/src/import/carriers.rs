//! Which rows carry an id: an id whose rows were all there already was there too.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use halfopen_model::batch::Cells;
use halfopen_model::{SpanId, Table, TraceId, UnixNanos};

/// What a row and the ids that it carries have in common.
type Key = (Table, Option<TraceId>, Option<SpanId>, Option<UnixNanos>);

/// The rows of a group, kept and left out.
#[derive(Default)]
pub(super) struct Carriers {
    kept: HashSet<Key>,
    left_out: HashSet<Key>,
}

impl Carriers {
    /// Takes note of rows; `mask` tells which are kept.
    pub(super) fn note(&mut self, table: Table, rows: &RecordBatch, mask: &[bool]) {
        let cells = Cells::new(rows);
        for (row, keep) in mask.iter().enumerate() {
            let trace_id = cells.trace_id("trace_id", row);
            let span_id = cells.span_id("span_id", row);
            let key = (table, trace_id, span_id, cells.time(table.time_column(), row));
            let rows = if *keep { &mut self.kept } else { &mut self.left_out };
            rows.insert(key);
        }
    }

    /// For each id whether a row that carries it is kept.
    pub(super) fn of_kept_rows(&self, ids: &RecordBatch) -> Vec<bool> {
        let cells = Cells::new(ids);
        let keeps = |row| {
            let named = cells.text("table", row).unwrap_or_default();
            let Some(table) = Table::ALL.into_iter().find(|table| table.name() == named) else {
                return true;
            };
            let span_id = cells.span_id("span_id", row);
            let time = cells.time("time", row);
            let key = (table, cells.trace_id("trace_id", row), span_id, time);
            // A row without a trace may carry an id that names one.
            let bare = (table, None, span_id, time);
            let is_in = |rows: &HashSet<Key>| rows.contains(&key) || rows.contains(&bare);
            is_in(&self.kept) || !is_in(&self.left_out)
        };
        (0..cells.len()).map(keeps).collect()
    }
}
