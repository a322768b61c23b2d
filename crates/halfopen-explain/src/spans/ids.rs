//! What spans have that is no words: ids, times, weights.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type, TimestampNanosecondType};
use halfopen_model::TraceId;

use super::UNENDED;
use crate::intern::{FoldMap, NONE};

/// Columns of ids, times and weights.
pub(super) struct Ids {
    pub(super) trace_ids: Vec<TraceId>,
    pub(super) trace_codes: FoldMap<u128, u32>,
    pub(super) trace: Vec<u32>,
    pub(super) id: Vec<u64>,
    pub(super) parent_id: Vec<u64>,
    pub(super) start: Vec<i64>,
    pub(super) duration: Vec<i64>,
    pub(super) weight: Vec<f32>,
}

impl Ids {
    pub(super) fn read<'a>(batches: impl Iterator<Item = &'a RecordBatch>, total: usize) -> Ids {
        let mut ids = Ids {
            trace_ids: Vec::new(),
            trace_codes: FoldMap::default(),
            trace: Vec::with_capacity(total),
            id: Vec::with_capacity(total),
            parent_id: Vec::with_capacity(total),
            start: Vec::with_capacity(total),
            duration: Vec::with_capacity(total),
            weight: Vec::with_capacity(total),
        };
        for rows in batches {
            ids.read_ids(rows);
            ids.read_numbers(rows);
        }
        ids
    }

    fn read_ids(&mut self, rows: &RecordBatch) {
        let fixed = |name: &str, bytes: i32| {
            let column = rows.column_by_name(name)?.as_fixed_size_binary_opt()?;
            (column.value_length() == bytes).then_some(column)
        };
        let traces = fixed("trace_id", 16);
        let bytes = traces.map_or(&[][..], |column| column.value_data().as_chunks::<16>().0);
        let nulls = traces.and_then(|column| column.nulls());
        let mut last = (0_u128, NONE);
        for row in 0..rows.num_rows() {
            let id = bytes.get(row).filter(|_| nulls.is_none_or(|nulls| nulls.is_valid(row)));
            let id = id.map_or(0, |id| u128::from_be_bytes(*id));
            if id != last.0 {
                let next = self.trace_ids.len() as u32;
                let code = *self.trace_codes.entry(id).or_insert(next);
                if code == next {
                    self.trace_ids.push(TraceId(id.to_be_bytes()));
                }
                last = (id, code);
            }
            self.trace.push(if id == 0 { NONE } else { last.1 });
        }
        for (name, into) in [("span_id", &mut self.id), ("parent_span_id", &mut self.parent_id)] {
            let column = fixed(name, 8);
            let bytes = column.map_or(&[][..], |column| column.value_data().as_chunks::<8>().0);
            let nulls = column.and_then(|column| column.nulls());
            into.extend((0..rows.num_rows()).map(|row| {
                let id = bytes.get(row).filter(|_| nulls.is_none_or(|nulls| nulls.is_valid(row)));
                id.map_or(0, |id| u64::from_be_bytes(*id))
            }));
        }
    }

    fn read_numbers(&mut self, rows: &RecordBatch) {
        let (len, column) = (rows.num_rows(), |name: &str| rows.column_by_name(name));
        let times =
            column("start_time").and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>());
        self.start.extend((0..len).map(|row| times.map_or(0, |c| c.value(row))));
        let durations = column("duration_ns").and_then(|c| c.as_primitive_opt::<Int64Type>());
        let duration = |row: usize| durations.filter(|c| c.is_valid(row)).map(|c| c.value(row));
        self.duration.extend((0..len).map(|row| duration(row).unwrap_or(UNENDED)));
        let weights = column("weight").and_then(|c| c.as_primitive_opt::<Float64Type>());
        let weight = |row: usize| weights.filter(|c| c.is_valid(row)).map_or(1.0, |c| c.value(row));
        self.weight.extend((0..len).map(weight).map(usable_weight));
    }
}

/// A weight that cannot be meant (zero, negative, no number) counts as one.
fn usable_weight(weight: f64) -> f32 {
    if weight.is_finite() && weight > 0.0 { weight as f32 } else { 1.0 }
}
