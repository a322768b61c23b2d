//! What spans have that is no words: ids, times, weights.

use arrow::array::{Array, AsArray, FixedSizeBinaryArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type, TimestampNanosecondType};
use halfopen_model::TraceId;

use super::UNENDED;
use crate::intern::{FoldMap, NONE};

/// Columns of span ids.
pub(super) const ID_COLUMNS: [&str; 2] = ["span_id", "parent_span_id"];

/// Which trace each row is of.
#[derive(Default)]
pub(super) struct Traces {
    pub(super) ids: Vec<TraceId>,
    pub(super) codes: FoldMap<u128, u32>,
    pub(super) of_rows: Vec<u32>,
}

impl Traces {
    pub(super) fn read<'a>(batches: impl Iterator<Item = &'a RecordBatch>, total: usize) -> Traces {
        let mut traces = Traces { of_rows: Vec::with_capacity(total), ..Traces::default() };
        batches.for_each(|rows| traces.add(rows));
        traces
    }

    fn add(&mut self, rows: &RecordBatch) {
        let column = fixed(rows, "trace_id", 16);
        let bytes = column.map_or(&[][..], |column| column.value_data().as_chunks::<16>().0);
        let nulls = column.and_then(|column| column.nulls());
        let mut last = (0_u128, NONE);
        for row in 0..rows.num_rows() {
            let id = bytes.get(row).filter(|_| nulls.is_none_or(|nulls| nulls.is_valid(row)));
            let id = id.map_or(0, |id| u128::from_be_bytes(*id));
            if id != last.0 {
                let next = self.ids.len() as u32;
                let code = *self.codes.entry(id).or_insert(next);
                if code == next {
                    self.ids.push(TraceId(id.to_be_bytes()));
                }
                last = (id, code);
            }
            self.of_rows.push(if id == 0 { NONE } else { last.1 });
        }
    }
}

/// A column of ids of so many bytes.
fn fixed<'a>(rows: &'a RecordBatch, name: &str, bytes: i32) -> Option<&'a FixedSizeBinaryArray> {
    let column = rows.column_by_name(name)?.as_fixed_size_binary_opt()?;
    (column.value_length() == bytes).then_some(column)
}

/// Span ids of all rows, 0 for none.
pub(super) fn span_ids<'a>(
    batches: impl Iterator<Item = &'a RecordBatch>,
    name: &str,
    total: usize,
) -> Vec<u64> {
    let mut ids = Vec::with_capacity(total);
    for rows in batches {
        let column = fixed(rows, name, 8);
        let bytes = column.map_or(&[][..], |column| column.value_data().as_chunks::<8>().0);
        let number = |id: &[u8; 8]| u64::from_be_bytes(*id);
        match column.and_then(|column| column.nulls()) {
            None => ids.extend(bytes.iter().map(number)),
            Some(nulls) => ids.extend(
                bytes.iter().zip(nulls).map(|(id, valid)| if valid { number(id) } else { 0 }),
            ),
        }
        ids.resize(ids.len() + rows.num_rows() - bytes.len(), 0);
    }
    ids
}

/// Times and weights.
pub(super) struct Numbers {
    pub(super) start: Vec<i64>,
    pub(super) duration: Vec<i64>,
    pub(super) weight: Vec<f32>,
}

impl Numbers {
    pub(super) fn read<'a>(
        batches: impl Iterator<Item = &'a RecordBatch>,
        total: usize,
    ) -> Numbers {
        let mut numbers = Numbers {
            start: Vec::with_capacity(total),
            duration: Vec::with_capacity(total),
            weight: Vec::with_capacity(total),
        };
        batches.for_each(|rows| numbers.add(rows));
        numbers
    }

    fn add(&mut self, rows: &RecordBatch) {
        let (len, column) = (rows.num_rows(), |name: &str| rows.column_by_name(name));
        let times =
            column("start_time").and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>());
        match times {
            Some(times) => self.start.extend_from_slice(times.values()),
            None => self.start.resize(self.start.len() + len, 0),
        }
        match column("duration_ns").and_then(|c| c.as_primitive_opt::<Int64Type>()) {
            Some(durations) if durations.null_count() == 0 => {
                self.duration.extend_from_slice(durations.values());
            }
            durations => {
                let duration = |row| durations.filter(|c| c.is_valid(row)).map(|c| c.value(row));
                self.duration.extend((0..len).map(|row| duration(row).unwrap_or(UNENDED)));
            }
        }
        let weights = column("weight").and_then(|c| c.as_primitive_opt::<Float64Type>());
        let weight = |row| weights.filter(|c| c.is_valid(row)).map_or(1.0, |c| c.value(row));
        self.weight.extend((0..len).map(weight).map(usable_weight));
    }
}

/// A weight that cannot be meant (zero, negative, no number) counts as one.
fn usable_weight(weight: f64) -> f32 {
    if weight.is_finite() && weight > 0.0 { weight as f32 } else { 1.0 }
}
