//! How many rows of two sides have each value of each attribute: the difference without
//! requests, for rows that are no part of any.
//!
//! Histograms over the codes of dictionaries: one pass, no sampling, nothing is hashed for a row.

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;

use crate::intern::Words;
use crate::threads;

/// One value of an attribute.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tally {
    /// The column.
    pub attribute: String,
    /// The value.
    pub value: String,
    /// Rows of the chosen side that have it.
    pub chosen: u64,
    /// Other rows that have it.
    pub others: u64,
}

/// Counts every value of dictionary columns by the side that each row is on; `side` tells of a
/// batch which rows are on the chosen side, and is asked once for each batch. Columns that are
/// missing, or that hold no words, have no values.
pub fn tally(
    batches: &[RecordBatch],
    attributes: &[&str],
    side: impl Fn(&RecordBatch) -> Vec<bool> + Sync,
) -> Vec<Tally> {
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let count = threads::threads(rows);
    let mut made = threads::each(count, |thread| {
        let mut columns: Vec<Column> = attributes.iter().map(|_| Column::default()).collect();
        for batch in batches.iter().skip(thread).step_by(count) {
            let chosen = side(batch);
            for (column, attribute) in columns.iter_mut().zip(attributes) {
                column.count(batch, attribute, &chosen);
            }
        }
        columns.iter_mut().for_each(Column::finish);
        columns
    });
    let mut all = made.swap_remove(0);
    for other in made {
        all.iter_mut().zip(&other).for_each(|(column, other)| column.absorb(other));
    }
    let tallies = |(column, attribute): (&Column, &&str)| column.tallies(attribute);
    all.iter().zip(attributes).flat_map(tallies).collect()
}

/// Counts of one column.
#[derive(Default)]
struct Column {
    values: Words,
    /// Others and chosen, by value.
    counts: Vec<[u64; 2]>,
    /// The dictionary that `open` counts by.
    dictionary: Option<StringArray>,
    /// Others and chosen, by code.
    open: Vec<[u32; 2]>,
}

impl Column {
    fn count(&mut self, batch: &RecordBatch, attribute: &str, chosen: &[bool]) {
        let column = batch.column_by_name(attribute);
        let Some(column) = column.and_then(|c| c.as_dictionary_opt::<Int32Type>()) else { return };
        let Some(values) = column.values().as_string_opt::<i32>() else { return };
        self.turn_to(values);
        let keys = column.keys().values();
        match column.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => {
                for (key, chosen) in keys.iter().zip(chosen) {
                    self.open[*key as usize][usize::from(*chosen)] += 1;
                }
            }
            Some(nulls) => {
                for row in nulls.valid_indices() {
                    self.open[keys[row] as usize][usize::from(chosen[row])] += 1;
                }
            }
        }
    }

    /// Batches of one row group share a dictionary: its counts are kept by code as long as it
    /// stays the same.
    fn turn_to(&mut self, values: &StringArray) {
        let same = |known: &StringArray| {
            known.len() == values.len()
                && known.value_data().as_ptr() == values.value_data().as_ptr()
                && known.value_offsets().as_ptr() == values.value_offsets().as_ptr()
        };
        if !self.dictionary.as_ref().is_some_and(same) {
            self.finish();
            self.open.clear();
            self.open.resize(values.len(), [0; 2]);
            self.dictionary = Some(values.clone());
        }
    }

    /// Adds what was counted by code to what is counted by value.
    fn finish(&mut self) {
        let Some(values) = self.dictionary.take() else { return };
        for (code, counts) in self.open.iter().enumerate() {
            if *counts != [0; 2] && values.is_valid(code) {
                let counts = counts.map(u64::from);
                add(&mut self.values, &mut self.counts, values.value(code), counts);
            }
        }
    }

    fn absorb(&mut self, other: &Column) {
        for (code, counts) in other.counts.iter().enumerate() {
            add(&mut self.values, &mut self.counts, other.values.text(code as u32), *counts);
        }
    }

    fn tallies(&self, attribute: &str) -> Vec<Tally> {
        let tally = |(code, [others, chosen]): (usize, &[u64; 2])| Tally {
            attribute: attribute.to_owned(),
            value: self.values.text(code as u32).to_owned(),
            chosen: *chosen,
            others: *others,
        };
        let mut all: Vec<Tally> = self.counts.iter().enumerate().map(tally).collect();
        all.sort_unstable();
        all
    }
}

fn add(values: &mut Words, counts: &mut Vec<[u64; 2]>, value: &str, more: [u64; 2]) {
    let code = values.code(value) as usize;
    if code == counts.len() {
        counts.push([0; 2]);
    }
    counts[code][0] += more[0];
    counts[code][1] += more[1];
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, DictionaryArray};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// Words of rows, each with a place in a made-up order.
    fn column(rows: std::ops::Range<usize>, values: usize) -> ArrayRef {
        let word =
            |row: usize| (!row.is_multiple_of(7)).then(|| format!("v{}", row * row % values));
        let words: Vec<Option<String>> = rows.map(word).collect();
        Arc::new(words.iter().map(|word| word.as_deref()).collect::<DictionaryArray<Int32Type>>())
    }

    #[test]
    fn rows_are_counted_as_one_loop_counts_them() {
        const ROWS: usize = 13 * 9_000;
        let batch = |from: usize| {
            let rows = from..(from + 9_000).min(ROWS);
            let mut columns =
                vec![("place", column(rows.clone(), ROWS)), ("span.a", column(rows.clone(), 40))];
            if from.is_multiple_of(2_000) {
                columns.push(("span.b", column(rows, 3)));
            }
            let whole = RecordBatch::try_from_iter(columns).expect("columns of one length");
            // Slices share their dictionary.
            [whole.slice(0, 4_000), whole.slice(4_000, whole.num_rows() - 4_000)]
        };
        let batches: Vec<RecordBatch> = (0..ROWS).step_by(9_000).flat_map(batch).collect();
        let text = |batch: &RecordBatch, name: &str, row: usize| {
            let column = batch.column_by_name(name)?;
            halfopen_model::batch::text_at(column.as_ref(), row).map(str::to_owned)
        };
        let is_chosen = |batch: &RecordBatch, row: usize| {
            text(batch, "place", row).is_some_and(|place| place.ends_with('4'))
        };
        let side = |batch: &RecordBatch| {
            (0..batch.num_rows()).map(|row| is_chosen(batch, row)).collect::<Vec<_>>()
        };
        let names = ["span.a", "span.b", "span.nowhere"];
        let mut naive: BTreeMap<(&str, String), [u64; 2]> = BTreeMap::new();
        for batch in &batches {
            for (row, name) in (0..batch.num_rows()).flat_map(|row| names.map(|name| (row, name))) {
                if let Some(value) = text(batch, name, row) {
                    let chosen = usize::from(is_chosen(batch, row));
                    naive.entry((name, value)).or_default()[chosen] += 1;
                }
            }
        }
        let found: BTreeMap<_, _> = tally(&batches, &names, side)
            .into_iter()
            .map(|t| {
                (
                    (if t.attribute == "span.a" { names[0] } else { names[1] }, t.value),
                    [t.others, t.chosen],
                )
            })
            .collect();
        assert_eq!(found, naive);
        assert!(found.len() > 10 && tally(&[], &names, side).is_empty());
    }
}
