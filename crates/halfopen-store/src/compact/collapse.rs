//! Identical rows that came in different requests: a sender that repeated itself after the store
//! had forgotten, a proxy that sent the same spans twice.
//!
//! Only rows with the same key are compared, and all of their columns. A span is there once. Of
//! the other tables a row stays as often as it is in the one segment that holds it most often:
//! two equal lines of one program are two lines (ADR 2), a whole request sent twice is one.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::array::{DynComparator, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::UInt64Type;
use arrow::error::ArrowError;
use halfopen_model::Table;
use xxhash_rust::xxh3::xxh3_64;

/// Rows with one key that are compared with each other; beyond it they are kept as they are.
/// Metrics bring many points of one time, hardly ever this many.
pub(crate) const ALIKE_MAX: usize = 65_536;

/// A row of a merge: the batch it is in, its place there, the input that brought it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alike {
    pub(crate) slot: usize,
    pub(crate) row: usize,
    pub(crate) input: usize,
}

/// Compares rows of a few batches.
#[derive(Default)]
pub(crate) struct Comparing {
    pairs: HashMap<(usize, usize), Vec<DynComparator>>,
}

impl Comparing {
    /// Keeps one of each set of identical rows among `alike`, which have one key.
    pub(crate) fn collapse(
        &mut self,
        table: Table,
        slots: &[RecordBatch],
        alike: &mut Vec<Alike>,
    ) -> Result<(), ArrowError> {
        if alike.len() < 2 || alike.len() > ALIKE_MAX {
            return Ok(());
        }
        let mut likeness: HashMap<u64, Vec<Group>> = HashMap::new();
        let mut kept = Vec::with_capacity(alike.len());
        for one in alike.drain(..) {
            let groups = likeness.entry(likeness_of(table, slots, one)).or_default();
            let mut found = None;
            for (place, group) in groups.iter().enumerate() {
                if self.are_identical(slots, group.first, one)? {
                    found = Some(place);
                    break;
                }
            }
            let place = found.unwrap_or_else(|| {
                groups.push(Group { first: one, kept: 0, by_input: Vec::new() });
                groups.len() - 1
            });
            if groups[place].wants(table, one.input) {
                kept.push(one);
            }
        }
        *alike = kept;
        Ok(())
    }

    fn are_identical(
        &mut self,
        slots: &[RecordBatch],
        one: Alike,
        other: Alike,
    ) -> Result<bool, ArrowError> {
        let pair = (one.slot, other.slot);
        let columns = match self.pairs.entry(pair) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let both = slots[pair.0].columns().iter().zip(slots[pair.1].columns());
                let made = both.map(|(left, right)| {
                    make_comparator(left.as_ref(), right.as_ref(), SortOptions::default())
                });
                unknown.insert(made.collect::<Result<_, _>>()?)
            }
        };
        Ok(columns.iter().all(|compare| compare(one.row, other.row) == Ordering::Equal))
    }

    /// Forgets batches that are gone.
    pub(crate) fn clear(&mut self) {
        self.pairs.clear();
    }
}

/// Identical rows.
struct Group {
    first: Alike,
    kept: usize,
    /// How many each input brought.
    by_input: Vec<(usize, usize)>,
}

impl Group {
    /// Takes note of one more; whether it is kept.
    fn wants(&mut self, table: Table, input: usize) -> bool {
        let place = self.by_input.iter().position(|(number, _)| *number == input);
        let place = place.unwrap_or_else(|| {
            self.by_input.push((input, 0));
            self.by_input.len() - 1
        });
        let brought = &mut self.by_input[place].1;
        *brought += 1;
        let room = if table == Table::Spans { 1 } else { *brought };
        let wanted = self.kept < room;
        self.kept += usize::from(wanted);
        wanted
    }
}

/// Different for rows that differ in what rows of one time mostly differ in.
fn likeness_of(table: Table, slots: &[RecordBatch], one: Alike) -> u64 {
    let rows = &slots[one.slot];
    let column = |name: &str| rows.column_by_name(name).filter(|c| c.is_valid(one.row));
    match table {
        Table::Spans => column("span_id").map_or(0, |column| bytes_of(column, one.row)),
        Table::Logs => column("body").map_or(0, |column| bytes_of(column, one.row)),
        Table::Metrics => {
            let series = column("series").and_then(|c| c.as_primitive_opt::<UInt64Type>());
            series.map_or(0, |series| series.value(one.row))
        }
        _ => 0,
    }
}

fn bytes_of(column: &ArrayRef, row: usize) -> u64 {
    if let Some(ids) = column.as_fixed_size_binary_opt() {
        return xxh3_64(ids.value(row));
    }
    column.as_string_opt::<i32>().map_or(0, |texts| xxh3_64(texts.value(row).as_bytes()))
}
